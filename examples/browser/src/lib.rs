//! A conversation with an echo server, the same for the browser and for the terminal: all that differs is one line, which
//! says where `Builder` comes from.

#[cfg(target_family = "wasm")]
mod page;

use std::time::Duration;

use sockeye::CloseCode;
#[cfg(target_family = "wasm")]
use sockeye::browser::Builder;
#[cfg(not(target_family = "wasm"))]
use sockeye::futures::Builder;
use sockeye::protocol::Config;

/// Where the echo server is, unless someone says otherwise: `cargo run --example server`.
pub const URL: &str = "ws://127.0.0.1:3012";

/// Says something, listens to the echo, and closes; tells of everything.
///
/// # Errors
///
/// Whatever the socket tells.
pub async fn talk(url: &str, mut tell: impl FnMut(String)) -> sockeye::Result<()> {
    let config = Config { max_message_size: 64 * 1024, ..Config::default() };
    let builder = Builder::new().config(config).connect_timeout(Duration::from_secs(5));
    let mut socket = builder.connect(url).await?;
    tell(format!("connected to {url}"));
    for number in 1..=3 {
        socket.send(format!("salmon {number}")).await?;
        if let Some(message) = socket.receive().await? {
            tell(format!("received {message}"));
        }
    }

    let (mut sender, mut receiver) = socket.split();
    sender.queue("and one for each half").await?;
    let closed = sender.close(CloseCode::Normal, "spawned").await?;
    while let Some(message) = receiver.receive().await? {
        tell(format!("received {message}"));
    }
    tell(format!("closed with {}", closed.code));
    Ok(())
}
