//! An echo client for the Autobahn test suite: asks for the number of cases, runs them one after the other, and requests
//! the report. `autobahn/run` runs the suite.
//!
//! ```text
//! wstest -m fuzzingserver -s autobahn/fuzzingserver.json
//! cargo run --release --example autobahn-client [URL [FIRST [LAST]]] [--insecure]
//! ```
//!
//! With `--features permessage-deflate` it compresses.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[path = "autobahn/compression.rs"]
mod compression;
mod support;
#[path = "tls/client.rs"]
mod tls;

use std::cell::Cell;

use sockeye::{Builder, Handler, Message, Sender, Settings};

use crate::compression::compression;
use crate::support::{Arguments, Failure, Result};

const USAGE: &str = "\
Usage: autobahn-client [URL [FIRST [LAST]]] [--insecure]

Runs the cases of the Autobahn test suite.

URL         the server of the test suite [ws://127.0.0.1:3012]
FIRST       the first case to run [1]
LAST        the last case to run [the last of the suite]
--insecure  accept any certificate; requires the feature rustls or ssl";

fn main() -> Result {
    let mut arguments = Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    let (first, last) = (arguments.number()?.unwrap_or(1), arguments.number()?.unwrap_or(u32::MAX));
    let suite = Suite {
        url: url.as_str().trim_end_matches('/').to_owned(),
        is_insecure: arguments.has("--insecure"),
    };
    arguments.end()?;

    let count = suite.case_count()?;
    for case in first..=last.min(count) {
        if support::is_interrupted() {
            break;
        }
        println!("case {case} of {count}");
        suite
            .visit(&format!("/runCase?case={case}&agent=Sockeye"), |out: Sender| move |msg| out.send(msg))?;
    }
    suite.visit("/updateReports?agent=Sockeye", |_| |_| Ok(()))
}

struct Suite {
    url: String,
    is_insecure: bool,
}

impl Suite {
    /// The suite sends the number of its cases, and closes the connection.
    fn case_count(&self) -> Result<u32> {
        let count = Cell::new(None);
        self.visit("/getCaseCount", |_: Sender| {
            |msg: Message| {
                count.set(msg.as_text()?.parse().ok());
                Ok(())
            }
        })?;
        count.get().ok_or_else(|| Failure::new(format!("{} is not the server of the test suite", self.url)))
    }

    /// Runs one connection from beginning to end.
    fn visit<F, H>(&self, path: &str, factory: F) -> Result
    where
        F: FnMut(Sender) -> H,
        H: Handler,
    {
        // The suite's largest messages are 16 MiB, exactly the default limit.
        let settings = Settings {
            max_message_size: 32 << 20,
            max_buffered: 64 << 20,
            deflate: compression(),
            ..Settings::default()
        };
        let mut socket = Builder::new().with_settings(settings).build(factory)?;
        if self.is_insecure {
            socket = tls::trust_any_certificate(socket)?;
        }
        support::shut_down_on_interrupt(&socket.broadcaster());
        socket.connect(support::parse_url(&format!("{}{path}", self.url))?)?;
        socket.run()?;
        Ok(())
    }
}
