//! Echoes messages with the reactor, sends them to many connections, or opens connections. Callgrind runs this program:
//! `reactor [--workers N] closure|struct|borrow|broadcast|publish|timeout-cancel|timeout-postpone SIZE IN_FLIGHT COUNT` or `reactor handshake short|browser kept|dropped COUNT`.
//! With a number of workers, a pool of this many loops
//! serves the connections. With zero, a single loop serves them beside a thread that does nothing: calls of the C library take more
//! instructions in a process that has several threads.
//!
//! The client is the same program in a child process, so that callgrind only counts the server. The client sends each
//! batch of messages with one write, and waits for all replies before it sends the next batch.
//!
//! `handshake` opens connections one after the other: the client sends the request after connecting, and reads the response before it
//! connects again. With `kept`, all connections stay open, and the server exits without closing any, so that a run contains nothing
//! but their opening: accepting, the opening handshake and `on_open`. With `dropped`, the client closes each connection before it opens
//! the next one. The difference of both is the cost of a connection's end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use sockeye::util::{Timeout, Token};
use sockeye::{Builder, Handler, Handshake, Message, Publication, Sender, Settings, Workers, handler_fn};
use sockeye_inprocess::{Kind, Result, frames};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The request of a short client, and that of a browser.
const HANDSHAKES: [(&str, &[u8]); 2] = [("short", REQUEST), ("browser", BROWSER)];

/// The request of Chrome 140, without cookies.
const BROWSER: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\nHost: localhost:3012\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:3012\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// How many connections receive a broadcast or a publication.
const RECEIVERS: usize = 1000;

const USAGE: &str = "usage: [--workers N] closure|struct|borrow|broadcast|publish|timeout-cancel|timeout-postpone \
    SIZE IN_FLIGHT COUNT, or handshake short|browser kept|dropped COUNT";

/// The time after which a connection without messages would be closed, in milliseconds.
const EXPIRY: u64 = 30_000;
const EXPIRE: Token = Token(1);

/// The topic of all connections.
const TOPIC: &str = "topic";

/// A member of a topic, which publishes every message to all members, itself included.
#[derive(Debug)]
struct Member(Sender);

impl Handler for Member {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        self.0.subscribe(TOPIC)
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        if message.is_empty() {
            return self.0.shutdown();
        }
        self.0.publish_with(Publication::new(TOPIC, message).to_self())
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

/// A handler that keeps the default frame hooks.
#[derive(Debug)]
struct Echo(Sender);

impl Handler for Echo {
    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        echo(&self.0, message)
    }
}

/// A handler that is opened. A message ends the process, without closing any connection.
#[derive(Debug)]
struct Opened;

impl Handler for Opened {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        Ok(())
    }

    fn on_message(&mut self, _: Message) -> sockeye::Result<()> {
        std::process::exit(0)
    }
}

/// A handler that echoes messages, and moves a timeout with each of them.
#[derive(Debug)]
struct Expiring {
    out: Sender,
    expire: Option<Timeout>,
    /// Whether it postpones the timeout, or sets another one and cancels this one.
    postpones: bool,
}

