//! `tungstenite` with blocking sockets and a thread for each connection, as in its example `server`. The library has no
//! other idiom for many connections, and no idiom for broadcasts, because a blocked reader cannot write.

#[path = "../../shared/arguments.rs"]
mod arguments;

use std::net::{TcpListener, TcpStream};
use std::thread;

use arguments::{Result, arguments};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    if mode != "echo" {
        return Err("unknown mode".into());
    }
    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        // The error with which a connection ends does not affect the server.
        thread::spawn(move || drop(echo(stream)));
    }
    Ok(())
}

fn echo(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = tungstenite::accept(stream)?;
    loop {
        let message = socket.read()?;
        if message.is_binary() || message.is_text() {
            socket.send(message)?;
        }
    }
}
