//! An echo server for the Autobahn test suite, with blocking sockets. `autobahn/run` runs the suite.
//!
//! ```text
//! cargo run --release --features blocking --example autobahn-blocking-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[cfg(feature = "ssl")]
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
--tls    encrypt, with a certificate created at startup; requires the feature ssl";

/// Turns an accepted stream into one with or without TLS.
type Wrap = Box<dyn Fn(TcpStream) -> sockeye::Result<Socket> + Sync>;

fn main() -> Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    let (scheme, wrap): (_, Wrap) = match arguments.has("--tls") {
        true => ("wss", encryption()?),
        false => ("ws", Box::new(|stream| Ok(Socket::Tcp(stream)))),
    };
    arguments.end()?;

    // The suite's largest messages are 16 MiB, exactly the default limit.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let builder = Builder::new().config(config);
    let server = Server::bind(&address)?;
    println!("echoing on {scheme}://{}", server.local_addr()?);
    server.run(|stream, connections| {
        // Most cases end with an error on purpose.
        let _ = stream
            .set_nodelay(true)
            .map_err(From::from)
            .and_then(|()| echo(&builder, wrap(stream)?, connections));
    })?;
    Ok(())
}

fn echo(builder: &Builder, stream: Socket, connections: &Connections<Socket>) -> sockeye::Result<()> {
    let mut socket = builder.accept(stream)?;
    connections.add(&socket)?;
    while let Some(message) = socket.read()? {
        socket.send(message)?;
    }
    Ok(())
}

#[cfg(feature = "ssl")]
fn encryption() -> Result<Wrap> {
    use sockeye::blocking::Tls;

    let tls = sockeye::ServerTls::from(certificate::acceptor()?);
    let timeout = Config::default().handshake_timeout;
    Ok(Box::new(move |stream| Ok(Socket::Tls(Tls::accept(&tls, stream, timeout)?))))
}

#[cfg(not(feature = "ssl"))]
fn encryption() -> Result<Wrap> {
    Err(support::Failure::new("--tls requires a build with `--features ssl`"))
}
