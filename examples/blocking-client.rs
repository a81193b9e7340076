//! A blocking socket used by two threads: one sends what is typed, and the other prints what the server sends.
//!
//! ```text
//! cargo run --features blocking --example blocking-server
//! cargo run --features blocking --example blocking-client [URL]
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints what it does")]

mod support;

use std::io;
use std::thread;

use sockeye::CloseCode;
use sockeye::blocking::{Socket, WebSocket};

const USAGE: &str = "\
Usage: blocking-client [URL]

Sends every line that is typed, and prints every message that arrives. Ctrl-D closes the connection.

URL  the server [ws://127.0.0.1:3012]";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    arguments.end()?;

    let mut socket = WebSocket::connect(url.as_str())?;
    let (mut sender, mut closer) = (socket.try_clone()?, socket.try_clone()?);
    support::on_interrupt(move || {
        // An error means that the connection has already ended.
        let _ = closer.close(CloseCode::Away, "");
    });
    println!("connected to {url}");
    thread::spawn(move || {
        if let Err(err) = send_lines(&mut sender) {
            eprintln!("cannot send: {err}");
        }
    });

    while let Some(message) = socket.receive()? {
        println!("{message}");
    }
    if let Some(closed) = socket.closed() {
        println!("closed: {}", closed.code);
    }
    Ok(())
}

fn send_lines(socket: &mut WebSocket<Socket>) -> sockeye::blocking::Result<()> {
    for line in io::stdin().lines() {
        socket.send(line?)?;
    }
    socket.close(CloseCode::Normal, "")?;
    Ok(())
}
