//! `soketto` on one thread with Tokio, as in its examples: the socket is buffered, and each reply is flushed.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[path = "../../shared/hall.rs"]
mod hall;

use std::sync::Arc;

use arguments::{Result, arguments};
use futures_util::io::{BufReader, BufWriter};
use futures_util::{StreamExt, future, pin_mut};
use hall::Hall;
use soketto::connection::{Receiver, Sender};
use soketto::extension::deflate::Deflate;
use soketto::handshake::{Server, server::Response};
use soketto::{Data, Mode};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

type Socket = BufReader<BufWriter<Compat<TcpStream>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let (listener, hall) = (TcpListener::bind(address).await?, Hall::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match mode.as_str() {
            "echo" => drop(tokio::spawn(echo(stream, false))),
            "deflate" => drop(tokio::spawn(echo(stream, true))),
            "broadcast" => drop(tokio::spawn(broadcast(stream, hall.clone()))),
            _ => return Err("unknown mode".into()),
        }
    }
}

async fn open(stream: TcpStream, compressed: bool) -> Result<(Sender<Socket>, Receiver<Socket>)> {
    let stream = BufReader::with_capacity(8 * 1024, BufWriter::with_capacity(16 * 1024, stream.compat()));
    let mut server = Server::new(stream);
    if compressed {
        server.add_extension(Box::new(Deflate::new(Mode::Server)));
    }
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    Ok(server.into_builder().finish())
}

async fn echo(stream: TcpStream, compressed: bool) -> Result<()> {
    let (mut sender, mut receiver) = open(stream, compressed).await?;
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await? {
            Data::Binary(_) => sender.send_binary_mut(&mut message).await?,
            Data::Text(_) => sender.send_text(std::str::from_utf8(&message)?).await?,
        }
        sender.flush().await?;
    }
}

async fn broadcast(stream: TcpStream, hall: Hall<Arc<[u8]>>) -> Result<()> {
    let (mut sender, mut receiver) = open(stream, false).await?;
    let (number, mut messages) = hall.enter();
    let speak = async {
        let mut message = Vec::new();
        while receiver.receive_data(&mut message).await.is_ok() {
            hall.say(&Arc::from(message.as_slice()));
            message.clear();
        }
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            if sender.send_binary(&message).await.is_err() || sender.flush().await.is_err() {
                return;
            }
        }
    };
    pin_mut!(speak, hear);
    future::select(speak, hear).await;
    hall.leave(number);
    Ok(())
}
