//! The loop: time-outs, and messages from another thread. Each round is a loop of its own, from its start to its
//! shutdown, with one connection to itself; the work within is large enough for the rest not to matter.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use sockeye::util::{Timeout, Token};
use sockeye::{
    Error, ErrorKind, Factory, Handler, Handshake, Message, QueueError, Result, Sender, WebSocket,
};

/// Time-outs that pend while others come and go.
const PENDING: usize = 100_000;
/// Pairs of scheduling and cancelling in a round.
const PAIRS: usize = 1_000_000;
/// Messages from another thread in a round.
const MESSAGES: usize = 1_000_000;
/// An hour, in milliseconds: nothing comes due.
const LATER: u64 = 3_600_000;
const ALARM: Token = Token(1);

fn main() {
    divan::main();
}

/// Runs a loop that is a server, and a client of itself, until it is shut down.
fn run<F: Factory>(factory: F) -> Result<()> {
    let mut socket = WebSocket::new(factory)?.bind("127.0.0.1:0")?;
    let url = format!("ws://{}", socket.local_addr()?);
    let url = url.parse().map_err(|_| Error::new(ErrorKind::Internal, format!("{url} is no URL")))?;
    socket.connect(url)?;
    socket.run().map(drop)
}

/// Schedules `PENDING` time-outs, and then, for each further one, cancels it and schedules the next.
struct Timers {
    out: Sender,
    made: usize,
    /// Whether one of the two ends has begun.
    begun: Rc<Cell<bool>>,
}

impl Handler for Timers {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        if self.begun.replace(true) {
            return Ok(());
        }
        (0..=PENDING).try_for_each(|_| self.out.timeout(LATER, ALARM))
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        self.made += 1;
        if self.made <= PENDING {
            Ok(())
        } else if self.made <= PENDING + PAIRS {
            self.out.cancel(timeout)?;
            self.out.timeout(LATER, ALARM)
        } else {
            self.out.shutdown()
        }
    }
}

/// A time-out is scheduled and cancelled while 100,000 others pend.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn schedule_and_cancel(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        let begun = Rc::default();
        run(|out| Timers { out, made: 0, begun: Rc::clone(&begun) }).is_ok()
    });
}

/// One end is sent to by another thread, the other end counts what arrives.
struct Ends {
    out: Sender,
    heard: usize,
    begun: Rc<Cell<bool>>,
}

impl Handler for Ends {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        if !self.begun.replace(true) {
            let out = self.out.clone();
            thread::spawn(move || speak(&out));
        }
        Ok(())
    }

    fn on_message(&mut self, _: Message) -> Result<()> {
        self.heard += 1;
        if self.heard == MESSAGES { self.out.shutdown() } else { Ok(()) }
    }
}

fn speak(out: &Sender) {
    let mut sent = 0;
    while sent < MESSAGES {
        match out.send("twenty bytes of text") {
            Ok(()) => sent += 1,
            // The loop has to catch up.
            Err(error) if matches!(error.kind, ErrorKind::Queue(QueueError::Full)) => thread::yield_now(),
            Err(_) => return,
        }
    }
}

/// Messages of 20 bytes are queued by another thread as fast as there is room, travel over TCP, and arrive.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn send_from_another_thread(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let begun = Rc::default();
        run(|out| Ends { out, heard: 0, begun: Rc::clone(&begun) }).is_ok()
    });
}
