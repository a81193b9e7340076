//! The echo server that the Autobahn test suite examines.
//!
//! ```text
//! cargo run --release --example autobahn-server [ADDRESS] [--tls]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```
//!
//! With `--features permessage-deflate` it compresses.
//!
//! `--tls`, in a build with `--features ssl`, encrypts, with a certificate that it makes itself.

#[path = "autobahn/compression.rs"]
mod compression;
#[path = "tls/server.rs"]
mod tls;

use std::env;

use sockeye::{Builder, Sender, Settings};

use crate::compression::compression;

fn main() -> sockeye::Result<()> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let settings = Settings {
        max_message_size: 32 << 20,
        max_buffered: 64 << 20,
        deflate: compression(),
        ..Settings::default()
    };
    let socket = Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?;
    let socket = tls::encrypt_if_asked(socket, &mut arguments)?;
    socket.listen(arguments.first().map_or("127.0.0.1:3012", String::as_str))?;
    Ok(())
}
