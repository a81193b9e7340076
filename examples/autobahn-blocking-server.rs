//! The echo server that the Autobahn test suite examines, on sockets that block.
//!
//! ```text
//! cargo run --release --features blocking --example autobahn-blocking-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.
//!
//! `--tls`, in a build with `--features ssl`, encrypts, with a certificate that it makes itself.

#[cfg(feature = "ssl")]
#[path = "tls/certificate.rs"]
mod certificate;
#[path = "autobahn/compression.rs"]
mod compression;

use std::env;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use sockeye::Result;
use sockeye::blocking::{Builder, Socket};
use sockeye::protocol::Config;

use crate::compression::compression;

/// Makes what a client's connection is spoken through.
type Wrap = Arc<dyn Fn(TcpStream) -> Result<Socket> + Send + Sync>;

fn main() -> Result<()> {
    let (flags, mut addresses): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument == "--tls");
    let address = addresses.pop().unwrap_or_else(|| "127.0.0.1:3012".into());
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let builder = Builder::new().config(Config {
        max_message_size: 32 << 20,
        deflate: compression(),
        ..Config::default()
    });
    let wrap: Wrap =
        if flags.is_empty() { Arc::new(|stream| Ok(Socket::Tcp(stream))) } else { encryption()? };
    for stream in TcpListener::bind(address)?.incoming() {
        let (stream, builder, wrap) = (stream?, builder.clone(), Arc::clone(&wrap));
        stream.set_nodelay(true)?;
        // Most cases end with an error, as they are to.
        thread::spawn(move || echo(&builder, wrap(stream)?));
    }
    Ok(())
}

fn echo(builder: &Builder, stream: Socket) -> Result<()> {
    let mut socket = builder.accept(stream)?;
    while let Some(message) = socket.read()? {
        socket.send(message)?;
    }
    Ok(())
}

#[cfg(feature = "ssl")]
fn encryption() -> Result<Wrap> {
    let tls = sockeye::ServerTls::from(certificate::acceptor()?);
    let patience = Config::default().handshake_timeout;
    Ok(Arc::new(move |stream| Ok(Socket::Tls(sockeye::blocking::Tls::accept(&tls, stream, patience)?))))
}

#[cfg(not(feature = "ssl"))]
fn encryption() -> Result<Wrap> {
    let details = "--tls needs a build with `--features ssl`";
    Err(sockeye::Error::new(sockeye::ErrorKind::Internal, details))
}
