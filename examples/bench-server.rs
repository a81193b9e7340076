//! The server that is measured: an echo for very many connections, and nothing else.
//!
//! ```text
//! cargo run --release --example bench-server [ADDRESS]
//! cargo run --release --example bench
//! ```

use std::env;

use sockeye::{Builder, Sender, Settings};

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let settings = Settings { max_connections: 100_000, ..Settings::default() };
    Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?.listen(address)?;
    Ok(())
}
