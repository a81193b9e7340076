//! A server for our clients. The test writes its responses.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;

use socket2::{Domain, Socket, Type};
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

/// An address at which hosts listen one after the other. In between, connections are refused, and nobody else receives the address.
#[derive(Debug)]
pub struct Reserved {
    socket: Socket,
}

impl Reserved {
    pub fn new() -> Self {
        Self { socket: bound(SocketAddr::from(([127, 0, 0, 1], 0))) }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap().as_socket().unwrap()
    }

    pub fn listen(&self) -> Host {
        let socket = bound(self.address());
        socket.listen(16).unwrap();
        Host { listener: socket.into() }
    }
}

/// Returns a socket that shares its address and does not listen.
fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    crate::limit_buffers(&socket);
    socket.bind(&address.into()).unwrap();
    socket
}

/// Returns the response that accepts a request. Each of the additional headers ends with a line break.
pub fn answer_to(request: &Head, headers: &str) -> String {
    acceptance(request.header("Sec-WebSocket-Key").unwrap(), headers)
}
