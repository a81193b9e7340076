//! The echo client that the Autobahn test suite examines: asks the suite's server how many cases there are, runs
//! them one after the other, and has the report written.
//!
//! ```text
//! wstest -m fuzzingserver -s autobahn/fuzzingserver.json
//! cargo run --release --example autobahn-client [URL] [FIRST] [LAST] [--insecure]
//! ```
//!
//! With `--features permessage-deflate` it compresses.
//!
//! `--insecure`, in a build with `--features ssl`, does not verify the certificate of a `wss` server.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "autobahn/compression.rs"]
mod compression;
#[path = "tls/client.rs"]
mod tls;

use std::cell::Cell;
use std::env;

use sockeye::{Builder, Error, ErrorKind, Handler, Message, Result, Sender, Settings};
use url::Url;

use crate::compression::compression;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--insecure");
    let suite = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:3012".into());
    let suite = suite.trim_end_matches('/');
    let mut number = || arguments.next().map(|argument| argument.parse::<u32>()).transpose();
    let (first, last) = (number().map_err(internal)?, number().map_err(internal)?);

    let count = case_count(suite)?;
    let (first, last) = (first.unwrap_or(1), last.unwrap_or(count).min(count));
    for case in first..=last {
        println!("case {case} of {count}");
        visit(&format!("{suite}/runCase?case={case}&agent=Sockeye"), |out: Sender| move |msg| out.send(msg))?;
    }
    visit(&format!("{suite}/updateReports?agent=Sockeye"), |_| |_| Ok(()))
}

/// The suite says how many cases it has, and closes.
fn case_count(suite: &str) -> Result<u32> {
    let count = Cell::new(None);
    visit(&format!("{suite}/getCaseCount"), |_: Sender| {
        |msg: Message| {
            count.set(msg.as_text()?.parse().ok());
            Ok(())
        }
    })?;
    count.get().ok_or_else(|| Error::new(ErrorKind::Protocol, format!("{suite} is not the suite's server")))
}

/// One connection from beginning to end.
fn visit<F, H>(url: &str, factory: F) -> Result<()>
where
    F: FnMut(Sender) -> H,
    H: Handler,
{
    // The suite's largest messages are 16 MiB, which is just what is allowed by default; this leaves room.
    let settings = Settings {
        max_message_size: 32 << 20,
        max_buffered: 64 << 20,
        deflate: compression(),
        ..Settings::default()
    };
    let mut socket = Builder::new().with_settings(settings).build(factory)?;
    if env::args().any(|argument| argument == "--insecure") {
        socket = tls::trust_anyone(socket)?;
    }
    socket.connect(Url::parse(url).map_err(internal)?)?;
    socket.run()?;
    Ok(())
}

fn internal(err: impl std::error::Error) -> Error {
    Error::new(ErrorKind::Internal, err.to_string())
}
