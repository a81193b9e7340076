//! A different handler for every path: the router chooses it by the request, and forwards all later events to it.
//!
//! ```text
//! cargo run --example router [ADDRESS]
//! cargo run --example cli ws://127.0.0.1:3012/echo
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::time::Instant;

use sockeye::util::{Timeout, Token};
use sockeye::{
    CloseCode, Error, Frame, Handler, Handshake, Message, Request, Response, Result, Sender, WebSocket,
};

const USAGE: &str = "\
Usage: router [ADDRESS]

Serves /echo, /reverse and /clock, each with a handler of its own.

ADDRESS  where to listen [127.0.0.1:3012]";

/// Every connection starts with this handler. `on_request` chooses the handler that receives all later events.
struct Router {
    out: Sender,
    inner: Box<dyn Handler>,
}

impl Handler for Router {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let out = self.out.clone();
        let path = req.resource().split('?').next().unwrap_or_default();
        println!("{path}");
        self.inner = match path {
            // A closure that takes a message is a handler.
            "/echo" => Box::new(move |msg| out.send(msg)),
            "/reverse" => Box::new(move |msg: Message| {
                let reversed: String = msg.as_text()?.chars().rev().collect();
                out.send(reversed)
            }),
            "/clock" => Box::new(Clock { out, opened: Instant::now() }),
            _ => return Ok(Response::new(404, "Not Found", b"/echo /reverse /clock\n".to_vec())),
        };
        self.inner.on_request(req)
    }

    fn on_shutdown(&mut self) {
        self.inner.on_shutdown();
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.inner.on_open(shake)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.inner.on_message(msg)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.inner.on_close(code, reason);
    }

    fn on_error(&mut self, err: Error) {
        self.inner.on_error(err);
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.inner.on_timeout(event)
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        self.inner.on_new_timeout(event, timeout)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner.on_frame(frame)
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner.on_send_frame(frame)
    }
}

/// The inner handler until the request has arrived.
struct Undecided;

impl Handler for Undecided {}

const TICK: Token = Token(1);

/// Sends every second how long the connection has been open.
struct Clock {
    out: Sender,
    opened: Instant,
}

impl Handler for Clock {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened = Instant::now();
        self.out.timeout(1000, TICK)
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.out.send(format!("{} s", self.opened.elapsed().as_secs()))?;
        self.out.timeout(1000, TICK)
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out| Router { out, inner: Box::new(Undecided) })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("routing on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
