//! The echo server that the Autobahn test suite examines.
//!
//! ```text
//! cargo run --release --example autobahn-server [ADDRESS]
//! wstest -m fuzzingclient -s autobahn/fuzzingclient.json
//! ```

use std::env;

use sockeye::{Builder, Sender, Settings};

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let settings = Settings { max_message_size: 32 << 20, max_buffered: 64 << 20, ..Settings::default() };
    Builder::new().with_settings(settings).build(|out: Sender| move |msg| out.send(msg))?.listen(address)?;
    Ok(())
}
