//! The sockets of Sockeye that have no handler, as in their documentation: async with a task for each connection, on one thread,
//! and blocking with a thread for each connection.

#[path = "../../shared/arguments.rs"]
mod arguments;

use std::net;
use std::thread;

use arguments::{Result, arguments};
use sockeye::{blocking, futures};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    match mode.as_str() {
        "async" => serve(&address),
        "blocking" => serve_blocking(&address),
        _ => Err("unknown mode".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        drop(tokio::spawn(echo(stream)));
    }
}

async fn echo(stream: TcpStream) -> futures::Result<()> {
    let mut socket = futures::WebSocket::accept(stream).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

fn serve_blocking(address: &str) -> Result<()> {
    for stream in net::TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        // The error with which a connection ends does not affect the server.
        thread::spawn(move || drop(echo_blocking(stream)));
    }
    Ok(())
}

fn echo_blocking(stream: net::TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = blocking::WebSocket::accept(stream)?;
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}
