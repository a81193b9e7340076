//! `tokio-tungstenite` on one thread: `forward` as in its example `echo-server`, and a map of channels as in its
//! example `server`. `forward` writes when nothing more can be read, so that replies to messages that arrived together
//! leave together.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[path = "../../shared/hall.rs"]
mod hall;

use arguments::{Result, arguments};
use futures_util::{StreamExt, TryStreamExt, future};
use hall::Hall;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let (listener, hall) = (TcpListener::bind(address).await?, Hall::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match mode.as_str() {
            "echo" => drop(tokio::spawn(echo(stream))),
            "broadcast" => drop(tokio::spawn(broadcast(stream, hall.clone()))),
            _ => return Err("unknown mode".into()),
        }
    }
}

async fn echo(stream: TcpStream) -> Result<()> {
    let (write, read) = accept_async(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary())).forward(write).await?;
    Ok(())
}

async fn broadcast(stream: TcpStream, hall: Hall<Message>) -> Result<()> {
    let (write, read) = accept_async(stream).await?.split();
    let (number, messages) = hall.enter();
    let speak = read.try_for_each(|message| {
        if message.is_text() || message.is_binary() {
            hall.say(&message);
        }
        future::ok(())
    });
    future::select(speak, messages.map(Ok).forward(write)).await;
    hall.leave(number);
    Ok(())
}
