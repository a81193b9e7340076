//! The server for `bench`: an echo for many connections that does nothing else.
//!
//! ```text
//! cargo run --release --example bench-server [ADDRESS] [--tls]
//! cargo run --release --example bench
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;
#[path = "tls/server.rs"]
mod tls;

use sockeye::{Builder, Sender, Settings};

const USAGE: &str = "\
Usage: bench-server [ADDRESS] [--tls]

Sends every message back.

ADDRESS  where to listen [127.0.0.1:3012]
--tls    encrypt, with a certificate that no client trusts; requires the feature rustls or ssl";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    let settings = Settings { max_connections: 100_000, ..Settings::default() };
    let socket = Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?;
    let (socket, scheme) = tls::encrypt_if_requested(socket, &arguments)?;
    arguments.end()?;

    let socket = socket.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("echoing on {scheme}://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
