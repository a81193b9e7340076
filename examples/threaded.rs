//! A server on one thread, a client on another, each with a struct as its handler.
//!
//! ```text
//! cargo run --example threaded [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::thread::{self, JoinHandle};

use sockeye::{CloseCode, Error, ErrorKind, Handler, Handshake, Message, Result, Sender, WebSocket};

/// Greets the way it is greeted, and ends its loop with its first connection.
struct Server {
    out: Sender,
}

impl Handler for Server {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("server: got '{msg}'");
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
        println!("client: got '{msg}'");
        self.out.close_with_reason(CloseCode::Normal, "that was nice")
    }
}

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());

    // Bound before the client starts, so that the client finds somebody there.
    let socket = WebSocket::new(|out| Server { out })?.bind(address)?;
    let url = format!("ws://{}", socket.local_addr()?);

    let server = thread::spawn(move || socket.run().map(drop));
    let client = thread::spawn(move || sockeye::connect(url, |out| Client { out }));

    join(client)?;
    join(server)
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a thread panicked")))
}
