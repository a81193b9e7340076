//! A client on a socket that blocks: what is typed is sent by one thread, while another waits for what comes.
//!
//! ```text
//! cargo run --features blocking --example blocking-client [URL]
//! ```
//!
//! The end of the input closes.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::io::{self, BufRead};
use std::{env, thread};

use sockeye::blocking::WebSocket;
use sockeye::{CloseCode, Result};

fn main() -> Result<()> {
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3012".into());
    let mut socket = WebSocket::connect(&url)?;
    let mut reader = socket.try_clone()?;
    let reading = thread::spawn(move || -> Result<()> {
        for message in &mut reader {
            println!("{}", message?);
        }
        Ok(())
    });
    for line in io::stdin().lock().lines() {
        socket.send(line?)?;
    }
    // What comes after our Close is not waited for.
    let closed = socket.close(CloseCode::Normal, "")?;
    let _ = reading.join();
    println!("closed: {}", closed.code);
    Ok(())
}
