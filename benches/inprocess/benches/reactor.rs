//! The loop: timeouts, and messages from another thread. Each round is a loop of its own, from its start to its
//! shutdown, with one connection to itself; the work within is large enough for the rest not to matter.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use sockeye::util::{Timeout, Token};
use sockeye::{Error, ErrorKind, Factory, Handler, Handshake, QueueError, Result, Sender, WebSocket};

/// Timeouts that are pending while others come and go.
const PENDING: usize = 100_000;
/// Timeouts that are scheduled together, as by connections that are active in the same turn.
const BATCH: usize = 100;
/// Pairs of scheduling and cancelling in a round.
const PAIRS: usize = 1_000_000;
/// Messages from another thread in a round.
const MESSAGES: usize = 1_000_000;
const MESSAGE: &str = "some twenty bytes...";
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

/// Schedules `PENDING` timeouts, and then again and again a batch, each of which is cancelled as soon as it is made.
struct Timers {
    out: Sender,
    made: usize,
    /// Whether one of the two ends has begun.
    begun: Rc<Cell<bool>>,
}

impl Timers {
    fn schedule(&self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.out.timeout(LATER, ALARM))
    }
}

impl Handler for Timers {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        if self.begun.replace(true) { Ok(()) } else { self.schedule(PENDING + BATCH) }
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        self.made += 1;
        if self.made <= PENDING {
            return Ok(());
        }
        self.out.cancel(timeout)?;
        match self.made - PENDING {
            PAIRS => self.out.shutdown(),
            pairs if pairs % BATCH == 0 => self.schedule(BATCH),
            _ => Ok(()),
        }
    }
}

/// A timeout is scheduled and cancelled while 100,000 others are pending.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn schedule_and_cancel(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        let begun = Rc::default();
        run(|out| Timers { out, made: 0, begun: Rc::clone(&begun) }).is_ok()
    });
}

/// What another thread sends to.
struct Target {
    out: Sender,
}

impl Handler for Target {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        let out = self.out.clone();
        thread::spawn(move || speak(&out));
        Ok(())
    }
}

/// Connects without a library, and takes what comes, until it is all there.
fn listen_to(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )?;
    let mut buffer = vec![0; 256 * 1024];
    let mut left = MESSAGES * (2 + MESSAGE.len());
    while left > 0 {
        // The head of the response is longer than one message, and is taken for some.
        let len = stream.read(&mut buffer)?;
        left = if len == 0 { 0 } else { left.saturating_sub(len) };
    }
    Ok(())
}

fn speak(out: &Sender) {
    let mut sent = 0;
    while sent < MESSAGES {
        match out.send(MESSAGE) {
            Ok(()) => sent += 1,
            // The loop has to catch up.
            Err(error) if matches!(error.kind, ErrorKind::Queue(QueueError::Full)) => thread::yield_now(),
            Err(_) => return,
        }
    }
}

/// Messages of 20 bytes are queued by another thread as fast as there is room, and leave over TCP.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn send_from_another_thread(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let socket = WebSocket::new(|out| Target { out })?.bind("127.0.0.1:0")?;
        let (address, loop_) = (socket.local_addr()?, socket.broadcaster());
        let running = thread::spawn(move || socket.run().map(drop));
        listen_to(address)?;
        loop_.shutdown()?;
        running.join().unwrap_or(Ok(()))
    });
}