impl Handler for Expiring {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        self.out.timeout(EXPIRY, EXPIRE)
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> sockeye::Result<()> {
        self.expire.replace(timeout).map_or(Ok(()), |earlier| self.out.cancel(earlier))
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        match &self.expire {
            Some(expire) if self.postpones => self.out.postpone(expire, EXPIRY)?,
            _ => self.out.timeout(EXPIRY, EXPIRE)?,
        }
        echo(&self.out, message)
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (workers, arguments) = match arguments.as_slice() {
        ["--workers", workers, rest @ ..] => (Some(workers.parse()?), rest),
        all => (None, all),
    };
    match arguments {
        ["client", "handshake", address, request, end, count] => {
            open_connections(address, request, *end == "kept", count.parse()?)
        }
        ["client", kind, address, size, in_flight, count] => {
            let receivers = if matches!(*kind, "broadcast" | "publish") { RECEIVERS } else { 1 };
            client(receivers, address, size.parse()?, in_flight.parse()?, count.parse()?)
        }
        ["closure", rest @ ..] => {
            serve("closure", rest, workers, |out: Sender| move |message| echo(&out, message))
        }
        ["borrow", rest @ ..] => serve("borrow", rest, workers, |out: Sender| {
            handler_fn(move |msg, reply| if msg.is_empty() { out.shutdown() } else { reply.send_ref(msg) })
        }),
        ["struct", rest @ ..] => serve("struct", rest, workers, Echo),
        ["broadcast", rest @ ..] => {
            serve("broadcast", rest, workers, |out: Sender| move |message| broadcast(&out, message))
        }
        ["publish", rest @ ..] => serve("publish", rest, workers, Member),
        ["handshake", rest @ ..] => serve("handshake", rest, None, |_: Sender| Opened),
        [kind @ ("timeout-cancel" | "timeout-postpone"), rest @ ..] => {
            let postpones = *kind == "timeout-postpone";
            serve(kind, rest, workers, |out: Sender| Expiring { out, expire: None, postpones })
        }
        _ => Err(USAGE.into()),
    }
}

/// Echoes a message. An empty message ends the loop.
fn echo(out: &Sender, message: Message) -> sockeye::Result<()> {
    if message.is_empty() { out.shutdown() } else { out.send(message) }
}

/// Sends a message to all connections. An empty message ends the loop.
fn broadcast(out: &Sender, message: Message) -> sockeye::Result<()> {
    if message.is_empty() { out.shutdown() } else { out.broadcast(message) }
}

/// The default settings, without limits of time. The receivers of a broadcast do not answer Pings, and callgrind takes minutes on a
/// busy machine. A turn that ends early would deliver publications in two parts.
fn settings() -> Settings {
    Settings {
        ping_interval: Some(Duration::from_secs(24 * 3600)),
        max_turn: Duration::from_secs(10),
        ..Settings::default()
    }
}

fn serve<F, H>(kind: &str, arguments: &[&str], workers: Option<usize>, factory: F) -> Result<()>
where
    F: Fn(Sender) -> H + Copy + Send + Sync,
    H: Handler,
{
    if arguments.len() != 3 {
        return Err(USAGE.into());
    }
    let client = |address: SocketAddr| {
        Command::new(std::env::current_exe()?)
            .args(["client", kind, &address.to_string()])
            .args(arguments)
            .spawn()
    };
    let mut client = match workers {
        None | Some(0) => {
            if workers.is_some() {
                thread::spawn(thread::park);
            }
            let socket = Builder::new().with_settings(settings()).build(factory)?.bind("127.0.0.1:0")?;
            let client = client(socket.local_addr()?)?;
            socket.run()?;
            client
        }
        Some(count) => {
            let mut builder = Builder::new();
            builder.with_settings(settings());
            let pool = builder.workers(Workers::Exactly(count), |_| factory)?.bind("127.0.0.1:0")?;
            let client = client(pool.local_addr()?)?;
            pool.run()?;
            client
        }
    };
    if client.wait()?.success() { Ok(()) } else { Err("the client failed".into()) }
}

/// Sends messages on the first connection, and receives on all.
fn client(receivers: usize, address: &str, size: usize, in_flight: usize, count: usize) -> Result<()> {
    let mut streams = Vec::new();
    for _ in 0..receivers {
        streams.push(connect(address, REQUEST)?);
    }
    let batch = frames(Kind::Binary, size, in_flight);
    // A reply has no masking key, which has four bytes in each frame of the batch.
    let mut replies = vec![0; batch.len() - 4 * in_flight];
    for _ in 0..count / in_flight {
        streams[0].write_all(&batch)?;
        for stream in &mut streams {
            stream.read_exact(&mut replies)?;
        }
    }
    streams[0].write_all(&frames(Kind::Binary, 0, 1))?;
    streams[0].read_to_end(&mut replies)?;
    Ok(())
}

/// Opens connections, and keeps or drops them. Ends the server in any case.
fn open_connections(address: &str, request: &str, are_kept: bool, count: usize) -> Result<()> {
    let known = HANDSHAKES.iter().find(|(name, _)| *name == request);
    let (_, request) = known.ok_or(USAGE)?;
    let mut kept = Vec::new();
    for _ in 0..count {
        let stream = connect(address, request)?;
        if are_kept {
            kept.push(stream);
        }
    }
    let mut last = connect(address, request)?;
    last.write_all(&frames(Kind::Binary, 0, 1))?;
    last.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(address: &str, request: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(stream)
}
