//! A server on a thread of its own that the main thread stops: here when Enter is pressed, in a program of yours on a
//! signal, at the end of a test, when the window is closed.
//!
//! ```text
//! cargo run --example external_shutdown [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::thread;
use std::{env, io};

use sockeye::{Builder, Error, ErrorKind, Sender};

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());

    let socket = Builder::new().build(|out: Sender| move |msg| out.send(msg))?.bind(address)?;
    println!("echoing on ws://{} until you press Enter", socket.local_addr()?);

    // Taken before `run` takes the socket; it may be cloned and given to any thread.
    let server = socket.broadcaster();
    let running = thread::spawn(move || socket.run().map(drop));

    io::stdin().read_line(&mut String::new())?;
    server.shutdown()?;
    running.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the server panicked")))?;
    println!("everybody has been told, and the server has stopped");
    Ok(())
}
