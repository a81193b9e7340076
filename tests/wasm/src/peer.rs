//! The other end of a connection, controlled byte by byte: the relay of `tests/wasm/peer.rs` forwards the bytes.

use std::future::Future;
use std::io::Cursor;

use futures_util::future::join;
use sockeye::browser::{Builder, Error, Interface, WebSocket};
use sockeye::{Frame, Message, Request, Response};

use super::support::{port, within};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
pub(crate) const TEXT_BEGIN: u8 = 0x01;
pub(crate) const GO_ON: u8 = 0x00;
pub(crate) const END: u8 = 0x80;

pub(crate) struct Peer {
    relay: WebSocket,
    pub(crate) url: String,
    unread: Vec<u8>,
    pub(crate) request: Option<Request>,
}

impl Peer {
    /// Waits for a connection.
    pub(crate) async fn listen() -> Self {
        let builder = Builder::new().interface(Interface::Standard);
        let url = format!("ws://127.0.0.1:{}/", port(1));
        let mut relay = within(builder.connect(&url)).await.unwrap();
        let port = within(relay.receive()).await.unwrap().unwrap();
        let url = format!("ws://127.0.0.1:{port}/chat");
        Self { relay, url, unread: Vec::new(), request: None }
    }

    /// An open connection, and the other end of it.
    pub(crate) async fn open(builder: &Builder) -> (WebSocket, Self) {
        let mut peer = Self::listen().await;
        let url = peer.url.clone();
        let (socket, ()) = join(within(builder.connect(&url)), peer.answer(|_| {})).await;
        (socket.unwrap(), peer)
    }

    /// Answers the opening handshake, with a response that may be changed.
    pub(crate) async fn answer(&mut self, change: impl FnOnce(&mut Response)) {
        let request = self.head().await;
        let mut response = Response::from_request(&request).unwrap();
        change(&mut response);
        self.request = Some(request);
        let mut head = Vec::new();
        response.format(&mut head).unwrap();
        self.send_bytes(&head).await;
    }

    /// Reads the request.
    pub(crate) async fn head(&mut self) -> Request {
        loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..at + 4).collect();
                return Request::parse(&head).unwrap().unwrap();
            }
            assert!(self.fill().await, "the connection has ended within the request");
        }
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        within(self.relay.send(bytes)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&frame(first, payload)).await;
    }

    /// The next frame: its first byte, and its payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let is_masked = self.unread.get(1).is_some_and(|second| second & 0x80 != 0);
            let mut cursor = Cursor::new(std::mem::take(&mut self.unread));
            let frame = Frame::parse(&mut cursor, u64::MAX).unwrap();
            let len = usize::try_from(cursor.position()).unwrap();
            self.unread = cursor.into_inner().split_off(len);
            if let Some(frame) = frame {
                assert!(is_masked, "a client masks");
                let first = u8::from(frame.opcode()) | if frame.is_final() { 0x80 } else { 0 };
                return (first, frame.into_data());
            }
            assert!(self.fill().await, "the connection has ended within a frame");
        }
    }

    /// The next Close: its payload.
    pub(crate) async fn close_frame(&mut self) -> Vec<u8> {
        let (first, payload) = self.frame().await;
        assert_eq!(first, CLOSE, "{payload:?}");
        payload
    }

    /// Reads to the end of TCP.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.unread)
    }

    /// Answers a Close, and ends TCP, in the order of §7.1.1.
    pub(crate) async fn finish(&mut self, payload: &[u8]) {
        self.send(CLOSE, payload).await;
        self.command("fin").await;
        assert_eq!(self.rest().await, b"");
    }

    /// Makes the relay stop reading, and returns once it has.
    pub(crate) async fn pause_reading(&mut self) {
        self.command("pause").await;
        while self.fill().await {}
    }

    /// Sends a command to the relay: `fin`, `reset`, `pause`, `resume`.
    pub(crate) async fn command(&mut self, command: &str) {
        within(self.relay.send(command)).await.unwrap();
    }

    /// Reads more. Returns false at the end of TCP, and once the relay has stopped reading.
    async fn fill(&mut self) -> bool {
        match within(self.relay.receive()).await.unwrap().unwrap() {
            Message::Binary(bytes) => {
                self.unread.extend_from_slice(&bytes);
                true
            }
            Message::Text(_) => false,
        }
    }
}

/// A frame of a server.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..=125), _) => vec![len],
        (_, Ok(len)) => [&[126][..], &len.to_be_bytes()].concat(),
        _ => [&[127][..], &(payload.len() as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &len, payload].concat()
}

pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Lets both ends do something at once.
pub(crate) async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    join(within(one), within(other)).await
}

pub(crate) fn is_lost(err: &Error) -> bool {
    matches!(err, Error::ConnectionLost(_))
}
