//! The output. Only this module writes: messages to the standard output, everything else to the standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use crate::console::Printer;
use crate::event::Event;
use crate::exit::{Exit, Failure};
use crate::format::{Style, Verbosity};
use crate::options::{Format, Input, OutputOptions};

/// The reader of the standard output has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutputClosed;

/// Prints events. A clone prints to the same place.
#[derive(Clone)]
pub(crate) struct Output {
    style: Arc<Style>,
    console: Option<Printer>,
    /// Whether the standard error is the terminal of the console, so that the console prints it.
    is_stderr_terminal: bool,
}

impl Output {
    pub(crate) fn new(options: &OutputOptions, input: &Input, console: Option<Printer>) -> Self {
        let style = Style {
            format: options.format.format(),
            is_terminal: io::stdout().is_terminal(),
            has_timestamps: options.display.timestamps,
            terminator: input.terminator(),
            verbosity: Verbosity {
                is_quiet: options.display.quiet,
                shows_pings: options.display.show_ping_pong,
                shows_headers: options.verbose > 0,
            },
        };
        Self { style: Arc::new(style), console, is_stderr_terminal: io::stderr().is_terminal() }
    }

    /// Prints an event. On a server, `client` is the number of the client.
    pub(crate) fn event(&self, client: Option<u32>, event: &Event<'_>) -> Result<(), OutputClosed> {
        if self.style.format == Format::Json {
            return self.print(self.style.json(client, event).into_bytes());
        }
        if let Event::Message(message) = event {
            return self.print(self.style.message(client, message));
        }
        if let Some(text) = self.style.status(client, event) {
            self.print_status(text);
        }
        Ok(())
    }

    /// Prints a text about what the user has typed.
    pub(crate) fn notice(&self, text: &str) {
        self.print_status(format!("{text}\n"));
    }

    /// Waits until everything is printed.
    pub(crate) fn finish(&self) {
        if let Some(console) = &self.console {
            console.finish();
        }
    }

    fn print(&self, text: Vec<u8>) -> Result<(), OutputClosed> {
        match &self.console {
            Some(console) => console.print(String::from_utf8_lossy(&text).into_owned()),
            None => write(&mut io::stdout().lock(), &text).map_err(|_| OutputClosed)?,
        }
        Ok(())
    }

    fn print_status(&self, text: String) {
        match &self.console {
            Some(console) if self.is_stderr_terminal => console.print(text),
            _ => write_status(&text),
        }
    }
}

/// Prints the reason why a command could not be executed.
pub(crate) fn complain(failure: &Failure) -> Exit {
    write_status(&format!("sockeye: {failure}\n"));
    failure.exit
}

/// Prints help to the standard output, or what is wrong with the command line to the standard error.
pub(crate) fn explain(text: &str, exit: Exit) -> Exit {
    match exit {
        // The reader can have seen enough.
        Exit::Success => drop(write(&mut io::stdout().lock(), text.as_bytes())),
        _ => write_status(text),
    }
    exit
}

/// Prints a result, such as that of `bench`.
pub(crate) fn result(text: &str) -> Result<(), OutputClosed> {
    write(&mut io::stdout().lock(), text.as_bytes()).map_err(|_| OutputClosed)
}

fn write_status(text: &str) {
    // There is no other place where this error could be reported.
    drop(write(&mut io::stderr().lock(), text.as_bytes()));
}

fn write(stream: &mut impl Write, text: &[u8]) -> io::Result<()> {
    stream.write_all(text)?;
    stream.flush()
}

/// Prints what the event loop logs.
pub(crate) fn log_line(text: &str) {
    write_status(&format!("log: {}\n", crate::escape::text(text)));
}
