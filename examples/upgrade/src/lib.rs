//! What the examples share: an echo on an event loop, on a thread, and in a task.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::blocking::{Bare, WebSocket};
use sockeye::futures::{Builder as AsyncBuilder, Compat, Timer};
use sockeye::upgrade::Upgrade;
use sockeye::{Builder, CloseCode, Result, Sender};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

const SHUTDOWN: &str = "the server is shutting down";

/// An event loop on a thread of its own. Its connections send everything back.
pub struct EventLoop {
    sender: Sender,
    thread: JoinHandle<Result<()>>,
}

impl EventLoop {
    pub fn start() -> Result<Self> {
        let (created, sender) = channel();
        let thread = thread::spawn(move || {
            let socket = Builder::new().build(|out: Sender| move |message| out.send(message))?;
            let _ = created.send(socket.broadcaster());
            // The loop has no listener. It waits for the connections that it is given.
            socket.run_until_shutdown()?;
            Ok(())
        });
        Ok(Self { sender: sender.recv().map_err(io::Error::other)?, thread })
    }

    /// Returns the sender that gives connections to the loop.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Closes all connections with 1001 (going away), and waits for the loop to end.
    pub fn shut_down(self) -> Result<()> {
        self.sender.shutdown()?;
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the event loop panicked").into()))
    }
}

/// The threads of a blocking server that each serve one connection.
///
/// The stream of another server has no second handle, and a blocked read cannot be interrupted. Therefore a connection is
/// closed with 1001 when its next message arrives after Ctrl-C.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<Vec<mpsc::Receiver<()>>>>, Arc<AtomicBool>);

impl Threads {
    /// Sends everything back, on a thread of its own.
    pub fn spawn_echo(&self, stream: impl Read + Write + Send + 'static, upgrade: Upgrade) {
        let is_stopping = Arc::clone(&self.1);
        let (running, ended) = channel::<()>();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.try_recv() == Err(mpsc::TryRecvError::Empty));
        threads.push(ended);
        thread::spawn(move || {
            let _ = echo(stream, upgrade, &is_stopping);
            drop(running);
        });
    }

    /// Makes the threads close their connections.
    pub fn stop(&self) {
        self.1.store(true, Ordering::SeqCst);
    }

    pub fn is_stopping(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }

    /// Waits for the threads to end, for at most five seconds each.
    pub fn join(self) {
        for thread in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.recv_timeout(Duration::from_secs(5));
        }
    }
}

fn echo(stream: impl Read + Write, upgrade: Upgrade, is_stopping: &AtomicBool) -> Result<()> {
    let mut socket = WebSocket::upgraded(Bare(stream), upgrade)?;
    while let Some(message) = socket.receive()? {
        if is_stopping.load(Ordering::SeqCst) {
            socket.close(CloseCode::Away, SHUTDOWN)?;
            break;
        }
        socket.send(message)?;
    }
    Ok(())
}

/// The tasks of an async server that each serve one connection.
#[derive(Clone, Default)]
pub struct Tasks(Arc<watch::Sender<bool>>);

impl Tasks {
    /// Sends everything back, until the client closes the connection or the server stops.
    pub async fn echo<S>(&self, stream: S, upgrade: Upgrade) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stopping = self.0.subscribe();
        let builder = AsyncBuilder::new().timer(Timer::tokio());
        let mut socket = builder.upgraded(Compat(stream), upgrade)?;
        loop {
            tokio::select! {
                message = socket.receive() => match message? {
                    Some(message) => socket.send(message).await?,
                    None => return Ok(()),
                },
                () = wait_for_stop(&mut stopping) => {
                    socket.close(CloseCode::Away, SHUTDOWN).await?;
                    return Ok(());
                }
            }
        }
    }

    /// Makes the tasks close their connections with 1001 (going away).
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Waits for [`stop`](Self::stop).
    pub async fn stopping(&self) {
        wait_for_stop(&mut self.0.subscribe()).await;
    }

    /// Waits for the tasks to end.
    pub async fn join(self) {
        self.0.closed().await;
    }
}

async fn wait_for_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server has ended.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}
