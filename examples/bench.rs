//! Measures an echo server: opens many connections on one event loop, sends messages on each of them one after the other,
//! and prints the throughput and the latency.
//!
//! ```text
//! cargo run --release --example bench-server
//! cargo run --release --example bench [URL [CONNECTIONS [MESSAGES [BYTES]]]] [--insecure]
//! ```
//!
//! The clock starts when all connections are open.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;
#[path = "tls/client.rs"]
mod tls;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockeye::{Builder, CloseCode, Error, Factory, Handler, Handshake, Message, Result, Sender, Settings};

use crate::support::{Arguments, Failure};

const USAGE: &str = "\
Usage: bench [URL [CONNECTIONS [MESSAGES [BYTES]]]] [--insecure]

Measures an echo server.

URL          the server [ws://127.0.0.1:3012]
CONNECTIONS  the number of connections [100]
MESSAGES     the number of messages on each connection [1000]
BYTES        the size of a message [20]
--insecure   accept any certificate; requires the feature rustls or ssl";

#[derive(Clone, Copy)]
struct Plan {
    connections: usize,
    messages: usize,
    bytes: usize,
}

/// The state that all connections share.
struct Bench {
    plan: Plan,
    /// The open connections that wait for the start.
    waiting: Vec<Sender>,
    /// The number of connections that could not be opened. The others start without them.
    failed: usize,
    /// The first error of a connection.
    error: Option<Error>,
    started: Instant,
    ended: Instant,
    /// In microseconds, one entry for each message that was returned.
    latencies: Vec<u32>,
}

impl Bench {
    fn start_when_ready(&mut self) -> Result<()> {
        if self.waiting.is_empty() || self.waiting.len() + self.failed < self.plan.connections {
            return Ok(());
        }
        println!("{} connections open after {:?}", self.waiting.len(), self.started.elapsed());
        self.started = Instant::now();
        let message = Message::binary(vec![b'x'; self.plan.bytes]);
        self.waiting.drain(..).try_for_each(|out| out.send(message.clone()))
    }
}

struct Connection {
    out: Sender,
    bench: Rc<RefCell<Bench>>,
    opened: bool,
    left: usize,
    /// When the current message was sent. `None` for the first message, which is sent at the start.
    sent: Option<Instant>,
}

impl Handler for Connection {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened = true;
        let mut bench = self.bench.borrow_mut();
        bench.waiting.push(self.out.clone());
        bench.start_when_ready()
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        let now = Instant::now();
        let mut bench = self.bench.borrow_mut();
        let latency = now - self.sent.unwrap_or(bench.started);
        bench.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        bench.ended = now;
        self.left -= 1;
        if self.left == 0 {
            return self.out.close(CloseCode::Normal);
        }
        self.sent = Some(now);
        self.out.send(msg)
    }

    fn on_error(&mut self, err: Error) {
        self.bench.borrow_mut().error.get_or_insert(err);
    }
}

struct Connections {
    bench: Rc<RefCell<Bench>>,
    messages: usize,
}

impl Factory for Connections {
    type Handler = Connection;

    fn connection_made(&mut self, out: Sender) -> Connection {
        Connection { out, bench: Rc::clone(&self.bench), opened: false, left: self.messages, sent: None }
    }

    fn connection_lost(&mut self, connection: Connection) {
        if connection.opened {
            return;
        }
        let mut bench = self.bench.borrow_mut();
        bench.failed += 1;
        if let Err(err) = bench.start_when_ready() {
            println!("cannot start: {err}");
        }
    }
}

fn main() -> support::Result {
    let mut arguments = Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    let plan = Plan {
        connections: arguments.number()?.unwrap_or(100),
        messages: arguments.number()?.unwrap_or(1000),
        bytes: arguments.number()?.unwrap_or(20),
    };
    let is_insecure = arguments.has("--insecure");
    arguments.end()?;

    let now = Instant::now();
    let bench = Rc::new(RefCell::new(Bench {
        plan,
        waiting: Vec::with_capacity(plan.connections),
        failed: 0,
        error: None,
        started: now,
        ended: now,
        // Allocated in advance, so that it does not grow while the clock runs.
        latencies: Vec::with_capacity(plan.connections.saturating_mul(plan.messages).min(50_000_000)),
    }));

    let settings = Settings { max_connections: plan.connections, ..Settings::default() };
    let connections = Connections { bench: Rc::clone(&bench), messages: plan.messages };
    let mut socket = Builder::new().with_settings(settings).build(connections)?;
    if is_insecure {
        socket = tls::trust_any_certificate(socket)?;
    }
    support::shut_down_on_interrupt(&socket.broadcaster());
    for _ in 0..plan.connections {
        socket.connect(url.clone())?;
    }
    // Without a listener, the loop ends with its last connection.
    socket.run()?;
    report(&mut bench.borrow_mut())
}

fn report(bench: &mut Bench) -> support::Result {
    let Plan { connections, messages, bytes } = bench.plan;
    let expected = connections.saturating_mul(messages);
    let latencies = &mut bench.latencies;
    latencies.sort_unstable();
    let count = latencies.len();
    if count > 0 {
        let elapsed = bench.ended - bench.started;
        let rate = count as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        println!(
            "{count} of {expected} messages of {bytes} bytes returned in {elapsed:.2?}: {rate:.0} per second"
        );
        let within = |percent: usize| Duration::from_micros(latencies[(count - 1) * percent / 100].into());
        println!(
            "latency: 50 % within {:?}, 99 % within {:?}, all within {:?}",
            within(50),
            within(99),
            within(100)
        );
    }
    if support::is_interrupted() {
        println!("interrupted");
        return Ok(());
    }
    match bench.error.take() {
        Some(error) => Err(error.into()),
        None if count < expected => Err(Failure::new("some messages were not returned")),
        None => Ok(()),
    }
}
