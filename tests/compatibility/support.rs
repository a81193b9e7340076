//! What the programs share: a watchdog, a server on a thread of its own, and a peer that is nothing but a socket.

use std::io::{Cursor, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ws::{Builder, Factory, Frame, OpCode, Sender, Settings, WebSocket};

/// Far longer than any program here takes; only a hang gets there.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `body` on its own thread, and fails the test if it has not ended after [`LIMIT`].
pub(crate) fn guarded(body: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let thread = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match finished.recv_timeout(LIMIT) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("still running after {LIMIT:?}"),
        Err(RecvTimeoutError::Disconnected) => join(thread),
    }
}

/// Waits for a thread, and goes on with its panic if it had one.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A server on a free port of the loopback interface.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) sender: Sender,
    thread: JoinHandle<()>,
}

impl Server {
    /// The factory is made on the server's thread, so it may hold what cannot be sent there.
    pub(crate) fn start<F: Factory>(factory: impl FnOnce() -> F + Send + 'static) -> Self {
        Self::start_with(Settings::default(), factory)
    }

    pub(crate) fn start_with<F: Factory>(
        settings: Settings,
        factory: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let socket = bound(settings, factory());
            tell.send((socket.local_addr().unwrap(), socket.broadcaster())).unwrap();
            socket.run().unwrap();
        });
        let (addr, sender) = told.recv().unwrap();
        Self { addr, sender, thread }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    pub(crate) fn at(&self, resource: &str) -> String {
        format!("ws://{}{resource}", self.addr)
    }

    /// Ends the server and waits until it has ended.
    pub(crate) fn stop(self) {
        self.sender.shutdown().unwrap();
        self.wait();
    }

    /// Waits for a server that ends by itself.
    pub(crate) fn wait(self) {
        join(self.thread);
    }
}

/// A `WebSocket` that listens on a free port of the loopback interface, ready to run.
pub(crate) fn bound<F: Factory>(settings: Settings, factory: F) -> WebSocket<F> {
    let socket = Builder::new().with_settings(settings).build(factory).unwrap();
    socket.bind("127.0.0.1:0").unwrap()
}

/// The other end of a connection, byte by byte.
pub(crate) struct RawPeer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl RawPeer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).unwrap())
    }

    /// Connects, and gets through the opening handshake.
    pub(crate) fn upgrade(addr: SocketAddr) -> Self {
        let mut peer = Self::connect(addr);
        peer.write(upgrade_request(addr, "GET").as_bytes());
        let head = peer.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes a frame as a client has to: masked.
    pub(crate) fn write_frame(&mut self, mut frame: Frame) {
        frame.set_mask();
        self.write_unmasked(frame);
    }

    pub(crate) fn write_unmasked(&mut self, mut frame: Frame) {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        self.write(&bytes);
    }

    /// Reads up to the empty line that ends the head of a request or response.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read_more(), "the head was cut short: {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads the next frame; `None` when the connection has ended.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            let mut cursor = Cursor::new(self.unread.clone());
            if let Some(frame) = Frame::parse(&mut cursor, u64::MAX).unwrap() {
                self.unread.drain(..usize::try_from(cursor.position()).unwrap());
                return Some(frame);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// The code in the next Close frame; whatever comes before it is skipped.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            let frame = self.frame()?;
            if frame.opcode() == OpCode::Close {
                let code = frame.payload().first_chunk().map(|code| u16::from_be_bytes(*code));
                return Some(code.unwrap_or(1005));
            }
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        while self.read_more() {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    /// A connection that is reset has ended, too.
    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                count > 0
            }
            // A wait is broken off by whatever stops the process for a while; nothing has ended.
            Err(err) => err.kind() == ErrorKind::Interrupted,
        }
    }
}

/// A request for an upgrade with the key of RFC 6455 §1.3.
pub(crate) fn upgrade_request(addr: SocketAddr, method: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
