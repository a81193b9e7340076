//! A client that is nothing but a socket: it does what a test says, and no more.

use std::io::{Cursor, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use sockeye::{CloseCode, Frame, OpCode, Request, Response};

use super::LIMIT;

/// One end of a connection, spoken by hand.
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: S,
    input: Cursor<Vec<u8>>,
}

/// How a connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a Close frame of this code.
    Close(CloseCode),
    /// With the end of TCP.
    Cut,
}

impl Wire {
    /// Connects, without a word.
    pub(crate) fn dial(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::on(stream)
    }

    /// Connects, and makes the opening handshake.
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let mut wire = Self::dial(addr);
        wire.say_hello();
        assert!(wire.head().starts_with("HTTP/1.1 101 "));
        wire
    }
}

/// Accepts the connection of a client, which may say anything.
pub(crate) fn accept(listener: &TcpListener) -> Wire {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    Wire::on(stream)
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, input: Cursor::default() }
    }

    /// Sends the request of the opening handshake.
    pub(crate) fn say_hello(&mut self) {
        let url = "ws://localhost/".parse().unwrap();
        Request::from_url(&url).unwrap().format(&mut self.stream).unwrap();
    }

    /// Answers the opening handshake of a client.
    pub(crate) fn welcome(&mut self) {
        let head = self.head() + "\r\n\r\n";
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        Response::from_request(&request).unwrap().format(&mut self.stream).unwrap();
    }

    /// Lets go of the memory for what was read.
    pub(crate) fn forget(&mut self) {
        self.input = Cursor::new(self.rest().to_vec());
    }

    /// Reads the head of a request or a response.
    pub(crate) fn head(&mut self) -> String {
        loop {
            let rest = self.rest();
            if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(rest[..end].to_vec()).unwrap();
                self.skip(end + 4);
                return head;
            }
            assert!(self.read_more(), "no response");
        }
    }

    /// Sends a frame, masked.
    pub(crate) fn send(&mut self, frame: Frame) {
        self.stream.write_all(&masked(frame)).unwrap();
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.send(Frame::message(text.into(), OpCode::Text, true));
    }

    /// Sends a text, and waits until it has come back; other messages are passed over.
    pub(crate) fn echo(&mut self, text: &str) {
        self.text(text);
        while self.message() != text {}
    }

    /// The next frame; `None` at the end of TCP.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::parse(&mut self.input, u64::MAX).unwrap() {
                return Some(frame);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// The text of the next message; control frames are passed over.
    pub(crate) fn message(&mut self) -> String {
        loop {
            let frame = self.frame().expect("a message was to come");
            if !frame.is_control() {
                return String::from_utf8(frame.into_data()).unwrap();
            }
            assert_ne!(frame.opcode(), OpCode::Close, "a message was to come");
        }
    }

    /// Reads until the end, which is a Close frame or that of TCP.
    pub(crate) fn ending(&mut self) -> Ending {
        while let Some(frame) = self.frame() {
            if frame.opcode() == OpCode::Close {
                return Ending::Close(close_code(&frame));
            }
        }
        Ending::Cut
    }

    /// Reads to the end of TCP, whatever comes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more() {}
        self.rest().to_vec()
    }

    /// Closes properly: the Close is answered, and then comes the end of TCP.
    pub(crate) fn close(mut self) {
        self.send(Frame::close(CloseCode::Normal, ""));
        assert_eq!(self.ending(), Ending::Close(CloseCode::Normal));
        assert_eq!(self.ending(), Ending::Cut);
    }

    fn rest(&self) -> &[u8] {
        let start = usize::try_from(self.input.position()).unwrap();
        &self.input.get_ref()[start..]
    }

    fn skip(&mut self, len: usize) {
        self.input.set_position(self.input.position() + u64::try_from(len).unwrap());
    }

    /// Reads what there is; returns whether the peer has not ended its side.
    fn read_more(&mut self) -> bool {
        let start = usize::try_from(self.input.position()).unwrap();
        self.input.get_mut().drain(..start);
        self.input.set_position(0);
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(len) => {
                self.input.get_mut().extend_from_slice(&buffer[..len]);
                len > 0
            }
            // A wait is broken off by whatever stops the process for a while; nothing has ended.
            Err(err) if err.kind() == ErrorKind::Interrupted => true,
            Err(err) if err.kind() == ErrorKind::ConnectionReset => false,
            Err(err) => panic!("the peer is silent: {err}"),
        }
    }
}

/// The bytes of a frame as a client sends it.
pub(crate) fn masked(mut frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.set_mask().format(&mut bytes).unwrap();
    bytes
}

fn close_code(frame: &Frame) -> CloseCode {
    match frame.payload().as_slice() {
        [high, low, ..] => u16::from_be_bytes([*high, *low]).into(),
        _ => CloseCode::Status,
    }
}
