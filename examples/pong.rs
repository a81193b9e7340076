//! Pings by hand: a server that measures the way to its client and back, and closes a connection that has fallen
//! silent. It shows time-outs, `on_frame`, and control frames.
//!
//! ```text
//! cargo run --example pong [ADDRESS]
//! cargo run --example cli
//! ```
//!
//! Who only wants dead peers removed sets `ping_interval` and `idle_timeout` in the settings instead.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::time::{Duration, Instant};

use sockeye::util::{Timeout, Token};
use sockeye::{
    CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Result, Sender, WebSocket,
};

/// Time for the next ping.
const PING: Token = Token(1);
/// The peer has been silent for too long.
const EXPIRE: Token = Token(2);

const PING_EVERY: u64 = 5_000;
const EXPIRE_AFTER: u64 = 30_000;

struct Server {
    out: Sender,
    started: Instant,
    /// Replaced, and cancelled, with every frame that arrives.
    expire: Option<Timeout>,
}

impl Handler for Server {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(PING_EVERY, PING)?;
        self.out.timeout(EXPIRE_AFTER, EXPIRE)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            PING => {
                // The peer has to return what a ping carries; so the time of the ping need not be kept.
                let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.out.ping(now.to_be_bytes().to_vec())?;
                self.out.timeout(PING_EVERY, PING)
            }
            EXPIRE => {
                println!("{:?}: silent for too long", self.out.token());
                self.out.close_with_reason(CloseCode::Away, "are you still there?")
            }
            _ => Err(Error::new(ErrorKind::Internal, "a time-out that nobody armed")),
        }
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        if event == EXPIRE
            && let Some(earlier) = self.expire.replace(timeout)
        {
            self.out.cancel(earlier)?;
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Pong
            && let Ok(sent) = frame.payload().as_slice().try_into()
        {
            let sent = Duration::from_nanos(u64::from_be_bytes(sent));
            let way = self.started.elapsed().saturating_sub(sent);
            println!("{:?}: there and back in {way:?}", self.out.token());
        }
        self.out.timeout(EXPIRE_AFTER, EXPIRE)?;
        Ok(Some(frame))
    }
}

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let started = Instant::now();
    let socket = WebSocket::new(|out| Server { out, started, expire: None })?.bind(address)?;
    println!("pinging on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
