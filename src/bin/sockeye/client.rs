//! `sockeye connect`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use sockeye::{Builder, Sender, Settings};

use crate::console::{self, Console, Printer};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::input::{self, Source};
use crate::interrupt;
use crate::link::Link;
use crate::options::{ConnectOptions, History, Input};
use crate::output::Output;
use crate::session::{Conversation, Outcome, Session};
use crate::settings;
use crate::target::Target;
use crate::tls;

pub(crate) fn run(options: &Rc<ConnectOptions>) -> Result<Exit, Failure> {
    settings::start_log(options.output.verbose);
    let needs_input = options.execute.execute.is_empty();
    let (console, printer) = open_console(&options.input, &options.history, needs_input);
    let output = Output::new(&options.output, &options.input, printer);
    let link = Arc::new(Link::new());
    let closer = Arc::clone(&link);
    interrupt::on_first(move || closer.interrupt())?;
    let conversation = Rc::new(Conversation {
        options: Rc::clone(options),
        output: output.clone(),
        link: Arc::clone(&link),
        outcome: Outcome::default(),
        start_input: RefCell::new(Some(starter(console, &options.input, &output, link.clone()))),
        received: Cell::new(0),
    });
    connect(options, &conversation)?;
    link.ended();
    output.finish();
    match link.take_failure() {
        Some(failure) => Err(failure),
        None if interrupt::has_happened() => Ok(Exit::Interrupted),
        None => Ok(conversation.outcome.exit()),
    }
}

/// Runs the event loop until the conversation ends.
fn connect(options: &ConnectOptions, conversation: &Rc<Conversation>) -> Result<(), Failure> {
    let settings = Settings {
        max_redirects: options.request.location.unwrap_or(0),
        ..settings::settings(&options.timing, options.compression.parameters())
    };
    let mut builder = Builder::new();
    builder.with_settings(settings);
    let mut socket = builder.build(|out: Sender| Session::new(out, Rc::clone(conversation)))?;
    if let Some(proxy) = &options.route.proxy {
        socket = socket.with_proxy(proxy.clone());
    }
    if options.url.scheme() == "wss" {
        socket = socket.with_client_tls(tls::client(&options.tls)?);
    }
    match options.reconnect.settings() {
        Some(reconnect) => socket.connect_with(options.url.clone(), reconnect)?,
        None => socket.connect(options.url.clone())?,
    };
    socket.run()?;
    Ok(())
}

/// Opens the terminal if lines are edited there.
pub(crate) fn open_console(
    input: &Input,
    history: &History,
    needs_input: bool,
) -> (Option<Console>, Option<Printer>) {
    if !needs_input || input.receive_only || input.is_divided() || !input::is_interactive() {
        return (None, None);
    }
    let file = history.history.clone().or_else(files::history).filter(|_| !history.no_history);
    // A terminal that cannot move its cursor edits lines itself.
    console::open(file).map_or((None, None), |(console, printer)| (Some(console), Some(printer)))
}

/// Returns a function that starts the thread that reads the input.
pub(crate) fn starter(
    console: Option<Console>,
    input: &Input,
    output: &Output,
    target: Arc<dyn Target>,
) -> Box<dyn FnOnce()> {
    if input.receive_only {
        return Box::new(|| {});
    }
    let source =
        Source { records: input.records(), is_binary: input.is_binary(), executes_commands: input.slash };
    let output = output.clone();
    Box::new(move || input::start(console, source, output, target))
}
