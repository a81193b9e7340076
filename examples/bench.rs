//! Measures an echo server: opens many connections on one loop, lets each send its messages one after the other,
//! and reports how many came back in a second and how long they took.
//!
//! ```text
//! cargo run --release --example bench-server
//! cargo run --release --example bench [URL] [CONNECTIONS] [MESSAGES] [BYTES] [--insecure]
//! ```
//!
//! Default: 100 connections, 1000 messages each, of 20 bytes. The clock starts when all connections are open.
//! `--insecure`, in a build with `--features ssl`, does not verify the certificate of a `wss` server.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "tls/client.rs"]
mod tls;

use std::cell::RefCell;
use std::env;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockeye::{
    Builder, CloseCode, Error, ErrorKind, Factory, Handler, Handshake, Message, Result, Sender, Settings,
};
use url::Url;

#[derive(Clone, Copy)]
struct Plan {
    connections: usize,
    messages: usize,
    bytes: usize,
}

/// What all connections have in common.
struct Race {
    plan: Plan,
    /// Who is open, and waits for the start.
    waiting: Vec<Sender>,
    /// Connections that came to nothing; the others start without them.
    failed: usize,
    started: Instant,
    ended: Instant,
    /// In microseconds, one for each message that came back.
    latencies: Vec<u32>,
}

impl Race {
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

struct Racer {
    out: Sender,
    race: Rc<RefCell<Race>>,
    opened: bool,
    left: usize,
    /// When the message that is on its way was sent; `None` for the first, which all send at the start.
    sent: Option<Instant>,
}

impl Handler for Racer {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened = true;
        let mut race = self.race.borrow_mut();
        race.waiting.push(self.out.clone());
        race.start_when_ready()
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        let now = Instant::now();
        let mut race = self.race.borrow_mut();
        let latency = now - self.sent.unwrap_or(race.started);
        race.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        race.ended = now;
        self.left -= 1;
        if self.left == 0 {
            return self.out.close(CloseCode::Normal);
        }
        self.sent = Some(now);
        self.out.send(msg)
    }

    fn on_error(&mut self, err: Error) {
        println!("connection {}: {err}", self.out.connection_id());
    }
}

struct Racers {
    race: Rc<RefCell<Race>>,
    messages: usize,
}

impl Factory for Racers {
    type Handler = Racer;

    fn connection_made(&mut self, out: Sender) -> Racer {
        Racer { out, race: Rc::clone(&self.race), opened: false, left: self.messages, sent: None }
    }

    fn connection_lost(&mut self, racer: Racer) {
        if racer.opened {
            return;
        }
        let mut race = self.race.borrow_mut();
        race.failed += 1;
        if let Err(err) = race.start_when_ready() {
            println!("cannot start: {err}");
        }
    }
}

fn main() -> Result<()> {
    let (url, plan) = arguments()?;
    let now = Instant::now();
    let race = Rc::new(RefCell::new(Race {
        plan,
        waiting: Vec::with_capacity(plan.connections),
        failed: 0,
        started: now,
        ended: now,
        // Room that need not grow while the clock runs.
        latencies: Vec::with_capacity(plan.connections.saturating_mul(plan.messages).min(50_000_000)),
    }));

    let settings = Settings { max_connections: plan.connections, ..Settings::default() };
    let racers = Racers { race: Rc::clone(&race), messages: plan.messages };
    let mut socket = Builder::new().with_settings(settings).build(racers)?;
    if env::args().any(|argument| argument == "--insecure") {
        socket = tls::trust_anyone(socket)?;
    }
    for _ in 0..plan.connections {
        socket.connect(url.clone())?;
    }
    // Without a listener the loop ends with its last connection.
    socket.run()?;
    report(&mut race.borrow_mut())
}

fn report(race: &mut Race) -> Result<()> {
    let Plan { connections, messages, bytes } = race.plan;
    let expected = connections * messages;
    let latencies = &mut race.latencies;
    latencies.sort_unstable();
    let came = latencies.len();
    if came == 0 {
        return Err(Error::new(ErrorKind::Internal, "not one message came back"));
    }
    let elapsed = race.ended - race.started;
    let rate = came as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
    println!("{came} of {expected} messages of {bytes} bytes came back in {elapsed:.2?}: {rate:.0} a second");
    let within = |percent: usize| Duration::from_micros(latencies[(came - 1) * percent / 100].into());
    println!(
        "latency: half within {:?}, 99 % within {:?}, all within {:?}",
        within(50),
        within(99),
        within(100)
    );
    if came == expected { Ok(()) } else { Err(Error::new(ErrorKind::Internal, "messages are missing")) }
}

fn arguments() -> Result<(Url, Plan)> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--insecure");
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:3012".into());
    let url = Url::parse(&url).map_err(|err| Error::new(ErrorKind::Internal, format!("{url}: {err}")))?;
    let mut number =
        |default: usize| match arguments.next() {
            Some(argument) => argument.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("{argument} is no number above zero"))
            }),
            None => Ok(default),
        };
    let plan = Plan { connections: number(100)?, messages: number(1000)?, bytes: number(20)? };
    Ok((url, plan))
}
