//! A server with a thread for each connection, which Ctrl-C ends cleanly.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sockeye::blocking::{Stream, WebSocket};
use sockeye::{CloseCode, Result};

use crate::support;

/// A second handle to each open connection, with which another thread can close it. `None` once the server ends.
pub(crate) struct Connections<S: Stream>(Mutex<Option<Vec<WebSocket<S>>>>);

impl<S: Stream> Connections<S> {
    /// Adds a connection, so that it is closed with 1001 when the server ends.
    pub(crate) fn add(&self, socket: &WebSocket<S>) -> Result<()> {
        let mut socket = socket.try_clone()?;
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(sockets) => {
                sockets.retain(WebSocket::is_open);
                sockets.push(socket);
            }
            None => {
                socket.close(CloseCode::Away, "the server is shutting down")?;
            }
        }
        Ok(())
    }

    fn close_all(&self) {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for mut socket in sockets.into_iter().flatten() {
            // An error means that the connection has just been lost.
            let _ = socket.close(CloseCode::Away, "the server is shutting down");
        }
    }
}

/// A listener whose connections are each served by a thread.
pub(crate) struct Server {
    listener: TcpListener,
    is_stopping: Arc<AtomicBool>,
}

impl Server {
    /// Binds the address. From now on, Ctrl-C ends [`run`](Self::run).
    pub(crate) fn bind(address: &str) -> support::Result<Self> {
        let listener = support::listen(address)?;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (stop, local) = (Arc::clone(&is_stopping), listener.local_addr()?);
        support::on_interrupt(move || {
            stop.store(true, Ordering::SeqCst);
            // `accept` cannot be interrupted, but it returns when a connection arrives.
            let _ = TcpStream::connect(local);
        });
        Ok(Self { listener, is_stopping })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until Ctrl-C, calls `handle` for each on a thread of its own, and waits for all threads to end.
    pub(crate) fn run<S, F>(self, handle: F) -> Result<()>
    where
        S: Stream + Send,
        F: Fn(TcpStream, &Connections<S>) + Sync,
    {
        let connections = Connections(Mutex::new(Some(Vec::new())));
        let (connections, handle) = (&connections, &handle);
        thread::scope(|scope| {
            for stream in self.listener.incoming() {
                if self.is_stopping.load(Ordering::SeqCst) {
                    break;
                }
                let stream = stream?;
                scope.spawn(move || handle(stream, connections));
            }
            connections.close_all();
            // The threads end with their connections. The scope waits for them.
            Ok(())
        })
    }
}
