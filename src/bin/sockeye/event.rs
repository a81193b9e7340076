//! What can happen, for the output.

use std::time::Duration;

use sockeye::{CloseCode, Message, Request, Response};

use crate::exit::Exit;

pub(crate) enum Event<'a> {
    /// A server accepts clients.
    Listening {
        url: &'a str,
    },
    /// A connection is open.
    Open(Opening<'a>),
    Message(&'a Message),
    Ping(&'a [u8]),
    /// The time is that since the Ping. It is missing if there was none.
    Pong(&'a [u8], Option<Duration>),
    /// The peer has sent a Close frame.
    Close(CloseCode, &'a str),
    /// The connection has ended without a Close frame of the peer.
    Lost,
    /// The client waits, and then connects again.
    Retry(Duration),
    /// The server has answered the opening handshake with another status than 101.
    Rejected(&'a Response),
    Error {
        text: &'a str,
        exit: Exit,
    },
}

/// The opening handshake.
pub(crate) struct Opening<'a> {
    /// The URL of the server, or the address of the client.
    pub(crate) peer: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) response: &'a Response,
    pub(crate) tls: Option<&'static str>,
}

/// Formats a close code with its name.
pub(crate) fn describe(code: CloseCode, reason: &str) -> String {
    let number = u16::from(code);
    let name = match code {
        CloseCode::Status => return "without a code".to_owned(),
        CloseCode::Other(_) => String::new(),
        code => format!(" {code:?}"),
    };
    if reason.is_empty() {
        format!("with {number}{name}")
    } else {
        format!("with {number}{name}: {}", crate::escape::line(reason))
    }
}

/// Formats a round-trip time in milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
