//! The echo server that the Autobahn test suite examines, on async sockets.
//!
//! ```text
//! cargo run --release -p sockeye-async-examples --example autobahn-futures-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.
//!
//! `--tls`, in a build with `--features ssl`, encrypts, with a certificate that it makes itself.

#[cfg(feature = "ssl")]
#[path = "../tls/certificate.rs"]
mod certificate;
#[path = "../autobahn/compression.rs"]
mod compression;

use std::env;

use sockeye::futures::Builder;
use sockeye::protocol::Config;
use tokio::net::{TcpListener, TcpStream};

use crate::compression::compression;

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let (flags, mut addresses): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument == "--tls");
    let address = addresses.pop().unwrap_or_else(|| "127.0.0.1:3012".into());
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let builder = Builder::new().config(config).max_buffered(64 << 20);
    let builder = if flags.is_empty() { builder } else { encrypted(builder)? };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        // Most cases end with an error, as they are to.
        tokio::spawn(echo(builder.clone(), stream));
    }
}

async fn echo(builder: Builder, stream: TcpStream) -> sockeye::Result<()> {
    let mut socket = builder.accept(stream).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[cfg(feature = "ssl")]
fn encrypted(builder: Builder) -> sockeye::Result<Builder> {
    Ok(builder.server_tls(certificate::acceptor()?))
}

#[cfg(not(feature = "ssl"))]
fn encrypted(_builder: Builder) -> sockeye::Result<Builder> {
    let details = "--tls needs a build with `--features ssl`";
    Err(sockeye::Error::new(sockeye::ErrorKind::Internal, details))
}
