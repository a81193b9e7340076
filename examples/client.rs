//! A minimal client: sends one message, prints the answer, and closes the connection.
//!
//! ```text
//! cargo run --example server
//! cargo run --example client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::CloseCode;

const USAGE: &str = "\
Usage: client [URL]

Sends one message, prints the answer, and closes the connection.

URL  the server [ws://127.0.0.1:3012]";

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    arguments.end()?;

    // `connect` returns when the connection has ended.
    sockeye::connect(url.as_str(), |out| {
        support::shut_down_on_interrupt(&out);
        // The message is queued until the connection is open.
        if let Err(err) = out.send("Hello, salmon!") {
            println!("cannot send: {err}");
        }

        move |msg| {
            println!("received {msg}");
            out.close(CloseCode::Normal)
        }
    })?;
    Ok(())
}
