//! The echo client that the Autobahn test suite examines, on async sockets.
//!
//! ```text
//! wstest -m fuzzingserver -s autobahn/fuzzingserver.json
//! cargo run --release -p sockeye-async-examples --example autobahn-futures-client [URL] [--insecure]
//! ```
//!
//! With `--features permessage-deflate` it compresses.
//!
//! `--insecure`, in a build with `--features ssl`, does not verify the certificate of a `wss` server.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "../autobahn/compression.rs"]
mod compression;
#[path = "../autobahn/insecure.rs"]
mod tls;

use std::env;

use sockeye::futures::Builder;
use sockeye::protocol::Config;
use sockeye::{Error, ErrorKind, Result};

use crate::compression::compression;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (flags, mut urls): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument == "--insecure");
    let suite = urls.pop().unwrap_or_else(|| "ws://127.0.0.1:3012".into());
    let suite = suite.trim_end_matches('/');
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let builder = Builder::new().config(config).max_buffered(64 << 20);
    let builder = if flags.is_empty() { builder } else { tls::trust_anyone(builder)? };

    let answer = builder.connect(&format!("{suite}/getCaseCount")).await?.receive().await?;
    let count: Option<u32> = answer.and_then(|answer| answer.as_text().ok()?.parse().ok());
    let count =
        count.ok_or_else(|| Error::new(ErrorKind::Protocol, format!("{suite} is not the suite's server")))?;
    for case in 1..=count {
        println!("case {case} of {count}");
        // Most cases end with an error, as they are to.
        if let Err(err) = echo(&builder, &format!("{suite}/runCase?case={case}&agent=Sockeye")).await {
            println!("{err}");
        }
    }
    echo(&builder, &format!("{suite}/updateReports?agent=Sockeye")).await
}

async fn echo(builder: &Builder, url: &str) -> Result<()> {
    let mut socket = builder.connect(url).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
