//! The thread that reads the input and calls the `Sender`.

use std::io::{self, BufRead};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::{CloseCode, Error, ErrorKind, QueueError, Result, Sender};

use crate::options::COMMANDS;
use crate::session::INPUT_ENDED;

/// Reading pauses while more bytes than this are unsent.
const MAX_UNSENT: usize = 1 << 20;
/// How long reading pauses before it checks again.
const PAUSE: Duration = Duration::from_millis(2);

/// Reads until the input ends or a command closes the connection.
pub(crate) fn read(out: &Sender, started: Instant) {
    match read_lines(out, started) {
        Ok(()) => {}
        // The loop has ended, and the program is about to end too.
        Err(Error { kind: ErrorKind::Queue(_), .. }) => {}
        Err(err) => eprintln!("cannot read the input: {err}"),
    }
}

fn read_lines(out: &Sender, started: Instant) -> Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        match Line::parse(&line) {
            Ok(Line::Message(text)) => send(out, text)?,
            Ok(Line::Ping) => out.ping(stamp(started))?,
            Ok(Line::Help) => eprintln!("{COMMANDS}"),
            Ok(Line::Close(code, reason)) => match out.close_with_reason(code, reason) {
                Ok(()) => return Ok(()),
                Err(err) => eprintln!("cannot close the connection: {err}"),
            },
            Err(complaint) => eprintln!("{complaint}"),
        }
    }
    // A timer, so that the session learns of it after everything that was sent before.
    out.timeout(0, INPUT_ENDED)
}

/// Sends a message. A pipe can be faster than the network, so this waits until the queue is short enough.
fn send(out: &Sender, text: &str) -> Result<()> {
    while out.buffered_amount() > MAX_UNSENT {
        thread::sleep(PAUSE);
    }
    loop {
        match out.send(text) {
            Err(Error { kind: ErrorKind::Queue(QueueError::Full), .. }) => thread::sleep(PAUSE),
            sent => return sent,
        }
    }
}

/// Returns the payload of a ping: the time when it was sent, from which the pong's round-trip time is computed.
pub(crate) fn stamp(started: Instant) -> Vec<u8> {
    let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    nanos.to_be_bytes().to_vec()
}

/// Returns the time since the ping, if the payload comes from [`stamp`].
pub(crate) fn elapsed(started: Instant, payload: &[u8]) -> Option<Duration> {
    let sent = Duration::from_nanos(u64::from_be_bytes(payload.try_into().ok()?));
    started.elapsed().checked_sub(sent)
}

enum Line<'a> {
    Message(&'a str),
    Ping,
    Close(CloseCode, String),
    Help,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> std::result::Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else { return Ok(Self::Message(line)) };
        if command.starts_with('/') {
            return Ok(Self::Message(command));
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "ping" => Ok(Self::Ping),
            "quit" => Ok(Self::Close(CloseCode::Normal, String::new())),
            "close" => Self::parse_close(rest.trim()),
            "help" => Ok(Self::Help),
            _ => Err(format!("unknown command /{name}; /help lists the commands")),
        }
    }

    fn parse_close(rest: &str) -> std::result::Result<Self, String> {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = match code {
            "" => CloseCode::Normal,
            _ => match code.parse::<u16>() {
                Ok(code @ 1000..=4999) => code.into(),
                _ => return Err(format!("{code} is not a close code; expected 1000 to 4999")),
            },
        };
        Ok(Self::Close(code, reason.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_unless_they_begin_with_a_slash() {
        for (line, text) in [("hello", "hello"), ("", ""), ("//x", "/x"), (" /ping", " /ping")] {
            assert!(matches!(Line::parse(line), Ok(Line::Message(message)) if message == text), "{line}");
        }
        assert!(matches!(Line::parse("/ping"), Ok(Line::Ping)));
        assert!(matches!(Line::parse("/help"), Ok(Line::Help)));
        assert!(Line::parse("/pong").is_err());
    }

    #[test]
    fn close_accepts_a_code_and_a_reason() {
        let cases = [
            ("/quit", CloseCode::Normal, ""),
            ("/close", CloseCode::Normal, ""),
            ("/close 1001", CloseCode::Away, ""),
            ("/close 4321  two words ", CloseCode::Other(4321), "two words"),
        ];
        for (line, code, reason) in cases {
            let parsed = Line::parse(line);
            assert!(matches!(parsed, Ok(Line::Close(c, r)) if (c, r.as_str()) == (code, reason)), "{line}");
        }
        assert!(Line::parse("/close 999").is_err() && Line::parse("/close words").is_err());
    }

    #[test]
    fn the_payload_of_a_ping_contains_its_time() {
        let started = Instant::now();
        assert!(elapsed(started, &stamp(started)).is_some());
        assert!(elapsed(started, b"not a stamp").is_none() && elapsed(started, b"").is_none());
    }
}
