//! A server on one thread and a client on another, each with a struct as its handler.
//!
//! ```text
//! cargo run --example threaded [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::thread;

use sockeye::{CloseCode, Handler, Handshake, Message, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: threaded [ADDRESS]

Runs a server and a client that exchange a greeting.

ADDRESS  where the server listens [127.0.0.1:3012]";

/// Returns the greeting, and shuts its loop down when the first connection closes.
struct Server {
    out: Sender,
}

impl Handler for Server {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("server: received '{msg}'");
        self.out.send(format!("{msg} to you, too"))
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        println!("server: closed with {code:?}, '{reason}'");
        if let Err(err) = self.out.shutdown() {
            println!("server: cannot shut down: {err}");
        }
    }
}

struct Client {
    out: Sender,
}

impl Handler for Client {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.send("good morning")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("client: received '{msg}'");
        self.out.close_with_reason(CloseCode::Normal, "that was nice")
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    // The server is bound before the client starts, so that the client can connect at once.
    let socket = WebSocket::new(|out| Server { out })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    let url = format!("ws://{}", socket.local_addr()?);

    let server = thread::spawn(move || socket.run().map(drop));
    let client = thread::spawn(move || sockeye::connect(url, |out| Client { out }));

    support::join(client)?;
    support::join(server)
}
