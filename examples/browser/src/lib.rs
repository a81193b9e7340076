//! A client for an echo server that is compiled both for the browser and for the terminal, from the same source.

#[cfg(target_family = "wasm")]
mod page;

use std::time::Duration;

use sockeye::protocol::Config;
use sockeye::{ClientBuilder, ClientSocket, CloseCode};

/// The default URL: that of `cargo run --example server`.
pub const URL: &str = "ws://127.0.0.1:3012";

/// Sends messages, receives their echoes, closes the connection, and passes a line about each step to `log`.
///
/// # Errors
///
/// The errors of the socket.
pub async fn talk(url: &str, mut log: impl FnMut(String)) -> sockeye::socket::Result<()> {
    let config = Config { max_message_size: 64 * 1024, ..Config::default() };
    let builder = ClientBuilder::new().config(config).connect_timeout(Duration::from_secs(5));
    let mut socket: ClientSocket = builder.connect(url).await?;
    log(format!("connected to {url}"));
    for number in 1..=3 {
        socket.send(format!("salmon {number}")).await?;
        if let Some(message) = socket.receive().await? {
            log(format!("received {message}"));
        }
    }

    // The halves can be used by different tasks.
    let (mut sender, mut receiver) = socket.split();
    sender.queue("a message from one half").await?;
    let closed = sender.close(CloseCode::Normal, "done").await?;
    while let Some(message) = receiver.receive().await? {
        log(format!("received {message}"));
    }
    log(format!("closed: {}", closed.code));
    Ok(())
}
