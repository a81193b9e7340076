//! Tells every client where it comes from, and closes.
//!
//! ```text
//! cargo run --example remote_addr [ADDRESS]
//! cargo run --example cli
//! ```
//!
//! Behind a reverse proxy every connection comes from the proxy. The settings name the proxies whose word about the
//! client's address is believed (`trusted_proxies`); anybody else could write what they like into that header.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use sockeye::{CloseCode, Handler, Handshake, Result, Sender, WebSocket};

struct Mirror {
    out: Sender,
}

impl Handler for Mirror {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let address = shake.remote_addr()?.unwrap_or_else(|| "a place unknown".into());
        println!("a client from {address}");
        self.out.send(format!("you come from {address}"))?;
        self.out.close(CloseCode::Normal)
    }
}

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let socket = WebSocket::new(|out| Mirror { out })?.bind(address)?;
    println!("listening on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
