//! Timers and control frames: a server that pings its clients, measures the round trip, and closes connections that have
//! been silent for too long.
//!
//! ```text
//! cargo run --example pong [ADDRESS]
//! cargo run --example cli
//! ```
//!
//! To detect dead peers, it is enough to set `ping_interval` and `idle_timeout` in the settings.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::time::{Duration, Instant};

use sockeye::util::{Timeout, Token};
use sockeye::{
    CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Result, Sender, WebSocket,
};

const USAGE: &str = "\
Usage: pong [ADDRESS]

Sends every message back, and pings each client every five seconds.

ADDRESS  where to listen [127.0.0.1:3012]";

/// The timer for the next ping.
const PING: Token = Token(1);
/// The timer that expires when the peer has been silent for too long.
const EXPIRE: Token = Token(2);

const PING_MILLIS: u64 = 5_000;
const EXPIRE_MILLIS: u64 = 30_000;

struct Server {
    out: Sender,
    started: Instant,
    /// The running `EXPIRE` timer. Every frame that arrives postpones it.
    expire: Option<Timeout>,
}

impl Handler for Server {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(PING_MILLIS, PING)?;
        self.out.timeout(EXPIRE_MILLIS, EXPIRE)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            PING => {
                // A pong carries the payload of its ping, so the time when the ping was sent travels in it.
                let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.out.ping(now.to_be_bytes().to_vec())?;
                self.out.timeout(PING_MILLIS, PING)
            }
            EXPIRE => {
                println!("{:?}: no frame for {EXPIRE_MILLIS} ms", self.out.token());
                self.out.close_with_reason(CloseCode::Away, "idle for too long")
            }
            _ => Err(Error::new(ErrorKind::Internal, "unknown timer")),
        }
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        if event == EXPIRE {
            self.expire = Some(timeout);
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Pong
            && let Ok(sent) = frame.payload().as_slice().try_into()
        {
            let sent = Duration::from_nanos(u64::from_be_bytes(sent));
            let round_trip = self.started.elapsed().saturating_sub(sent);
            println!("{:?}: round trip {round_trip:?}", self.out.token());
        }
        if let Some(expire) = &self.expire {
            self.out.postpone(expire, EXPIRE_MILLIS)?;
        }
        Ok(Some(frame))
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let started = Instant::now();
    let socket = WebSocket::new(|out| Server { out, started, expire: None })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("listening on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
