//! An async echo server on tokio.
//!
//! ```text
//! cargo run -p sockeye-async-examples --example futures-server [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use sockeye::futures::WebSocket;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {address}");
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            match echo(stream).await {
                Ok(()) => println!("{peer} has gone"),
                Err(err) => println!("{peer}: {err}"),
            }
        });
    }
}

async fn echo(stream: TcpStream) -> sockeye::Result<()> {
    let mut socket = WebSocket::accept(stream).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
