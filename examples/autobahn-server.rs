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

#[path = "tls/server.rs"]
mod tls;

use std::env;

use sockeye::{Builder, Sender, Settings};

fn main() -> sockeye::Result<()> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let settings = Settings { max_message_size: 32 << 20, max_buffered: 64 << 20, ..compressing() };
    let socket = Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?;
    let socket = tls::encrypt_if_asked(socket, &mut arguments)?;
    socket.listen(arguments.first().map_or("127.0.0.1:3012", String::as_str))?;
    Ok(())
}

/// The suite tries every parameter: contexts are kept unless it asks for something else, and nothing is too small.
#[cfg(feature = "permessage-deflate")]
fn compressing() -> Settings {
    let deflate = sockeye::Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        threshold: 0,
        ..sockeye::Deflate::default()
    };
    Settings { deflate: Some(deflate), ..Settings::default() }
}

#[cfg(not(feature = "permessage-deflate"))]
fn compressing() -> Settings {
    Settings::default()
}
