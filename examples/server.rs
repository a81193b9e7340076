//! The shortest server: whatever arrives goes back.
//!
//! ```text
//! cargo run --example server [ADDRESS]
//! ```
//!
//! Talk to it with `cargo run --example cli`. With `RUST_LOG=debug` the library tells what it does.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

fn main() -> sockeye::Result<()> {
    env_logger::init();
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    println!("echoing on ws://{address}");

    // A closure that is given a `Sender` makes the handlers, and a closure that is given a message is one.
    sockeye::listen(address, |out| move |msg| out.send(msg))
}
