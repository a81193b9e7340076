//! The event loop: timeouts, and messages from another thread. Each round runs a new loop from its start to its
//! shutdown. The work in a round is so large that the start and the shutdown do not matter.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use sockeye::util::{Timeout, Token};
use sockeye::{Error, ErrorKind, Factory, Handler, Handshake, QueueError, Result, Sender, WebSocket};

/// The number of timeouts that stay pending while others are scheduled and cancelled.
const PENDING: usize = 100_000;
/// The number of timeouts that are scheduled together, as by connections that are active in the same turn.
const BATCH: usize = 100;
/// The number of timeouts that are scheduled and cancelled in a round.
const PAIRS: usize = 1_000_000;
/// The number of messages from another thread in a round.
const MESSAGES: usize = 1_000_000;
const MESSAGE: &str = "some twenty bytes...";
/// One hour in milliseconds, so that no timeout expires.
const LATER: u64 = 3_600_000;
const ALARM: Token = Token(1);

fn main() {
    divan::main();
}

/// Runs a loop that is a server and connects to itself, until it is shut down.
fn run<F: Factory>(factory: F) -> Result<()> {
    let mut socket = WebSocket::new(factory)?.bind("127.0.0.1:0")?;
    let url = format!("ws://{}", socket.local_addr()?);
    let url = url.parse().map_err(|_| Error::new(ErrorKind::Internal, format!("{url} is not a URL")))?;
    socket.connect(url)?;
    socket.run().map(drop)
}

/// Schedules `PENDING` timeouts, and then batches of timeouts, which are cancelled as soon as they have been scheduled.
struct Timers {
    out: Sender,
    made: usize,
    /// Whether one of the two ends of the connection has begun. The other end stays idle.
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

/// Schedules and cancels timeouts while 100,000 others are pending.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn schedule_and_cancel(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        let begun = Rc::default();
        run(|out| Timers { out, made: 0, begun: Rc::clone(&begun) }).is_ok()
    });
}

/// The handler of the connection to which another thread sends.
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

/// Connects without a library, and reads until all messages have been received.
fn listen_to(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )?;
    let mut buffer = vec![0; 256 * 1024];
    let mut left = MESSAGES * (2 + MESSAGE.len());
    while left > 0 {
        // The head of the response is counted as well, although it is not a message.
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
            // The queue is full until the loop has executed commands.
            Err(error) if matches!(error.kind, ErrorKind::Queue(QueueError::Full)) => thread::yield_now(),
            Err(_) => return,
        }
    }
}

/// Another thread queues messages of 20 bytes as fast as the queue has room, and the loop sends them over TCP.
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
