//! An echo server for the Autobahn test suite, with async sockets. `autobahn/run` runs the suite.
//!
//! ```text
//! cargo run --release -p sockeye-async-examples --example autobahn-futures-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "../tls/certificate.rs"]
mod certificate;
#[path = "../autobahn/compression.rs"]
mod compression;
mod support;

use sockeye::futures::Builder;
use sockeye::protocol::Config;
use tokio::net::TcpStream;

use crate::compression::compression;
use crate::support::{Interrupt, Result};

const USAGE: &str = "\
Usage: autobahn-futures-server [ADDRESS] [--tls]

Sends every message back to the Autobahn test suite, with async sockets.

ADDRESS  where to listen [127.0.0.1:3012]
--tls    encrypt, with a certificate that no client trusts; requires the feature rustls or ssl";

#[tokio::main]
async fn main() -> Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    // The suite's largest messages are 16 MiB, exactly the default limit.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let mut builder = Builder::new().config(config).max_buffered(64 << 20);
    let mut scheme = "ws";
    if arguments.has("--tls") {
        (builder, scheme) = (encrypt(builder)?, "wss");
    }
    arguments.end()?;

    let server = support::Server::bind(&address).await?;
    println!("echoing on {scheme}://{}", server.local_addr()?);
    server
        .run(|stream, _, interrupt| {
            let builder = builder.clone();
            async move {
                // Most cases end with an error on purpose.
                let _ = echo(&builder, stream, interrupt).await;
            }
        })
        .await
}

async fn echo(builder: &Builder, stream: TcpStream, interrupt: Interrupt) -> sockeye::futures::Result<()> {
    let socket = builder.accept(stream).await?;
    support::echo(socket, interrupt).await
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn encrypt(builder: Builder) -> Result<Builder> {
    Ok(builder.server_tls(certificate::localhost()?))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn encrypt(_builder: Builder) -> Result<Builder> {
    Err(support::Failure::new("--tls requires a build with `--features rustls` or `--features ssl`"))
}
