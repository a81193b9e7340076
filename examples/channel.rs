//! Handlers that report what happens through a channel: the server and the client each run on a thread of their own, and
//! the main thread receives the events and decides when to stop.
//!
//! ```text
//! cargo run --example channel [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::sync::mpsc;
use std::thread;

use sockeye::{CloseCode, Error, ErrorKind, Handler, Handshake, Message, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: channel [ADDRESS]

Runs a server and a client that greet each other.

ADDRESS  where the server listens [127.0.0.1:3012]";

/// What a handler reports. The `Sender` lets the main thread answer on that connection.
enum Event {
    Opened(&'static str, Sender),
    Received(&'static str, Message),
    Closed(&'static str, CloseCode),
}

/// Reports every event, and decides nothing itself.
struct Reporter {
    name: &'static str,
    out: Sender,
    events: mpsc::Sender<Event>,
}

impl Reporter {
    fn report(&self, event: Event) -> Result<()> {
        self.events.send(event).map_err(|_| Error::new(ErrorKind::Internal, "the main thread has ended"))
    }
}

impl Handler for Reporter {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.report(Event::Opened(self.name, self.out.clone()))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.report(Event::Received(self.name, msg))
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        if let Err(err) = self.report(Event::Closed(self.name, code)) {
            println!("{}: {err}", self.name);
        }
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let (sender, events) = mpsc::channel();
    let reporter = move |name| {
        let sender = sender.clone();
        move |out| Reporter { name, out, events: sender.clone() }
    };
    let socket = WebSocket::new(reporter("server"))?.bind(address)?;
    let url = format!("ws://{}", socket.local_addr()?);
    let server = socket.broadcaster();
    support::shut_down_on_interrupt(&server);
    let client = reporter("client");
    // The channel must end with the last handler, so the main thread keeps no sender.
    drop(reporter);
    let server_thread = thread::spawn(move || socket.run().map(drop));
    let client_thread = thread::spawn(move || sockeye::connect(url, client));

    for event in events {
        match event {
            Event::Opened(name, out) => {
                println!("{name}: open");
                out.send(format!("greetings from the {name}"))?;
            }
            Event::Received(name, msg) => {
                println!("{name}: received '{msg}'");
                if name == "client" {
                    server.close(CloseCode::Normal)?;
                }
            }
            Event::Closed(name, code) => {
                println!("{name}: closed with {code:?}");
                if name == "server" {
                    server.shutdown()?;
                }
            }
        }
    }
    support::join(client_thread)?;
    support::join(server_thread)
}
