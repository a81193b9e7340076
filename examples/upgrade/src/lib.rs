//! What the examples have in common: an echo, on an event loop, on a thread, and in a task.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::thread;

use sockeye::blocking::{Bare, WebSocket};
use sockeye::futures::{Compat, Timer};
use sockeye::upgrade::Upgrade;
use sockeye::{Builder, Result, Sender, futures};
use tokio::io::{AsyncRead, AsyncWrite};

/// Starts an event loop whose connections send everything back; returns what hands them to it.
pub fn start_loop() -> Result<Sender> {
    let (tell, told) = channel();
    thread::spawn(move || -> Result<()> {
        let socket = Builder::new().build(|out: Sender| move |message| out.send(message))?;
        let _ = tell.send(socket.broadcaster());
        // It has nothing to listen on, and waits for what it is handed.
        socket.run_until_shutdown()?;
        Ok(())
    });
    Ok(told.recv().map_err(std::io::Error::other)?)
}

/// Sends everything back, on this thread.
pub fn echo(stream: impl Read + Write, upgrade: Upgrade) -> Result<()> {
    let mut socket = WebSocket::upgraded(Bare(stream), upgrade)?;
    while let Some(message) = socket.read()? {
        socket.send(message)?;
    }
    Ok(())
}

/// Sends everything back, in this task.
pub async fn echo_async(stream: impl AsyncRead + AsyncWrite + Unpin, upgrade: Upgrade) -> Result<()> {
    let builder = futures::Builder::new().timer(Timer::tokio());
    let mut socket = builder.upgraded(Compat(stream), upgrade)?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
