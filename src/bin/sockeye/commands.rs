//! What can be typed besides messages: commands that begin with a slash.

use sockeye::{CloseCode, Message};

use crate::escape;
use crate::files;

/// What `/help` prints.
pub(crate) const HELP: &str = "\
/ping [TEXT]             send a Ping, and print the round-trip time
/pong [TEXT]             send a Pong that no Ping has asked for
/binary HEX | @FILE      send a binary message
/text TEXT | @FILE       send a text message
/close [CODE [REASON]]   close the connection
/quit                    end the program, as Ctrl-D and Ctrl-C do
//TEXT                   send /TEXT";

/// What `/help` also prints for a server.
pub(crate) const SERVER_HELP: &str = "\
/to ID TEXT              send a text message to one client
/clients                 list the clients
The other commands concern all clients.";

/// The names, for completion with the tab key.
pub(crate) const NAMES: [&str; 9] =
    ["/binary ", "/clients", "/close", "/help", "/ping", "/pong", "/quit", "/text ", "/to "];

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Send(Message),
    SendTo(u32, Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseCode, String),
    Quit,
    Clients,
    Help,
}

impl Command {
    /// Parses a line that was typed. Without a slash at the beginning, or with two, it is a message.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else { return Ok(Self::Send(Message::text(line))) };
        if command.starts_with('/') {
            return Ok(Self::Send(Message::text(command)));
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "ping" => control_payload(rest).map(Self::Ping),
            "pong" => control_payload(rest).map(Self::Pong),
            "binary" => binary(rest).map(Self::Send),
            "text" => text(rest).map(Self::Send),
            "to" => send_to(rest),
            "close" => close(rest.trim()),
            "quit" => Ok(Self::Quit),
            "clients" => Ok(Self::Clients),
            "help" => Ok(Self::Help),
            _ => Err(format!("unknown command /{name}; /help lists the commands, and // sends a slash")),
        }
    }
}

/// The payload of a control frame has at most 125 bytes (§5.5).
fn control_payload(text: &str) -> Result<Vec<u8>, String> {
    if text.len() > 125 {
        return Err(format!("the text has {} bytes, more than 125", text.len()));
    }
    Ok(text.as_bytes().to_vec())
}

fn binary(argument: &str) -> Result<Message, String> {
    let bytes = match argument.trim().strip_prefix('@') {
        Some(path) => files::read(path)?,
        None => escape::parse_hex(argument)?,
    };
    Ok(Message::binary(bytes))
}

fn text(argument: &str) -> Result<Message, String> {
    let Some(path) = argument.strip_prefix('@') else { return Ok(Message::text(argument)) };
    let text = String::from_utf8(files::read(path.trim())?);
    text.map(Message::text).map_err(|_| format!("{path} is not UTF-8; /binary sends it"))
}

fn send_to(argument: &str) -> Result<Command, String> {
    let (id, text) = argument.split_once(' ').unwrap_or((argument, ""));
    let id = id.parse().map_err(|_| format!("\"{id}\" is not the number of a client"))?;
    Ok(Command::SendTo(id, Message::text(text)))
}

fn close(argument: &str) -> Result<Command, String> {
    let (code, reason) = argument.split_once(' ').unwrap_or((argument, ""));
    let code = match code {
        "" => CloseCode::Normal,
        _ => {
            code.parse::<u16>().map(CloseCode::from).map_err(|_| format!("\"{code}\" is not a close code"))?
        }
    };
    if !code.is_sendable() {
        return Err(format!("the close code {} must not be sent", u16::from(code)));
    }
    let reason = reason.trim();
    // The payload of a Close frame has at most 125 bytes, of which two are the code (§5.5).
    if reason.len() > 123 {
        return Err(format!("the reason has {} bytes, more than 123", reason.len()));
    }
    Ok(Command::Close(code, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn lines_are_messages_unless_they_begin_with_a_slash() {
        for (line, expected) in
            [("hello", "hello"), ("", ""), ("//x", "/x"), (" /ping", " /ping"), ("/text a b", "a b")]
        {
            assert_eq!(Command::parse(line), Ok(Command::Send(Message::text(expected))), "{line}");
        }
        assert_eq!(Command::parse("/help"), Ok(Command::Help));
        assert_eq!(Command::parse("/quit"), Ok(Command::Quit));
        assert!(Command::parse("/nonsense").is_err());
    }

    #[test]
    fn pings_have_a_payload_of_125_bytes_at_most() {
        assert_eq!(Command::parse("/ping"), Ok(Command::Ping(Vec::new())));
        assert_eq!(Command::parse("/pong a b"), Ok(Command::Pong(b"a b".to_vec())));
        assert!(Command::parse(&format!("/ping {}", "x".repeat(125))).is_ok());
        assert!(Command::parse(&format!("/ping {}", "x".repeat(126))).is_err());
    }

    #[test]
    fn close_accepts_a_code_and_a_reason() {
        let cases = [
            ("/close", CloseCode::Normal, ""),
            ("/close 1001", CloseCode::Away, ""),
            ("/close 4321  two words ", CloseCode::Other(4321), "two words"),
        ];
        for (line, code, reason) in cases {
            assert_eq!(Command::parse(line), Ok(Command::Close(code, reason.to_owned())), "{line}");
        }
        for line in ["/close 999", "/close 1006", "/close words", "/close 5000"] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
        assert!(Command::parse(&format!("/close 1000 {}", "x".repeat(124))).is_err());
    }

    #[test]
    fn binary_messages_are_digits_or_a_file() {
        assert_eq!(Command::parse("/binary 00ff 10"), Ok(Command::Send(Message::binary([0, 255, 16]))));
        assert!(
            Command::parse("/binary xyz").is_err() && Command::parse("/binary @/does/not/exist").is_err()
        );
        let path = temporary("commands-test");
        fs::write(&path, [1, 2, 255]).unwrap();
        let line = format!("/binary @{}", path.display());
        assert_eq!(Command::parse(&line), Ok(Command::Send(Message::binary([1, 2, 255]))));
        assert!(Command::parse(&format!("/text @{}", path.display())).is_err());
        fs::write(&path, "ä").unwrap();
        assert_eq!(
            Command::parse(&format!("/text @{}", path.display())),
            Ok(Command::Send(Message::text("ä")))
        );
        fs::remove_file(&path).unwrap();
    }

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_client_can_be_addressed() {
        assert_eq!(Command::parse("/to 3 a b"), Ok(Command::SendTo(3, Message::text("a b"))));
        assert!(Command::parse("/to x y").is_err());
    }

    #[test]
    fn each_completion_is_a_command() {
        for name in NAMES {
            let line = if name == "/to " { "/to 1 x" } else { name };
            assert!(Command::parse(line).is_ok(), "{name}");
        }
    }
}
