//! Handlers that count their calls, and assert that every connection opens and closes once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sockeye::util::Token;
use sockeye::{CloseCode, Error, Factory, Handler, Handshake, Message, Result, Sender};

use crate::wait_until;

/// The number of calls of each method.
#[derive(Debug, Default)]
pub struct Counts {
    pub made: AtomicUsize,
    pub opened: AtomicUsize,
    pub closed: AtomicUsize,
    pub lost: AtomicUsize,
    pub errors: AtomicUsize,
    /// The highest slot that a connection has used.
    pub highest: AtomicUsize,
}

impl Counts {
    /// Waits until every handler has been returned to the factory.
    pub fn wait_for_balance(&self) {
        wait_until("all connections end", || self.made.load(SeqCst) == self.lost.load(SeqCst));
        assert_eq!(self.opened.load(SeqCst), self.closed.load(SeqCst), "{self:?}");
    }
}

/// The factory of [`CountingHandler`]s.
#[derive(Debug, Clone, Default)]
pub struct CountingFactory {
    pub counts: Arc<Counts>,
}

/// A handler that counts, echoes, and closes on request.
#[derive(Debug)]
pub struct CountingHandler {
    counts: Arc<Counts>,
    out: Sender,
    is_open: bool,
}

impl Factory for CountingFactory {
    type Handler = CountingHandler;

    fn connection_made(&mut self, out: Sender) -> CountingHandler {
        self.counts.made.fetch_add(1, SeqCst);
        self.counts.highest.fetch_max(out.token().0, SeqCst);
        CountingHandler { counts: Arc::clone(&self.counts), out, is_open: false }
    }

    fn connection_lost(&mut self, handler: CountingHandler) {
        assert!(!handler.is_open, "a connection that was open was not closed");
    }
}

/// The handler is dropped after it has been returned to the factory.
impl Drop for CountingHandler {
    fn drop(&mut self) {
        self.counts.lost.fetch_add(1, SeqCst);
    }
}

impl Handler for CountingHandler {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        assert!(!self.is_open, "opened twice");
        self.is_open = true;
        self.counts.opened.fetch_add(1, SeqCst);
        // These never fire. Each must be removed with its connection.
        (0..300).try_for_each(|number| self.out.timeout(3_600_000 + number, Token(1)))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        match msg.as_text() {
            Ok("close") => self.out.close(CloseCode::Normal),
            _ => self.out.send(msg),
        }
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        assert!(self.is_open, "closed twice, or without having been open");
        self.is_open = false;
        self.counts.closed.fetch_add(1, SeqCst);
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        panic!("an hour has not passed");
    }

    fn on_error(&mut self, _: Error) {
        self.counts.errors.fetch_add(1, SeqCst);
    }
}
