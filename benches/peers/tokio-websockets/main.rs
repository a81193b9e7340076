//! `tokio-websockets` on one thread, as in its example `echo_server`: each reply is written immediately, and the task
//! is `unconstrained`. The mode `batched` uses `forward` instead, which writes when nothing more can be read.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[path = "../../shared/hall.rs"]
mod hall;

use arguments::{Result, arguments};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use hall::Hall;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::unconstrained;
use tokio_websockets::{Config, Limits, Message, ServerBuilder, WebSocketStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let (listener, hall) = (TcpListener::bind(address).await?, Hall::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match mode.as_str() {
            "echo" => drop(tokio::spawn(unconstrained(echo(stream)))),
            "batched" => drop(tokio::spawn(unconstrained(batched(stream)))),
            "broadcast" => drop(tokio::spawn(unconstrained(broadcast(stream, hall.clone())))),
            _ => return Err("unknown mode".into()),
        }
    }
}

async fn open(stream: TcpStream) -> Result<WebSocketStream<TcpStream>> {
    let builder =
        ServerBuilder::new().config(Config::default().frame_size(usize::MAX)).limits(Limits::unlimited());
    Ok(builder.accept(stream).await?.1)
}

async fn echo(stream: TcpStream) -> Result<()> {
    let mut socket = open(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn batched(stream: TcpStream) -> Result<()> {
    let (write, read) = open(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary())).forward(write).await?;
    Ok(())
}

async fn broadcast(stream: TcpStream, hall: Hall<Message>) -> Result<()> {
    let (write, read) = open(stream).await?.split();
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
