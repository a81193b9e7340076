//! An echo server for the Autobahn test suite. `autobahn/run` runs the suite.
//!
//! ```text
//! cargo run --release --example autobahn-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[path = "autobahn/compression.rs"]
mod compression;
mod support;
#[path = "tls/server.rs"]
mod tls;

use sockeye::{Builder, Sender, Settings};

use crate::compression::compression;

const USAGE: &str = "\
Usage: autobahn-server [ADDRESS] [--tls]

Sends every message back to the Autobahn test suite.

ADDRESS  where to listen [127.0.0.1:3012]
--tls    encrypt, with a certificate that no client trusts; requires the feature rustls or ssl";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    // The suite's largest messages are 16 MiB, exactly the default limit.
    let settings = Settings {
        max_message_size: 32 << 20,
        max_buffered: 64 << 20,
        deflate: compression(),
        ..Settings::default()
    };
    let socket = Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?;
    let (socket, scheme) = tls::encrypt_if_requested(socket, &arguments)?;
    arguments.end()?;

    let socket = socket.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("echoing on {scheme}://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
