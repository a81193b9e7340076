//! Events as lines of text, or as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sockeye::{Message, Response};

use crate::escape;
use crate::event::{Event, Opening, describe, millis};
use crate::options::Format;
use crate::timestamp;

/// How events are printed.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) format: Format,
    /// Whether messages are printed for a person, so that control characters are escaped.
    pub(crate) is_terminal: bool,
    pub(crate) has_timestamps: bool,
    /// The byte behind each message in a pipe.
    pub(crate) terminator: u8,
    pub(crate) verbosity: Verbosity,
}

/// Which events besides messages and errors are printed as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verbosity {
    pub(crate) is_quiet: bool,
    pub(crate) shows_pings: bool,
    pub(crate) shows_headers: bool,
}

impl Style {
    fn time(&self) -> String {
        if self.has_timestamps { timestamp::now() + " " } else { String::new() }
    }

    /// Formats a message for the standard output, with what separates it from the next one.
    pub(crate) fn message(&self, client: Option<u32>, message: &Message) -> Vec<u8> {
        let mut line = self.time();
        if let Some(client) = client {
            line += &format!("[{client}] ");
        } else if self.is_terminal {
            line += "< ";
        }
        let mut line = line.into_bytes();
        match message {
            Message::Text(text) if self.is_terminal => line.extend_from_slice(escape::text(text).as_bytes()),
            Message::Text(text) => line.extend_from_slice(text.as_bytes()),
            Message::Binary(bytes) => match self.binary(client, bytes) {
                Some(text) => line.extend_from_slice(text.as_bytes()),
                None => return [line, bytes.clone()].concat(),
            },
        }
        line.push(if self.is_terminal { b'\n' } else { self.terminator });
        line
    }

    /// Formats a binary message. `None` if its bytes are written as they are, so that a pipe receives exactly these.
    fn binary(&self, client: Option<u32>, bytes: &[u8]) -> Option<String> {
        match self.format {
            Format::Base64 => Some(STANDARD.encode(bytes)),
            Format::Hex => Some(escape::hex(bytes)),
            _ if self.is_terminal && bytes.is_empty() => Some("0 bytes".to_owned()),
            _ if self.is_terminal => Some(format!("{} bytes\n{}", bytes.len(), escape::dump(bytes))),
            _ if client.is_some() => Some(escape::hex(bytes)),
            _ => None,
        }
    }

    /// Formats an event other than a message for the standard error. `None` if it is not shown.
    pub(crate) fn status(&self, client: Option<u32>, event: &Event<'_>) -> Option<String> {
        let Verbosity { is_quiet, shows_pings, shows_headers } = self.verbosity;
        let text = match event {
            Event::Error { text, .. } => format!("error: {}", escape::line(text)),
            Event::Rejected(response) => rejected(response, shows_headers),
            Event::Pong(payload, Some(time)) => {
                format!("pong {} after {}", escape::payload(payload), millis(*time))
            }
            Event::Ping(payload) if shows_pings => format!("ping {}", escape::payload(payload)),
            Event::Pong(payload, None) if shows_pings => {
                format!("pong {} without a ping", escape::payload(payload))
            }
            _ if is_quiet => return None,
            Event::Listening { url } => format!("listening on {url}"),
            Event::Open(opening) => opened(opening, client, shows_headers),
            Event::Close(code, reason) => format!("closed {}", describe(*code, reason)),
            Event::Lost => "the connection was lost".to_owned(),
            Event::Retry(wait) => format!("connecting again in {:.1} s", wait.as_secs_f64()),
            Event::Message(_) | Event::Ping(_) | Event::Pong(..) => return None,
        };
        let client = client.map(|client| format!("[{client}] ")).unwrap_or_default();
        Some(format!("{}{client}{text}\n", self.time()))
    }

