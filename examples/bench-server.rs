//! The server that is measured: an echo for very many connections, and nothing else.
//!
//! ```text
//! cargo run --release --example bench-server [ADDRESS] [--tls]
//! cargo run --release --example bench
//! ```
//!
//! `--tls`, in a build with `--features ssl`, encrypts, with a certificate that it makes itself.

#[path = "tls/server.rs"]
mod tls;

use std::env;

use sockeye::{Builder, Sender, Settings};

fn main() -> sockeye::Result<()> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let settings = Settings { max_connections: 100_000, ..Settings::default() };
    let socket = Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?;
    let socket = tls::encrypt_if_asked(socket, &mut arguments)?;
    socket.listen(arguments.first().map_or("127.0.0.1:3012", String::as_str))?;
    Ok(())
}
