//! The shortest client: says one thing, hears one thing, closes.
//!
//! ```text
//! cargo run --example server
//! cargo run --example client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use sockeye::CloseCode;

fn main() -> sockeye::Result<()> {
    env_logger::init();
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3012".into());

    // `connect` returns when the connection has ended.
    sockeye::connect(url, |out| {
        // The connection is not open yet; the message waits until it is.
        if let Err(err) = out.send("Hello, salmon!") {
            println!("not sent: {err}");
        }

        move |msg| {
            println!("the server says: {msg}");
            out.close(CloseCode::Normal)
        }
    })
}
