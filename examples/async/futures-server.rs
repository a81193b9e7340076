//! An echo server with async sockets, on tokio: each connection is served by a task of its own.
//!
//! ```text
//! cargo run -p sockeye-async-examples --example futures-server [ADDRESS]
//! ```
//!
//! `support.rs` accepts the connections, and closes them on Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::CloseCode;
use sockeye::futures::WebSocket;
use tokio::net::TcpStream;

use crate::support::Interrupt;

const USAGE: &str = "\
Usage: futures-server [ADDRESS]

Sends every message back.

ADDRESS  where to listen [127.0.0.1:3012]";

#[tokio::main]
async fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let server = support::Server::bind(&address).await?;
    println!("echoing on ws://{}", server.local_addr()?);
    server
        .run(|stream, peer, interrupt| async move {
            match echo(stream, interrupt).await {
                Ok(()) => println!("{peer} disconnected"),
                Err(err) => println!("{peer}: {err}"),
            }
        })
        .await
}

async fn echo(stream: TcpStream, mut interrupt: Interrupt) -> sockeye::futures::Result<()> {
    let mut socket = WebSocket::accept(stream).await?;
    loop {
        // `receive` is cancel-safe: if Ctrl-C comes first, no message is lost.
        tokio::select! {
            message = socket.receive() => match message? {
                Some(message) => socket.send(message).await?,
                None => return Ok(()),
            },
            () = interrupt.wait() => {
                socket.close(CloseCode::Away, "the server is shutting down").await?;
                return Ok(());
            }
        }
    }
}
