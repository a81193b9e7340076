//! An async client on tokio: sends in one task, and receives in another.
//!
//! ```text
//! cargo run -p sockeye-async-examples --example futures-server
//! cargo run -p sockeye-async-examples --example futures-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use sockeye::CloseCode;
use sockeye::futures::WebSocket;

/// How many messages are sent, and come back.
const COUNT: usize = 3;

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3012".into());
    let (mut sender, mut receiver) = WebSocket::connect(&url).await?.split();
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
    // What is still on its way when we close would not be taken any more.
    receiving.await.map_err(std::io::Error::other)??;
    let closed = sender.close(CloseCode::Normal, "spawned").await?;
    println!("closed with {}", closed.code);
    Ok(())
}
