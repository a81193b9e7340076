//! The address of a client: the server sends it to each client that connects.
//!
//! ```text
//! cargo run --example remote_addr [ADDRESS]
//! cargo run --example cli
//! ```
//!
//! Behind a reverse proxy, all connections come from the proxy. The setting `trusted_proxies` lists the proxies whose
//! `X-Forwarded-For` header is used. Without it the header is ignored, because any client can send one.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::{Handler, Handshake, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: remote_addr [ADDRESS]

Sends each client its own address.

ADDRESS  where to listen [127.0.0.1:3012]";

struct Server {
    out: Sender,
}

impl Handler for Server {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let address = shake.remote_addr()?.unwrap_or_else(|| "an unknown address".into());
        println!("a client connected from {address}");
        self.out.send(format!("your address is {address}"))
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out| Server { out })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("listening on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