    /// Formats an event as a JSON object on a line.
    pub(crate) fn json(&self, client: Option<u32>, event: &Event<'_>) -> String {
        let mut object = fields(event);
        object["time"] = timestamp::now().into();
        if let Some(client) = client {
            object["client"] = client.into();
        }
        let line = format!("{object}\n");
        if self.is_terminal { escape::json(&line) } else { line }
    }
}

fn opened(opening: &Opening<'_>, client: Option<u32>, shows_headers: bool) -> String {
    let peer = escape::line(opening.peer);
    let mut text = match client {
        Some(_) => format!("{peer} has connected to {}", escape::line(opening.request.resource())),
        None => format!("connected to {peer}"),
    };
    if let Ok(Some(protocol)) = opening.response.protocol() {
        text += &format!(", subprotocol {}", escape::line(protocol));
    }
    if let Some(version) = opening.tls {
        text += &format!(", {version}");
    }
    if is_compressed(opening.response) {
        text += ", compressed";
    }
    if shows_headers {
        text += &format!("\n  {} {}", opening.request.method(), escape::line(opening.request.resource()));
        text += &header_lines(opening.request.headers());
        text += &format!("\n  {} {}", opening.response.status(), escape::line(opening.response.reason()));
        text += &header_lines(opening.response.headers());
    }
    text
}

fn is_compressed(response: &Response) -> bool {
    response.extensions().is_ok_and(|all| all.iter().any(|one| one.starts_with("permessage-deflate")))
}

fn rejected(response: &Response, shows_headers: bool) -> String {
    let mut text =
        format!("error: the server answered {} {}", response.status(), escape::line(response.reason()));
    if shows_headers {
        text += &header_lines(response.headers());
    }
    text
}

/// Formats header fields. Credentials are left out, because people show such output to others.
fn header_lines(headers: &[(String, Vec<u8>)]) -> String {
    let shown = headers.iter().map(|(name, value)| match is_secret(name) {
        true => format!("\n  {name}: ..."),
        false => format!("\n  {}: {}", escape::line(name), escape::line(&String::from_utf8_lossy(value))),
    });
    shown.collect()
}

