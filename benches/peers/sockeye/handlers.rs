//! Handlers that are structs.

use sockeye::util::{Timeout, Token};
use sockeye::{Frame, Handler, Message, Result, Sender};

/// A handler that echoes messages.
pub(crate) struct Echo {
    out: Sender,
}

impl Echo {
    pub(crate) fn new(out: Sender) -> Self {
        Self { out }
    }
}

impl Handler for Echo {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.out.send(message)
    }
}

/// A handler that sends each message to all connections.
pub(crate) struct Broadcaster {
    out: Sender,
}

impl Broadcaster {
    pub(crate) fn new(out: Sender) -> Self {
        Self { out }
    }
}

impl Handler for Broadcaster {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.out.broadcast(message)
    }
}

/// The time without a frame after which a connection would be closed.
const EXPIRY: u64 = 30_000;
const EXPIRE: Token = Token(1);

/// A handler that echoes messages, and moves its timeout with every frame.
pub(crate) struct Expiring {
    out: Sender,
    expiry: Option<Timeout>,
    rearm: Rearm,
}

/// How a timeout moves.
enum Rearm {
    /// It is set again, and the earlier one is cancelled, as programs for ws do.
    Set,
    /// As in the example `pong`.
    Postpone,
}

impl Expiring {
    pub(crate) fn new(out: Sender) -> Self {
        Self { out, expiry: None, rearm: Rearm::Set }
    }

    pub(crate) fn postponing(out: Sender) -> Self {
        Self { rearm: Rearm::Postpone, ..Self::new(out) }
    }
}

impl Handler for Expiring {
    fn on_open(&mut self, _: sockeye::Handshake) -> Result<()> {
        self.out.timeout(EXPIRY, EXPIRE)
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.out.send(message)
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        match self.expiry.replace(timeout) {
            Some(earlier) => self.out.cancel(earlier),
            None => Ok(()),
        }
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match (&self.rearm, &self.expiry) {
            (Rearm::Postpone, Some(expiry)) => self.out.postpone(expiry, EXPIRY)?,
            _ => self.out.timeout(EXPIRY, EXPIRE)?,
        }
        Ok(Some(frame))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.out.close(sockeye::CloseCode::Away)
    }
}
