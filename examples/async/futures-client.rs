//! A client with an async socket, on tokio: one task sends, and another receives.
//!
//! ```text
//! cargo run -p sockeye-async-examples --example futures-server
//! cargo run -p sockeye-async-examples --example futures-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::CloseCode;
use sockeye::futures::WebSocket;

const USAGE: &str = "\
Usage: futures-client [URL]

Sends three messages, prints the answers, and closes the connection.

URL  the server [ws://127.0.0.1:3012]";

/// The number of messages that are sent and received.
const COUNT: usize = 3;

#[tokio::main]
async fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let url = arguments.url(support::URL)?;
    arguments.end()?;
    let mut interrupt = support::Interrupt::new();

    let (mut sender, mut receiver) = WebSocket::connect(url.as_str()).await?.split();
    let receiving = tokio::spawn(async move {
        for _ in 0..COUNT {
            match receiver.receive().await? {
                Some(message) => println!("received {message}"),
                None => break,
            }
        }
        sockeye::Result::Ok(())
    });
    for number in 1..=COUNT {
        sender.send(format!("salmon {number}")).await?;
    }
    // Messages that arrive after the Close has been sent are discarded, so the answers come first.
    tokio::select! {
        received = receiving => received??,
        () = interrupt.wait() => {}
    }
    let closed = sender.close(CloseCode::Normal, "done").await?;
    println!("closed: {}", closed.code);
    Ok(())
}
