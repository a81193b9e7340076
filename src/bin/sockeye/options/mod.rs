//! The command line.

mod bench;
mod connect;
mod listen;
mod messages;
mod request;
mod tls;
mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub(crate) use self::bench::{BenchOptions, Load};
pub(crate) use self::connect::{ConnectOptions, Timing};
pub(crate) use self::listen::ListenOptions;
pub(crate) use self::messages::{Format, History, Input, OutputOptions, Records};
pub(crate) use self::request::{Header, RequestOptions};
pub(crate) use self::tls::{ClientTlsOptions, Credentials, Version};
pub(crate) use self::values::Compression;
use crate::exit::{self, Exit};

const ABOUT: &str = "\
A WebSocket client, server and load generator for the terminal and for scripts.

In a terminal, each line that you type is sent as a text message; /help lists what else can be typed. Otherwise each line of the
standard input is sent. Messages are written to the standard output, everything else to the standard error.";

const EXAMPLES: &str = "\
Examples:
  sockeye wss://example.com/chat
  sockeye example.com:8080 -H 'Cookie: session=1' -s chat.v2
  printf 'one\\ntwo\\n' | sockeye connect ws://127.0.0.1:3012 --max-messages 2
  sockeye listen 3012 --echo
  sockeye bench ws://127.0.0.1:3012 --connections 100 --duration 10";

#[derive(Parser)]
#[command(name = "sockeye", version, about = ABOUT)]
#[command(after_help = format!("`sockeye URL` is short for `sockeye connect URL`.\n\n{EXAMPLES}\n\n{}", exit::TABLE))]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Connects to a server, sends what is typed or piped in, and prints what arrives
    #[command(after_help = exit::TABLE)]
    Connect(Box<ConnectOptions>),
    /// Accepts clients, prints what they send, and sends each line that is typed or piped in to all of them
    #[command(after_help = exit::TABLE)]
    Listen(Box<ListenOptions>),
    /// Measures the throughput and the latency of a server that returns each message
    #[command(after_help = exit::TABLE)]
    Bench(Box<BenchOptions>),
}

/// What the command line asks for.
pub(crate) enum Parsed {
    Command(Box<Command>),
    /// Help, or what is wrong.
    Text {
        text: String,
        exit: Exit,
    },
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    match Arguments::try_parse_from(with_command(arguments.into_iter().collect())) {
        Ok(arguments) => Parsed::Command(Box::new(arguments.command)),
        Err(err) => {
            let is_help = matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let exit = if is_help { Exit::Success } else { Exit::Usage };
            Parsed::Text { text: err.to_string(), exit }
        }
    }
}

/// Inserts `connect` if the first argument is not a command.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    const FIRST: [&str; 8] = ["connect", "listen", "bench", "help", "--help", "-h", "--version", "-V"];
    if let Some(first) = arguments.get(1)
        && !FIRST.iter().any(|command| first == command)
    {
        arguments.insert(1, "connect".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    pub(super) fn parse_line(line: &str) -> Result<Command, String> {
        let arguments =
            ["sockeye"].into_iter().chain(line.split('|').filter(|argument| !argument.is_empty()));
        match parse(arguments.map(OsString::from)) {
            Parsed::Command(command) => Ok(*command),
            Parsed::Text { text, .. } => Err(text),
        }
    }

    fn connect(line: &str) -> ConnectOptions {
        match parse_line(line) {
            Ok(Command::Connect(options)) => *options,
            Ok(_) => panic!("{line}: another command"),
            Err(err) => panic!("{line}: {err}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn connect_is_the_default_command() {
        assert_eq!(connect("ws://host/").url.as_str(), "ws://host/");
        assert_eq!(connect("-H|A: b|host:1").url.as_str(), "ws://host:1/");
        assert_eq!(connect("connect|wss://host").url.as_str(), "wss://host/");
        assert!(matches!(parse_line("listen|3012"), Ok(Command::Listen(_))));
        assert!(matches!(parse_line("bench|host"), Ok(Command::Bench(_))));
    }

    #[test]
    fn help_is_no_error_and_mistakes_are() {
        for (line, expected) in
            [("--help", Exit::Success), ("-V", Exit::Success), ("", Exit::Usage), ("--no", Exit::Usage)]
        {
            let arguments =
                ["sockeye"].into_iter().chain(line.split('|').filter(|argument| !argument.is_empty()));
            match parse(arguments.map(OsString::from)) {
                Parsed::Text { exit, .. } => assert_eq!(exit, expected, "{line}"),
                Parsed::Command(_) => panic!("{line} is accepted"),
            }
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_rejected() {
        for line in [
            "host|--json|--hex",
            "host|--hex|--base64",
            "host|--null|--one-message",
            "host|--basic-auth|a:b|--bearer|c",
            "host|--key|k",
            "host|--cert|c",
            "listen|1|--cert|c",
            "host|--wait|1|--no-close",
            "bench|host|--count|1|--duration|1",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn repeated_options_are_collected() {
        let options = connect("host|-H|A: b|-s|x|-H|C:d|-s|y|-x|one|-x|two");
        let headers: Vec<_> = options.request.header.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(headers, ["A", "C"]);
        assert_eq!(options.request.subprotocol, ["x", "y"]);
        assert_eq!(options.execute.execute, ["one", "two"]);
    }
}
