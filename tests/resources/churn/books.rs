//! The books of a loop: how often each hook was called, and nothing that grows.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::util::Token;
use sockeye::{CloseCode, Error, Factory, Handler, Handshake, Message, Result, Sender};

use sockeye_test_support::LIMIT;

/// One test at a time has the process to itself.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the hooks were called.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) made: AtomicUsize,
    pub(crate) opened: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    pub(crate) lost: AtomicUsize,
    pub(crate) errors: AtomicUsize,
    /// The highest slot that was ever taken.
    pub(crate) highest: AtomicUsize,
}

impl Books {
    /// Waits until everyone who came has gone.
    pub(crate) fn wait_for_balance(&self) {
        let end = Instant::now() + LIMIT;
        while self.made.load(SeqCst) != self.lost.load(SeqCst) {
            assert!(Instant::now() < end, "not everyone has gone: {self:?}");
            thread::park_timeout(Duration::from_millis(2));
        }
        assert_eq!(self.opened.load(SeqCst), self.closed.load(SeqCst), "{self:?}");
    }
}

/// Makes handlers that keep the books.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bookkeeper {
    pub(crate) books: Arc<Books>,
}

/// A handler that counts, echoes, and closes on request.
#[derive(Debug)]
pub(crate) struct Guest {
    books: Arc<Books>,
    out: Sender,
    is_open: bool,
}

impl Factory for Bookkeeper {
    type Handler = Guest;

    fn connection_made(&mut self, out: Sender) -> Guest {
        self.books.made.fetch_add(1, SeqCst);
        self.books.highest.fetch_max(out.token().0, SeqCst);
        Guest { books: Arc::clone(&self.books), out, is_open: false }
    }

    fn connection_lost(&mut self, guest: Guest) {
        assert!(!guest.is_open, "a connection that was open was not closed");
        self.books.lost.fetch_add(1, SeqCst);
    }
}

impl Handler for Guest {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        assert!(!self.is_open, "opened twice");
        self.is_open = true;
        self.books.opened.fetch_add(1, SeqCst);
        // They never fire; each must be removed with its connection.
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
        self.books.closed.fetch_add(1, SeqCst);
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        panic!("an hour has not passed");
    }

    fn on_error(&mut self, _: Error) {
        self.books.errors.fetch_add(1, SeqCst);
    }
}

/// Numbers that are the same in every run: xorshift.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `most`.
    pub(crate) fn roll(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % most
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.roll(most);
        (0..len).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }
}

/// The memory of the process in bytes; zero where the system does not report it.
pub(crate) fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// Waits until the process holds no more descriptors than it did.
pub(crate) fn wait_for_descriptors(before: usize) {
    let end = Instant::now() + LIMIT;
    while sockeye_test_support::system::descriptors() > before {
        assert!(
            Instant::now() < end,
            "{} descriptors, not {before}",
            sockeye_test_support::system::descriptors()
        );
        thread::park_timeout(Duration::from_millis(2));
    }
}
