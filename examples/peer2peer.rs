//! Equals: every peer listens, connects to the others it is told of, and says to all what is typed.
//!
//! ```text
//! cargo run --example peer2peer 127.0.0.1:3012
//! cargo run --example peer2peer 127.0.0.1:3013 ws://127.0.0.1:3012
//! cargo run --example peer2peer 127.0.0.1:3014 ws://127.0.0.1:3012 ws://127.0.0.1:3013
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::thread;
use std::{env, io};

use sockeye::{CloseCode, Error, ErrorKind, Handler, Handshake, Message, Result, Sender, WebSocket};
use url::Url;

struct Peer {
    out: Sender,
    who: String,
}

impl Handler for Peer {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        if let Some(addr) = shake.peer_addr {
            self.who = addr.to_string();
        }
        println!("* {} is here", self.who);
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("{}: {msg}", self.who);
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        println!("* {} has left", self.who);
    }

    fn on_error(&mut self, err: Error) {
        println!("* connection {}: {err}", self.out.connection_id());
    }
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3012".into());

    let socket = WebSocket::new(|out| Peer { out, who: "somebody".into() })?;
    let mut socket = socket.bind(address)?;
    println!("* listening on ws://{}", socket.local_addr()?);
    for url in arguments {
        let url = Url::parse(&url).map_err(|err| Error::new(ErrorKind::Internal, format!("{url}: {err}")))?;
        // Connections in both directions live on the same loop, and a broadcast reaches them all.
        socket.connect(url)?;
    }

    let everyone = socket.broadcaster();
    let typing = thread::spawn(move || {
        for line in io::stdin().lines() {
            everyone.send(line?)?;
        }
        everyone.shutdown()
    });
    socket.run()?;
    typing.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the reading thread panicked")))
}
