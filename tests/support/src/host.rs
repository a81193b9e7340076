//! A server for our clients. The test writes its responses.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;

use sockeye::protocol::Role;

use crate::bytes::acceptance;
use crate::peer::{Head, Peer};
use crate::{LIMIT, listener};

/// A listener on a port that the system chooses.
#[derive(Debug)]
pub struct Host {
    listener: TcpListener,
}

impl Host {
    pub fn new() -> Self {
        Self { listener: listener() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn url(&self) -> String {
        format!("ws://{}/chat", self.address())
    }

    /// Waits for a client.
    pub fn accept(&self) -> Peer {
        let listener = self.listener.try_clone().unwrap();
        let (accepted, accept) = channel();
        thread::spawn(move || accepted.send(listener.accept()));
        let (stream, _) = accept.recv_timeout(LIMIT).expect("a client connects").unwrap();
        Peer::with_role(stream, Role::Server)
    }

    /// Accepts a client that is already waiting, or returns `None`.
    pub fn try_accept(&self) -> Option<Peer> {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).unwrap();
        let (stream, _) = accepted.ok()?;
        stream.set_nonblocking(false).unwrap();
        Some(Peer::with_role(stream, Role::Server))
    }

    /// Waits for a client, and completes the opening handshake.
    pub fn open(&self) -> Peer {
        let mut peer = self.accept();
        peer.upgrade();
        peer
    }
}

/// Returns the response that accepts a request. Each of the additional headers ends with a line break.
pub fn answer_to(request: &Head, headers: &str) -> String {
    acceptance(request.header("Sec-WebSocket-Key").unwrap(), headers)
}
