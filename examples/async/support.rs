//! What the async examples share: the command line, Ctrl-C, an echo, and a server with a task for each connection.

#![allow(dead_code, unused_imports, reason = "no example uses everything")]

#[path = "../support/arguments.rs"]
mod arguments;
#[path = "../support/failure.rs"]
mod failure;
#[path = "../support/interrupt.rs"]
mod interrupt;

use std::io;
use std::net::SocketAddr;

use sockeye::CloseCode;
use sockeye::futures::{Transport, WebSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use arguments::{Arguments, URL};
pub(crate) use failure::{Failure, Result};
pub(crate) use interrupt::is_interrupted;

/// Completes on Ctrl-C. Each task has a clone.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = watch::channel(false);
        interrupt::on_interrupt(move || {
            sender.send_replace(true);
        });
        Self(receiver)
    }

    /// Waits for Ctrl-C. This is cancel-safe.
    pub(crate) async fn wait(&mut self) {
        // An error means that another action has replaced this one.
        let _ = self.0.wait_for(|is_interrupted| *is_interrupted).await;
    }
}

/// Sends every message back until the peer closes the connection. Ctrl-C closes it with 1001.
pub(crate) async fn echo<S: Transport>(
    mut socket: WebSocket<S>,
    mut interrupt: Interrupt,
) -> sockeye::futures::Result<()> {
    loop {
        tokio::select! {
            message = socket.receive() => match message? {
                Some(message) => socket.send(message).await?,
                None => return Ok(()),
            },
            () = interrupt.wait() => {
                socket.close(CloseCode::Away, "").await?;
                return Ok(());
            }
        }
    }
}

/// A listener whose connections are each served by a task.
pub(crate) struct Server {
    listener: TcpListener,
    interrupt: Interrupt,
}

impl Server {
    /// Binds the address. From now on, Ctrl-C ends [`run`](Self::run).
    pub(crate) async fn bind(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))?;
        Ok(Self { listener, interrupt: Interrupt::new() })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until Ctrl-C, runs `handle` for each in a task of its own, and waits for all tasks to end.
    pub(crate) async fn run<F>(mut self, handle: impl Fn(TcpStream, SocketAddr, Interrupt) -> F) -> Result
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, peer) = accepted?;
                    tasks.spawn(handle(stream, peer, self.interrupt.clone()));
                }
                Some(_) = tasks.join_next() => {}
                () = self.interrupt.wait() => break,
            }
        }
        drop(self.listener);
        tasks.join_all().await;
        Ok(())
    }
}
