//! Handlers that pass on what happens to them: a server and a client, each on its thread, tell the main thread
//! through a channel, and the main thread decides when it is over.
//!
//! ```text
//! cargo run --example channel [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::sync::mpsc;
use std::thread;

use sockeye::{CloseCode, Error, ErrorKind, Handler, Handshake, Message, Result, Sender, WebSocket};

/// What a handler has to say. The `Sender` in it lets the main thread answer on that connection.
enum Event {
    Opened(&'static str, Sender),
    Heard(&'static str, Message),
    Closed(&'static str, CloseCode),
}

/// Has no opinion of its own.
struct Reporter {
    name: &'static str,
    out: Sender,
    events: mpsc::Sender<Event>,
}

impl Reporter {
    fn report(&self, event: Event) -> Result<()> {
        self.events.send(event).map_err(|_| Error::new(ErrorKind::Internal, "nobody listens any more"))
    }
}

impl Handler for Reporter {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.report(Event::Opened(self.name, self.out.clone()))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.report(Event::Heard(self.name, msg))
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        if let Err(err) = self.report(Event::Closed(self.name, code)) {
            println!("{}: {err}", self.name);
        }
    }
}

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let (events, happened) = mpsc::channel();

    let told = events.clone();
    let reporter = move |name| {
        let events = told.clone();
        move |out| Reporter { name, out, events: events.clone() }
    };
    let socket = WebSocket::new(reporter("server"))?.bind(address)?;
    let url = format!("ws://{}", socket.local_addr()?);
    let server = socket.broadcaster();
    let client = reporter("client");
    let serving = thread::spawn(move || socket.run().map(drop));
    let talking = thread::spawn(move || sockeye::connect(url, client));
    drop(reporter);
    drop(events);

    // The channel ends when the last handler is gone.
    for event in happened {
        match event {
            Event::Opened(name, out) => {
                println!("{name}: open");
                out.send(format!("greetings from the {name}"))?;
            }
            Event::Heard(name, msg) => {
                println!("{name}: heard '{msg}'");
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
    for thread in [serving, talking] {
        thread.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a thread panicked")))?;
    }
    Ok(())
}
