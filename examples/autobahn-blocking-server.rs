//! The echo server that the Autobahn test suite examines, on sockets that block.
//!
//! ```text
//! cargo run --release --features blocking --example autobahn-blocking-server [ADDRESS]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#[path = "autobahn/compression.rs"]
mod compression;

use std::env;
use std::net::{TcpListener, TcpStream};
use std::thread;

use sockeye::blocking::Builder;
use sockeye::protocol::Config;

use crate::compression::compression;

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let builder = Builder::new().config(Config {
        max_message_size: 32 << 20,
        deflate: compression(),
        ..Config::default()
    });
    for stream in TcpListener::bind(address)?.incoming() {
        let (stream, builder) = (stream?, builder.clone());
        // Most cases end with an error, as they are to.
        thread::spawn(move || echo(&builder, stream));
    }
    Ok(())
}

fn echo(builder: &Builder, stream: TcpStream) -> sockeye::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = builder.accept(stream)?;
    while let Some(message) = socket.read()? {
        socket.send(message)?;
    }
    Ok(())
}
