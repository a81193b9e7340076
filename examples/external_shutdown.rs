//! A server that runs on a thread of its own and is stopped from the main thread: here when Enter or Ctrl-C is pressed, in
//! other programs at the end of a test or when a window closes.
//!
//! ```text
//! cargo run --example external_shutdown [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::sync::mpsc;
use std::{io, thread};

use sockeye::{Sender, WebSocket};

const USAGE: &str = "\
Usage: external_shutdown [ADDRESS]

Sends every message back until Enter is pressed.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out: Sender| move |msg| out.send(msg))?.bind(address)?;
    let address = socket.local_addr()?;
    // `run` consumes the socket, so the sender that stops it is created first. It can be cloned and given to any thread.
    let server = socket.broadcaster();
    let running = thread::spawn(move || socket.run().map(drop));

    let (stop, stopped) = mpsc::channel();
    let interrupted = stop.clone();
    support::on_interrupt(move || {
        let _ = interrupted.send(());
    });
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        let _ = stop.send(());
    });

    println!("echoing on ws://{address} until you press Enter");
    stopped.recv()?;
    server.shutdown()?;
    support::join(running)?;
    println!("all connections are closed, and the server has stopped");
    Ok(())
}
