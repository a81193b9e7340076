//! `yawc` on one thread, as in its documentation: hyper performs the handshake. The mode `echo` writes each reply
//! immediately. The mode `batched` uses `forward`, which writes when nothing more can be read. The option for checking
//! UTF-8 is enabled.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[path = "../../shared/hall.rs"]
mod hall;

use arguments::{Result, arguments};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future};
use hall::Hall;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use yawc::{CompressionLevel, Frame, OpCode, Options, UpgradeFut, WebSocket};

#[derive(Clone)]
enum Mode {
    Echo,
    Batched,
    Deflate,
    Broadcast(Hall<Frame>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let mode = match mode.as_str() {
        "echo" => Mode::Echo,
        "batched" => Mode::Batched,
        "deflate" => Mode::Deflate,
        "broadcast" => Mode::Broadcast(Hall::new()),
        _ => return Err("unknown mode".into()),
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, mode.clone()));
    }
}

async fn serve(stream: TcpStream, mode: Mode) -> Result<()> {
    let service = service_fn(move |request| {
        let mode = mode.clone();
        async move { open(request, mode) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

fn open(mut request: Request<Incoming>, mode: Mode) -> yawc::Result<Response<Empty<Bytes>>> {
    let options = Options::default().with_utf8().with_limits(64 << 20, 128 << 20);
    let options = match mode {
        Mode::Deflate => options.with_compression_level(CompressionLevel::default()),
        _ => options.without_compression(),
    };
    let (response, socket) = WebSocket::upgrade_with_options(&mut request, options)?;
    match mode {
        Mode::Echo | Mode::Deflate => drop(tokio::spawn(echo(socket))),
        Mode::Batched => drop(tokio::spawn(batched(socket))),
        Mode::Broadcast(hall) => drop(tokio::spawn(broadcast(socket, hall))),
    }
    Ok(response)
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}

async fn echo(socket: UpgradeFut) -> Result<()> {
    let mut socket = socket.await?;
    while let Some(frame) = socket.next().await {
        if is_data(&frame) {
            socket.send(frame).await?;
        }
    }
    Ok(())
}

async fn batched(socket: UpgradeFut) -> Result<()> {
    let (write, read) = socket.await?.split();
    read.filter(|frame| future::ready(is_data(frame))).map(Ok).forward(write).await?;
    Ok(())
}

async fn broadcast(socket: UpgradeFut, hall: Hall<Frame>) -> Result<()> {
    let (write, read) = socket.await?.split();
    let (number, frames) = hall.enter();
    let speak = read.for_each(|frame| {
        if is_data(&frame) {
            hall.say(&frame);
        }
        future::ready(())
    });
    future::select(speak, frames.map(Ok).forward(write)).await;
    hall.leave(number);
    Ok(())
}
