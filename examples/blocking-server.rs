//! An echo server with blocking sockets: each connection is served by a thread of its own.
//!
//! ```text
//! cargo run --features blocking --example blocking-server [ADDRESS]
//! ```
//!
//! `support/threads.rs` accepts the connections. On Ctrl-C it closes each of them through a second handle.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;
#[path = "support/threads.rs"]
mod threads;

use std::net::TcpStream;

use sockeye::blocking::{Socket, WebSocket};

use crate::threads::{Connections, Server};

const USAGE: &str = "\
Usage: blocking-server [ADDRESS]

Sends every message back.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let server = Server::bind(&address)?;
    println!("echoing on ws://{}", server.local_addr()?);
    server.run(|stream, connections| match echo(stream, connections) {
        Ok(()) => println!("a client has disconnected"),
        Err(err) => println!("a connection failed: {err}"),
    })?;
    Ok(())
}

fn echo(stream: TcpStream, connections: &Connections<Socket>) -> sockeye::blocking::Result<()> {
    let mut socket = WebSocket::accept(stream)?;
    connections.add(&socket)?;
    while let Some(message) = socket.receive()? {
        println!("received {message}");
        socket.send(message)?;
    }
    Ok(())
}
