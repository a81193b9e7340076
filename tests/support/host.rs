//! A server that speaks bytes, for our clients to connect to.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;

use sockeye::protocol::handshake::accept_value;

use super::LIMIT;
use super::peer::{Head, Peer};

/// A listener of which every answer is written by the test.
#[derive(Debug)]
pub(crate) struct Host {
    listener: TcpListener,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/chat", self.address())
    }

    /// Waits for a client.
    pub(crate) fn accept(&self) -> Peer {
        let listener = self.listener.try_clone().unwrap();
        let (accepted, accept) = channel();
        thread::spawn(move || accepted.send(listener.accept()));
        let (stream, _) = accept.recv_timeout(LIMIT).expect("nobody connects").unwrap();
        Peer::new(stream)
    }

    /// Takes a client that waits already.
    pub(crate) fn try_accept(&self) -> Option<Peer> {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).unwrap();
        let (stream, _) = accepted.ok()?;
        stream.set_nonblocking(false).unwrap();
        Some(Peer::new(stream))
    }

    /// Waits for a client, and opens a WebSocket for it.
    pub(crate) fn open(&self) -> Peer {
        let mut peer = self.accept();
        let request = peer.head();
        peer.send(answer_to(&request, "").as_bytes());
        peer
    }
}

/// The response that opens the connection, with more headers, each with its line break.
pub(crate) fn answer_to(request: &Head, headers: &str) -> String {
    let accept = accept_value(request.header("Sec-WebSocket-Key").unwrap());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
}
