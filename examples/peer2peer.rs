//! Peers: each program listens, connects to the others, and sends what is typed to all of them.
//!
//! ```text
//! cargo run --example peer2peer 127.0.0.1:3012
//! cargo run --example peer2peer 127.0.0.1:3013 ws://127.0.0.1:3012
//! cargo run --example peer2peer 127.0.0.1:3014 ws://127.0.0.1:3012 ws://127.0.0.1:3013
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints what it does")]

mod support;

use std::{io, thread};

use sockeye::{CloseCode, Error, Handler, Handshake, Message, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: peer2peer [ADDRESS [URL...]]

Connects to other peers, sends every line that is typed to all of them, and prints what they send.

ADDRESS  where to listen for other peers [127.0.0.1:3012]
URL      a peer to connect to";

struct Peer {
    out: Sender,
    address: String,
}

impl Handler for Peer {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        if let Some(address) = shake.peer_addr {
            self.address = address.to_string();
        }
        println!("* {} connected", self.address);
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("{}: {msg}", self.address);
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        println!("* {} disconnected", self.address);
    }

    fn on_error(&mut self, err: Error) {
        println!("* connection {}: {err}", self.out.connection_id());
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    let mut peers = Vec::new();
    while let Some(url) = arguments.next() {
        peers.push(support::parse_url(&url)?);
    }

    let socket = WebSocket::new(|out| Peer { out, address: "unknown peer".into() })?;
    let mut socket = socket.bind(address)?;
    for url in peers {
        // Connections in both directions share the event loop, and a broadcast reaches all of them.
        socket.connect(url)?;
    }

    let everyone = socket.broadcaster();
    support::shut_down_on_interrupt(&everyone);
    println!("* listening on ws://{}", socket.local_addr()?);
    thread::spawn(move || {
        if let Err(err) = send_lines(&everyone) {
            eprintln!("cannot send: {err}");
        }
    });
    socket.run()?;
    Ok(())
}

fn send_lines(everyone: &Sender) -> Result<()> {
    for line in io::stdin().lines() {
        everyone.send(line?)?;
    }
    everyone.shutdown()
}
