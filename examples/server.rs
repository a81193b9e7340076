//! A minimal echo server: a closure creates a handler for each connection, and the handler is a closure too.
//!
//! ```text
//! cargo run --example server [ADDRESS]
//! cargo run --example cli
//! ```
//!
//! With `RUST_LOG=debug` the library logs what it does.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::{Sender, WebSocket};

const USAGE: &str = "\
Usage: server [ADDRESS]

Sends every message back.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out: Sender| move |msg| out.send(msg))?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("echoing on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
