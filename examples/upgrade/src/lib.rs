//! What the examples share: an echo on an event loop, on a thread, and in a task.

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use sockeye::blocking::WebSocket;
use sockeye::futures::{Transport, WebSocket as AsyncWebSocket};
use sockeye::protocol::Config;
use sockeye::tiny_http::Stream;
use sockeye::{Builder, CloseCode, Result, Sender};
use tokio::sync::watch;

const SHUTDOWN: &str = "the server is shutting down";

/// The configuration of the examples: the limits of the default, and the subprotocol `echo`.
pub fn config() -> Config {
    Config { subprotocols: vec!["echo".to_owned()], ..Config::default() }
}

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
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<Vec<Served>>>);

/// A connection with the thread that serves it. The second handle closes it from another thread.
struct Served {
    handle: Option<WebSocket<Stream>>,
    thread: JoinHandle<()>,
}

impl Threads {
    /// Sends everything back, on a thread of its own.
    pub fn spawn_echo(&self, mut socket: WebSocket<Stream>) {
        let handle = socket.try_clone().ok();
        let thread = thread::spawn(move || {
            while let Ok(Some(message)) = socket.receive() {
                let _ = socket.send(message);
            }
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|served| !served.thread.is_finished());
        all.push(Served { handle, thread });
    }

    /// Closes all connections with 1001 (going away), and waits for the threads to end.
    pub fn stop(self) {
        for served in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Without a second handle, the end of the process ends the connection.
            if let Some(mut handle) = served.handle {
                let _ = handle.close(CloseCode::Away, SHUTDOWN);
                let _ = served.thread.join();
            }
        }
    }
}

/// The tasks of an async server that each serve one connection.
#[derive(Clone, Default)]
pub struct Tasks(Arc<watch::Sender<bool>>);

impl Tasks {
    /// Sends everything back, until the client closes the connection or the server stops.
    pub async fn echo<S: Transport>(self, mut socket: AsyncWebSocket<S>) {
        let mut stopping = self.0.subscribe();
        loop {
            tokio::select! {
                message = socket.receive() => {
                    let Ok(Some(message)) = message else { break };
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
                () = wait_for_stop(&mut stopping) => {
                    let _ = socket.close(CloseCode::Away, SHUTDOWN).await;
                    break;
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

/// Tests the code of the page like that of the documentation. It needs the servers, which are not dependencies of the library.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/other-servers.md")]
struct OtherServers;

async fn wait_for_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server has ended.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}
