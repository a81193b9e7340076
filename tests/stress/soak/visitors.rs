//! The clients of one round: well-behaved ones, which must lose nothing, and all others.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sockeye::blocking::{Builder, Result, Socket, WebSocket};
use sockeye::protocol::Config;
use sockeye::{ClientTls, CloseCode, Deflate, Frame, Message, OpCode};
use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::misbehavior::{Dice, misbehave};
use sockeye_test_support::peer::Peer;

use super::server::{CLOSED_BY_SERVER, MAX_MESSAGE, WELL_BEHAVED};
use crate::crowd::{compressed_message, open_compressed, print_number};

/// How many silent peers are connected at the same time.
const SILENT: usize = 20;

/// The pause between two clients that break the rules, in which others use the processor.
const PAUSE: Duration = Duration::from_millis(2);

static SENT: AtomicUsize = AtomicUsize::new(0);
static RECEIVED: AtomicUsize = AtomicUsize::new(0);
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Runs clients of all kinds for some seconds, and prints how many messages the well-behaved ones have sent and received, how
/// many of their threads failed, and the number of their connections.
pub(crate) fn visit(plain: SocketAddr, tls: SocketAddr, seed: u64, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let url = format!("ws://{plain}{WELL_BEHAVED}");
    let builders = [builder(None), builder(Some(Deflate::default())), builder(None)];
    let mut well_behaved: Vec<_> = builders
        .into_iter()
        .zip(seed * 100..)
        .map(|(builder, seed)| echo_clients(builder, &url, seed, end))
        .collect();
    let anyone = ClientTls::builder().danger_accept_any_certificate().build().unwrap();
    let encrypted = builder(Some(Deflate::default())).client_tls(anyone);
    well_behaved.push(echo_clients(encrypted, &format!("wss://{tls}{WELL_BEHAVED}"), seed * 100 + 50, end));
    let others = [
        repeat(seed * 100 + 60, end, misbehaving(plain)),
        repeat(seed * 100 + 70, end, noise(tls)),
        repeat(seed * 100 + 80, end, closed_by_server(plain)),
        repeat(seed * 100 + 90, end, bombs(plain)),
    ];
    let ends = well_behaved.into_iter().map(JoinHandle::join);
    let failed = ends.filter(|end| end.is_err()).count();
    others.into_iter().for_each(|thread| thread.join().unwrap());
    print_number(SENT.load(SeqCst));
    print_number(RECEIVED.load(SeqCst));
    print_number(failed);
    print_number(CONNECTIONS.load(SeqCst));
}

fn builder(deflate: Option<Deflate>) -> Builder {
    Builder::new().config(Config { deflate, ..Config::default() }).read_timeout(LIMIT)
}

/// Repeats an action on a thread of its own.
fn repeat(seed: u64, end: Instant, mut action: impl FnMut(&mut Dice) + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut dice = Dice(seed);
        while Instant::now() < end {
            action(&mut dice);
        }
    })
}

/// Opens one connection after the other, and echoes messages on each of them.
fn echo_clients(builder: Builder, url: &str, seed: u64, end: Instant) -> JoinHandle<()> {
    let url = url.to_owned();
    repeat(seed, end, move |dice| {
        let mut client = Client { socket: builder.connect(&url).unwrap(), next_broadcast: None };
        CONNECTIONS.fetch_add(1, SeqCst);
        for _ in 0..dice.roll(20) {
            client.echo(dice).unwrap();
        }
        let closed = client.socket.close(CloseCode::Normal, "").unwrap();
        assert_eq!(closed.code, CloseCode::Normal);
    })
}

/// A well-behaved client.
struct Client {
    socket: WebSocket<Socket>,
    next_broadcast: Option<u64>,
}

impl Client {
    /// Sends several messages, and then receives their echoes in the same order.
    fn echo(&mut self, dice: &mut Dice) -> Result<()> {
        let messages: Vec<Message> = (0..=dice.roll(4)).map(|_| random_message(dice)).collect();
        for message in &messages {
            self.send(message, dice)?;
            SENT.fetch_add(1, SeqCst);
        }
        for message in &messages {
            assert!(self.next_echo()? == *message, "an echo is lost");
            RECEIVED.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    /// Sends a message as a whole or in fragments.
    fn send(&mut self, message: &Message, dice: &mut Dice) -> Result<()> {
        if dice.roll(3) > 0 {
            return self.socket.send(message.clone());
        }
        let mut opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
        for part in message.as_bytes().chunks(1 + message.len() / 3) {
            self.socket.send_frame(Frame::message(part.to_vec(), opcode, false))?;
            opcode = OpCode::Continue;
        }
        self.socket.send_frame(Frame::message(Vec::new(), opcode, true))
    }

    /// Receives until a message that begins as those of [`random_message`].
    fn next_echo(&mut self) -> Result<Message> {
        loop {
            let message = self.socket.receive()?.expect("the server does not close the connection");
            if message.as_bytes().starts_with(b"echo") {
                return Ok(message);
            }
            self.check_broadcast(&message);
        }
    }

    /// Checks that no broadcast is missing between this one and the last one.
    fn check_broadcast(&mut self, message: &Message) {
        let number = message.as_text().ok().and_then(|text| text.strip_prefix("broadcast "));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            assert!(self.next_broadcast.is_none_or(|next| next == number), "a broadcast is lost");
            self.next_broadcast = Some(number + 1);
        }
    }
}

fn random_message(dice: &mut Dice) -> Message {
    let len = if dice.roll(10) == 0 { 200_000 } else { 4000 };
    let bytes = dice.bytes(len);
    match dice.roll(2) {
        0 => Message::text(format!("echo {bytes:?}")),
        _ => Message::binary([b"echo", bytes.as_slice()].concat()),
    }
}

/// Clients that break the rules. Some of them stay connected for a while.
fn misbehaving(server: SocketAddr) -> impl FnMut(&mut Dice) + Send + 'static {
    let mut silent = Vec::new();
    move |dice| {
        silent.extend(misbehave(server, dice));
        thread::sleep(PAUSE);
        if silent.len() > SILENT {
            silent.swap_remove(dice.roll(SILENT));
        }
    }
}

/// Clients that send anything to a server that expects TLS, and end their connections in order or with a reset.
fn noise(server: SocketAddr) -> impl FnMut(&mut Dice) + Send + 'static {
    move |dice| {
        let mut peer = Peer::connect(server);
        peer.try_send(&dice.bytes(200));
        match dice.roll(2) {
            0 => peer.reset(),
            _ => drop(peer),
        }
        thread::sleep(PAUSE);
    }
}

/// Clients that wait until the server closes their connection.
fn closed_by_server(server: SocketAddr) -> impl FnMut(&mut Dice) + Send + 'static {
    let request = UPGRADE.replacen("/chat", CLOSED_BY_SERVER, 1);
    move |_| {
        let mut peer = Peer::connect(server);
        peer.send(request.as_str());
        peer.opened();
        assert_eq!(peer.close_code(), Some(CloseCode::Away.into()));
    }
}

/// Clients whose messages inflate to more than the server accepts.
fn bombs(server: SocketAddr) -> impl FnMut(&mut Dice) + Send + 'static {
    let bomb = compressed_message(2 * MAX_MESSAGE);
    move |_| {
        let mut peer = open_compressed(server);
        peer.send(&bomb);
        assert_eq!(peer.close_code(), Some(CloseCode::Size.into()));
        thread::sleep(10 * PAUSE);
    }
}
