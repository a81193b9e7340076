//! An echo client for the Autobahn test suite, with blocking sockets. `autobahn/run` runs the suite.
//!
//! ```text
//! wstest -m fuzzingserver -s autobahn/fuzzingserver.json
//! cargo run --release --features blocking --example autobahn-blocking-client [URL] [--insecure]
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[path = "autobahn/compression.rs"]
mod compression;
mod support;
#[path = "autobahn/insecure.rs"]
mod tls;

use sockeye::CloseCode;
use sockeye::blocking::Builder;
use sockeye::protocol::Config;

use crate::compression::compression;
use crate::support::{Arguments, Failure, Result};

const USAGE: &str = "\
Usage: autobahn-blocking-client [URL] [--insecure]

Runs the cases of the Autobahn test suite, with blocking sockets.

URL         the server of the test suite [ws://127.0.0.1:3012]
--insecure  accept any certificate; requires the feature rustls or ssl";

fn main() -> Result {
    let mut arguments = Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    // The suite's largest messages are 16 MiB, exactly the default limit.
    let config = Config { max_message_size: 32 << 20, deflate: compression(), ..Config::default() };
    let mut builder = Builder::new().config(config);
    if arguments.has("--insecure") {
        builder = tls::trust_any_certificate(builder)?;
    }
    arguments.end()?;

    let suite = url.as_str().trim_end_matches('/');
    let answer = builder.connect(&format!("{suite}/getCaseCount"))?.receive()?;
    let count: Option<u32> = answer.and_then(|answer| answer.as_text().ok()?.parse().ok());
    let count = count.ok_or_else(|| Failure::new(format!("{suite} is not the server of the test suite")))?;
    for case in 1..=count {
        println!("case {case} of {count}");
        // Most cases end with an error on purpose.
        if let Err(err) = echo(&builder, &format!("{suite}/runCase?case={case}&agent=Sockeye")) {
            println!("{err}");
        }
        if support::is_interrupted() {
            break;
        }
    }
    Ok(echo(&builder, &format!("{suite}/updateReports?agent=Sockeye"))?)
}

fn echo(builder: &Builder, url: &str) -> sockeye::blocking::Result<()> {
    let mut socket = builder.connect(url)?;
    let mut closer = socket.try_clone()?;
    support::on_interrupt(move || {
        // An error means that the connection has already ended.
        let _ = closer.close(CloseCode::Away, "");
    });
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}
