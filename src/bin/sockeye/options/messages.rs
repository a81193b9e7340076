//! Options for what is sent, and for how it is shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{Wait, seconds};

/// How the standard input is divided into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// Each line is a message.
    Lines,
    /// A zero byte ends a message.
    Null,
    /// Everything is one message.
    Whole,
    /// Each read is a message.
    Chunks,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// Sends binary messages. Without --null and --one-message, each read is a message
    #[arg(short = 'b', long)]
    binary: bool,
    #[command(flatten)]
    division: Division,
    /// Executes lines that begin with a slash, as a terminal does, also from a pipe and from -x
    #[arg(long)]
    pub(crate) slash: bool,
    /// Sends nothing: the standard input is not read
    #[arg(long)]
    pub(crate) receive_only: bool,
}

#[derive(Debug, Args)]
struct Division {
    /// Messages are separated by zero bytes instead of line breaks, in the input and the output
    #[arg(short = '0', long, visible_alias = "null-terminated", conflicts_with = "one_message")]
    null: bool,
    /// The whole input is one message
    #[arg(short = '1', long)]
    one_message: bool,
}

impl Input {
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    pub(crate) fn records(&self) -> Records {
        match (self.division.one_message, self.division.null, self.binary) {
            (true, _, _) => Records::Whole,
            (_, true, _) => Records::Null,
            (_, _, true) => Records::Chunks,
            _ => Records::Lines,
        }
    }

    /// Whether the input is not divided into lines, so that a terminal does not edit them.
    pub(crate) fn is_divided(&self) -> bool {
        self.records() != Records::Lines
    }

    /// The byte behind each message of the output.
    pub(crate) fn terminator(&self) -> u8 {
        if self.division.null { 0 } else { b'\n' }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct History {
    /// Keeps the history of a terminal in this file [default: $XDG_STATE_HOME/sockeye/history, or
    /// ~/.local/state/sockeye/history]
    #[arg(long, value_name = "FILE", conflicts_with = "no_history")]
    pub(crate) history: Option<PathBuf>,
    /// Keeps no history
    #[arg(long)]
    pub(crate) no_history: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Conversation")]
pub(crate) struct Execute {
    /// Sends this message once the connection is open; can be repeated. The standard input is then not read
    #[arg(short = 'x', long, value_name = "MESSAGE")]
    pub(crate) execute: Vec<String>,
    /// Waits this long for replies after the last message of -x or of a pipe, and then closes. -1: until the server closes
    #[arg(
        short = 'w',
        long,
        visible_alias = "linger",
        value_name = "SECONDS",
        default_value = "2",
        allow_negative_numbers = true
    )]
    wait: Wait,
    /// Does not close the connection after the last message, as --wait -1
    #[arg(short = 'n', long, conflicts_with = "wait")]
    no_close: bool,
    /// Closes the connection after this many received messages
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_messages: Option<u64>,
}

impl Execute {
    /// How long to wait for replies. `None` if the server closes the connection.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self.wait {
            Wait::For(time) if !self.no_close => Some(time),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    #[command(flatten)]
    pub(crate) display: Display,
    /// Prints the headers of the opening handshake; twice: also what the event loop logs
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How messages are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text, and binary messages as they are; in a terminal as a dump.
    Plain,
    /// Binary messages in hexadecimal.
    Hex,
    /// Binary messages in base64.
    Base64,
    /// Events as JSON.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct FormatFlags {
    /// Prints a JSON object for each event
    #[arg(short = 'j', long, conflicts_with_all = ["base64", "hex"])]
    json: bool,
    /// Prints binary messages in base64
    #[arg(long, conflicts_with = "hex")]
    base64: bool,
    /// Prints binary messages in hexadecimal
    #[arg(long)]
    hex: bool,
}

impl FormatFlags {
    pub(crate) fn format(&self) -> Format {
        match (self.json, self.base64, self.hex) {
            (true, _, _) => Format::Json,
            (_, true, _) => Format::Base64,
            (_, _, true) => Format::Hex,
            _ => Format::Plain,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Display {
    /// Prints Pings and Pongs
    #[arg(short = 'P', long)]
    pub(crate) show_ping_pong: bool,
    /// Prints the time of each message
    #[arg(short = 't', long)]
    pub(crate) timestamps: bool,
    /// Prints messages and errors only
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
}

/// Parses the interval of Pings.
pub(super) fn interval(given: &str) -> Result<Duration, String> {
    match seconds(given)? {
        time if time < Duration::from_millis(1) => Err("expected at least 0.001".to_owned()),
        time => Ok(time),
    }
}