fn is_secret(name: &str) -> bool {
    ["Authorization", "Proxy-Authorization", "Cookie"].iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

fn fields(event: &Event<'_>) -> Value {
    match event {
        Event::Listening { url } => json!({"event": "listening", "url": url}),
        Event::Open(opening) => json!({
            "event": "open",
            "peer": opening.peer,
            "resource": opening.request.resource(),
            "status": opening.response.status(),
            "subprotocol": opening.response.protocol().ok().flatten(),
            "tls": opening.tls,
            "compressed": is_compressed(opening.response),
            "request_headers": header_values(opening.request.headers()),
            "response_headers": header_values(opening.response.headers()),
        }),
        Event::Message(Message::Text(text)) => {
            json!({"event": "message", "type": "text", "data": text.as_str()})
        }
        Event::Message(Message::Binary(bytes)) => {
            json!({"event": "message", "type": "binary", "data": STANDARD.encode(bytes)})
        }
        Event::Ping(payload) => json!({"event": "ping", "data": String::from_utf8_lossy(payload)}),
        Event::Pong(payload, time) => json!({
            "event": "pong",
            "data": String::from_utf8_lossy(payload),
            "round_trip_ms": time.map(|time| time.as_secs_f64() * 1000.0),
        }),
        Event::Close(code, reason) => json!({"event": "close", "code": u16::from(*code), "reason": reason}),
        Event::Lost => json!({"event": "lost"}),
        Event::Retry(wait) => json!({"event": "retry", "wait_ms": wait.as_secs_f64() * 1000.0}),
        Event::Rejected(response) => json!({
            "event": "rejected",
            "status": response.status(),
            "reason": response.reason(),
            "headers": header_values(response.headers()),
        }),
        Event::Error { text, exit } => json!({"event": "error", "message": text, "exit_code": exit.code()}),
    }
}

/// Header fields as pairs, because a name can be repeated.
fn header_values(headers: &[(String, Vec<u8>)]) -> Value {
    let pairs = headers.iter().map(|(name, value)| match is_secret(name) {
        true => json!([name, "..."]),
        false => json!([name, String::from_utf8_lossy(value)]),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sockeye::CloseCode;

    use super::*;
    use crate::exit::Exit;

    fn style(format: Format, is_terminal: bool) -> Style {
        let verbosity = Verbosity { is_quiet: false, shows_pings: false, shows_headers: false };
        Style { format, is_terminal, has_timestamps: false, terminator: b'\n', verbosity }
    }

    #[test]
    fn a_pipe_receives_messages_as_they_are() {
        let pipe = style(Format::Plain, false);
        assert_eq!(pipe.message(None, &Message::text("a\x1b[31m")), b"a\x1b[31m\n");
        assert_eq!(pipe.message(None, &Message::binary([0, 10])), [0, 10]);
        assert_eq!(pipe.message(Some(3), &Message::text("a")), b"[3] a\n");
        assert_eq!(pipe.message(Some(3), &Message::binary([0, 10])), b"[3] 000a\n");
        assert_eq!(style(Format::Base64, false).message(None, &Message::binary([0, 10])), b"AAo=\n");
        assert_eq!(style(Format::Hex, false).message(None, &Message::binary([0, 10])), b"000a\n");
        let null = Style { terminator: 0, ..pipe };
        assert_eq!(null.message(None, &Message::text("a\nb")), b"a\nb\0");
    }

    #[test]
    fn a_terminal_receives_escaped_messages() {
        let terminal = style(Format::Plain, true);
        assert_eq!(terminal.message(None, &Message::text("a\x1b[31m")), b"< a\\u{1b}[31m\n");
        let dump = String::from_utf8(terminal.message(None, &Message::binary(*b"ab"))).unwrap();
        assert!(dump.starts_with("< 2 bytes\n  00000000  61 62 ") && dump.ends_with("|ab|\n"), "{dump}");
    }

    #[test]
    fn status_lines_are_escaped_and_can_be_hidden() {
        let mut style = style(Format::Plain, true);
        let close = Event::Close(CloseCode::Normal, "bye\x1b");
        assert_eq!(style.status(None, &close).unwrap(), "closed with 1000 Normal: bye\\u{1b}\n");
        assert!(style.status(None, &Event::Ping(b"x")).is_none());
        style.verbosity = Verbosity { is_quiet: true, shows_pings: true, shows_headers: false };
        assert!(style.status(None, &close).is_none());
        assert_eq!(style.status(None, &Event::Ping(b"x")).unwrap(), "ping \"x\"\n");
        let error = Event::Error { text: "no", exit: Exit::Lost };
        assert_eq!(style.status(Some(1), &error).unwrap(), "[1] error: no\n");
    }

    #[test]
    fn events_are_json_objects() {
        let parse = |event: &Event<'_>| -> Value {
            let line = style(Format::Json, false).json(Some(2), event);
            assert_eq!(line.matches('\n').count(), 1);
            serde_json::from_str(&line).unwrap()
        };
        let message = parse(&Event::Message(&Message::text("a\nb\"")));
        assert_eq!((message["data"].as_str(), message["client"].as_u64()), (Some("a\nb\""), Some(2)));
        let pong = parse(&Event::Pong(b"x", Some(Duration::from_micros(1500))));
        assert_eq!(pong["round_trip_ms"].as_f64(), Some(1.5));
        let error = parse(&Event::Error { text: "no", exit: Exit::Tls });
        assert_eq!(error["exit_code"], 4);
        assert!(error["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn credentials_are_not_shown() {
        let headers = [("authorization".to_owned(), b"Basic abc".to_vec()), ("X".to_owned(), b"y".to_vec())];
        assert_eq!(header_lines(&headers), "\n  authorization: ...\n  X: y");
        assert_eq!(header_values(&headers).to_string(), r#"[["authorization","..."],["X","y"]]"#);
    }
}
