//! An echo server on sockets that block: each client has a thread of its own.
//!
//! ```text
//! cargo run --features blocking --example blocking-server [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::net::{TcpListener, TcpStream};
use std::thread;

use sockeye::blocking::WebSocket;

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let listener = TcpListener::bind(&address)?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || match serve(stream) {
            Ok(()) => println!("a client has left"),
            Err(err) => println!("a client is lost: {err}"),
        });
    }
    Ok(())
}

fn serve(stream: TcpStream) -> sockeye::Result<()> {
    let mut socket = WebSocket::accept(stream)?;
    while let Some(message) = socket.read()? {
        println!("received {message}");
        socket.send(message)?;
    }
    Ok(())
}
