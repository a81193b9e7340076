//! An error does the same to its connection, whichever hook returns it.

use std::io;

use ws::util::{Timeout, Token};
use ws::{Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Result, Sender, Settings};

use crate::support::{Peer, Server, guarded};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hook {
    Open,
    NewTimeout,
    Timeout,
    Frame,
    Message,
    SendFrame,
}

const HOOKS: [Hook; 6] =
    [Hook::Open, Hook::NewTimeout, Hook::Timeout, Hook::Frame, Hook::Message, Hook::SendFrame];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Internal,
    Capacity,
    Protocol,
    Encoding,
    Io,
    Custom,
}

impl Kind {
    fn error(self) -> Error {
        let kind = match self {
            Self::Internal => ErrorKind::Internal,
            Self::Capacity => ErrorKind::Capacity,
            Self::Protocol => ErrorKind::Protocol,
            Self::Encoding => return String::from_utf8(vec![0xff]).unwrap_err().utf8_error().into(),
            Self::Io => ErrorKind::Io(io::ErrorKind::Other.into()),
            Self::Custom => ErrorKind::Custom("no harm done".into()),
        };
        Error::new(kind, "on purpose")
    }
}

/// An echo that fails once, in one of its hooks.
struct Failing {
    out: Sender,
    hook: Hook,
    kind: Kind,
    has_failed: bool,
}

impl Failing {
    fn pass(&mut self, hook: Hook) -> Result<()> {
        if self.has_failed || hook != self.hook {
            return Ok(());
        }
        self.has_failed = true;
        Err(self.kind.error())
    }
}

impl Handler for Failing {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        if self.hook == Hook::NewTimeout || self.hook == Hook::Timeout {
            self.out.timeout(0, Token(0))?;
        }
        self.pass(Hook::Open)
    }

    fn on_new_timeout(&mut self, _: Token, _: Timeout) -> Result<()> {
        self.pass(Hook::NewTimeout)
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.pass(Hook::Timeout)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.pass(Hook::Frame)?;
        Ok(Some(frame))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.pass(Hook::Message)?;
        self.out.send(msg)
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.pass(Hook::SendFrame)?;
        Ok(Some(frame))
    }

    fn on_error(&mut self, _: Error) {
        assert!(self.has_failed);
        self.out.send("reported").unwrap();
    }
}

fn failing(hook: Hook, kind: Kind) -> (Server, Peer) {
    let settings = Settings { panic_on_internal: false, ..Settings::default() };
    let server =
        Server::run_with(settings, move || move |out| Failing { out, hook, kind, has_failed: false });
    let mut peer = Peer::open(server.addr);
    if matches!(hook, Hook::Frame | Hook::Message | Hook::SendFrame) {
        peer.send(text("a"));
    }
    (server, peer)
}

fn text(text: &str) -> Frame {
    Frame::message(text.into(), OpCode::Text, true)
}

fn closes_with(kind: Kind, code: u16) {
    guarded(move || {
        for hook in HOOKS {
            let (server, mut peer) = failing(hook, kind);
            assert_eq!(peer.close_code(), Some(code), "{hook:?}");
            drop(peer);
            server.stop();
        }
    });
}

#[test]
fn an_internal_error_closes_with_1011() {
    closes_with(Kind::Internal, 1011);
}

#[test]
fn a_capacity_error_closes_with_1009() {
    closes_with(Kind::Capacity, 1009);
}

#[test]
fn a_protocol_error_closes_with_1002() {
    closes_with(Kind::Protocol, 1002);
}

#[test]
fn an_encoding_error_closes_with_1007() {
    closes_with(Kind::Encoding, 1007);
}

#[test]
fn an_io_error_drops_the_connection() {
    guarded(|| [Hook::Frame, Hook::Message].into_iter().for_each(is_dropped));
}

/// In `on_open` and `on_new_timeout` the end may come before the response has left, so those cannot be asked.
pub(crate) fn is_dropped(hook: Hook) {
    let (server, mut peer) = failing(hook, Kind::Io);
    assert_eq!(peer.close_code(), None, "{hook:?}");
    drop(peer);
    server.stop();
}

#[test]
fn a_custom_error_is_reported_and_the_connection_stays_open() {
    guarded(|| {
        for hook in HOOKS {
            let (server, mut peer) = failing(hook, Kind::Custom);
            assert_eq!(peer.next_frame().unwrap().into_data(), b"reported", "{hook:?}");
            peer.send(text("b"));
            assert_eq!(peer.next_frame().unwrap().into_data(), b"b", "{hook:?}");
            drop(peer);
            server.stop();
        }
    });
}
