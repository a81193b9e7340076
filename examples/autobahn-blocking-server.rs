//! An echo server for the Autobahn test suite, with blocking sockets. `autobahn/run` runs the suite.
//!
//! ```text
//! cargo run --release --features blocking --example autobahn-blocking-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "tls/certificate.rs"]
mod certificate;
#[path = "autobahn/compression.rs"]
mod compression;
mod support;
#[path = "support/threads.rs"]
mod threads;

use std::net::TcpStream;

use sockeye::blocking::{Builder, Socket};
use sockeye::protocol::Config;

use crate::compression::compression;
use crate::support::Result;
use crate::threads::{Connections, Server};

const USAGE: &str = "\
Usage: autobahn-blocking-server [ADDRESS] [--tls]

Sends every message back to the Autobahn test suite, with blocking sockets.

ADDRESS  where to listen [127.0.0.1:3012]
--tls    encrypt, with a certificate that no client trusts; requires the feature rustls or ssl";

fn main() -> Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    // The suite's largest messages are 16 MiB, exactly the default limit.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let mut builder = Builder::new().config(config);
    let mut scheme = "ws";
    if arguments.has("--tls") {
        (builder, scheme) = (encrypt(builder)?, "wss");
    }
    arguments.end()?;

    let server = Server::bind(&address)?;
    println!("echoing on {scheme}://{}", server.local_addr()?);
    server.run(|stream, connections| {
        // Most cases end with an error on purpose.
        let _ = echo(&builder, stream, connections);
    })?;
    Ok(())
}

fn echo(
    builder: &Builder,
    stream: TcpStream,
    connections: &Connections<Socket>,
) -> sockeye::blocking::Result<()> {
    let mut socket = builder.accept(stream)?;
    connections.add(&socket)?;
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn encrypt(builder: Builder) -> Result<Builder> {
    Ok(builder.server_tls(certificate::localhost()?))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn encrypt(_: Builder) -> Result<Builder> {
    Err(support::Failure::new("--tls requires a build with `--features rustls` or `--features ssl`"))
}
