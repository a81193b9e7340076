//! `tungstenite`, blocking: a thread for each connection, as in its example `server`. It has no other idiom for many
//! connections, and none for broadcasts, since a blocked reader cannot write.

#[path = "../../shared/arguments.rs"]
mod arguments;

use std::net::{TcpListener, TcpStream};
use std::thread;

use arguments::{Result, arguments};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    if mode != "echo" {
        return Err("no such mode".into());
    }
    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        // How a connection ends is its own affair.
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
