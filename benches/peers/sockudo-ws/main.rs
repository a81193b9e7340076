//! `sockudo-ws` on one thread, as in its examples `simple_echo` and `pubsub_echo`. The mode `echo` writes each reply
//! immediately. The mode `batched` uses `forward`, which writes when nothing more can be read.

#[path = "../../shared/arguments.rs"]
mod arguments;

use std::sync::Arc;

use arguments::{Result, arguments};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use sockudo_ws::deflate::negotiate_server_deflate;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::{CompressedWebSocketStream, Compression, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const TOPIC: &str = "all";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let (listener, hall) = (TcpListener::bind(address).await?, Arc::new(PubSub::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match mode.as_str() {
            "echo" => drop(tokio::spawn(echo(stream))),
            "batched" => drop(tokio::spawn(batched(stream))),
            "deflate" => drop(tokio::spawn(deflate(stream))),
            "broadcast" => drop(tokio::spawn(broadcast(stream, Arc::clone(&hall)))),
            _ => return Err("unknown mode".into()),
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

async fn echo(mut stream: TcpStream) -> Result<()> {
    shake_hands(&mut stream, |_| Ok(None)).await?;
    let mut socket = WebSocketStream::server(stream, Config::default());
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn batched(mut stream: TcpStream) -> Result<()> {
    shake_hands(&mut stream, |_| Ok(None)).await?;
    let (write, read) = StreamExt::split(WebSocketStream::server(stream, Config::default()));
    read.try_filter(|message| future::ready(is_data(message))).forward(write).await?;
    Ok(())
}

async fn deflate(mut stream: TcpStream) -> Result<()> {
    let policy = Compression::Dedicated.to_deflate_config().ok_or("no compression")?;
    let mut agreed = policy.clone();
    shake_hands(&mut stream, |offers| {
        let negotiation = negotiate_server_deflate(offers, &policy).ok_or("no acceptable offer")?;
        agreed = negotiation.config.clone();
        Ok(Some(negotiation.to_response_header()))
    })
    .await?;
    let mut socket = CompressedWebSocketStream::server(stream, Config::default(), agreed);
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn broadcast(mut stream: TcpStream, hall: Arc<PubSub>) -> Result<()> {
    shake_hands(&mut stream, |_| Ok(None)).await?;
    let (mut reader, mut writer) = WebSocketStream::server(stream, Config::default()).split();
    let (sender, mut messages) = mpsc::unbounded_channel();
    let number = hall.create_subscriber(sender);
    hall.subscribe(number, TOPIC);
    loop {
        tokio::select! {
            message = reader.next() => match message {
                Some(Ok(message)) if is_data(&message) => drop(hall.publish(TOPIC, message)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
            Some(message) = messages.recv() => if writer.send(message).await.is_err() {
                break;
            },
        }
    }
    hall.remove_subscriber(number);
    Ok(())
}

/// Performs the opening handshake. `agree` receives the client's offer of extensions, and returns the accepted ones.
async fn shake_hands(
    stream: &mut TcpStream,
    agree: impl FnOnce(&str) -> Result<Option<String>>,
) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err("the client closed the connection".into());
        }
        if let Some((request, _)) = parse_request(&buffer)? {
            let extensions = agree(request.extensions.unwrap_or_default())?;
            let response = build_response(&generate_accept_key(request.key), None, extensions.as_deref());
            return Ok(stream.write_all(&response).await?);
        }
    }
}
