//! The other end of a connection. The test controls all bytes that it sends, over any stream and in either role.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use sockeye::protocol::Role;
use sockeye::{CloseCode, Frame, OpCode};

use crate::bytes::{self, ACCEPT, CLOSE, Decoded, TEXT, UPGRADE, acceptance, close_payload};
use crate::{LIMIT, limit_buffers};

/// One end of a connection. It only sends what the test requests.
#[derive(Debug)]
pub struct Peer<S = TcpStream> {
    pub stream: S,
    /// The role of this end: a client masks its frames, and expects frames without a mask.
    pub role: Role,
    /// The received bytes. The bytes before `start` have been returned to the test.
    received: Vec<u8>,
    start: usize,
}

/// The way in which the other end has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a FIN; over TLS, after a close_notify.
    Fin,
    /// With an RST.
    Reset,
    /// Over TLS: with a FIN and without a close_notify.
    Truncated,
}

/// The first event that ended a connection: a Close frame, or the end of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// A Close frame with this code.
    Close(CloseCode),
    /// The end of the stream.
    Cut,
}

/// The head of a request or a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// The whole head, including the empty line at the end.
    pub text: String,
    /// The first line.
    pub line: String,
    /// The headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let line = lines.next().unwrap().to_owned();
        let split = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is not a header"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { text: text.to_owned(), line, headers: lines.map(split).collect() }
    }

    pub fn status(&self) -> u16 {
        let status = self.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{:?} is not a status line", self.line))
    }

    /// Returns the value of a header. A repeated header fails the test.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is repeated: {self:?}");
        value
    }
}

/// A response, followed by the end of the connection.
#[derive(Debug, Clone)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }
}

/// A value that a peer can send.
pub trait Outgoing {
    /// Returns the bytes that a peer in this role sends.
    fn encode(&self, role: Role) -> Cow<'_, [u8]>;
}

impl<const N: usize> Outgoing for &[u8; N] {
    fn encode(&self, _: Role) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_slice())
    }
}

impl Outgoing for &[u8] {
    fn encode(&self, _: Role) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

impl Outgoing for &Vec<u8> {
    fn encode(&self, _: Role) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

impl Outgoing for &str {
    fn encode(&self, _: Role) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

/// A client masks the frame. Its other properties stay unchanged.
impl Outgoing for Frame {
    fn encode(&self, role: Role) -> Cow<'_, [u8]> {
        let mut frame = self.clone();
        if role == Role::Client {
            frame.set_mask();
        }
        Cow::Owned(unmasked(frame))
    }
}

/// Returns the bytes of a frame without changing it.
pub fn unmasked(mut frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.format(&mut bytes).unwrap();
    bytes
}

/// Returns the bytes of a frame that a client sends.
pub fn masked(mut frame: Frame) -> Vec<u8> {
    frame.set_mask();
    unmasked(frame)
}

impl Peer {
    /// Creates a client on a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        Self::with_role(stream, Role::Client)
    }

    pub fn with_role(stream: TcpStream, role: Role) -> Self {
        Self::over(prepared(stream), role)
    }

    /// Connects, and sends nothing.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// Connects, and completes the opening handshake.
    pub fn open(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address);
        peer.upgrade();
        peer
    }

    /// Accepts a connection as a server, and sends nothing.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::with_role(listener.accept().unwrap().0, Role::Server)
    }

    /// Reads to the end of the stream, and then ends this side as well.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let end = self.end();
        // This fails if the other end has closed the connection.
        let _ = self.stream.shutdown(Shutdown::Write);
        let rest = self.unread().to_vec();
        self.start = self.received.len();
        (rest, end)
    }

    /// Reads to the end of the stream, and returns the bytes as text.
    pub fn rest_text(&mut self) -> String {
        String::from_utf8(self.rest().0).unwrap()
    }

    /// Reads a Close frame with this code, and then the end of the stream.
    pub fn expect_failure(&mut self, code: u16) {
        self.expect_close(code);
        assert_eq!(self.rest(), (Vec::new(), End::Fin));
    }

    /// Closes a connection to a server. The next frame must be the same Close, followed by the end of the stream.
    pub fn close(&mut self, code: u16) {
        self.send(&bytes::masked_close(code, ""));
        assert_eq!(self.frame(), (CLOSE, close_payload(code, "")));
        assert_eq!(self.rest(), (Vec::new(), End::Fin));
    }

    /// Reads a response and the end of the stream. Checks the rules for every response: the length of the body (RFC
    /// 9112 §6.3), and the header that announces that the connection closes (H9).
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let (body, end) = self.rest();
        assert_eq!(head.header("Connection").map(|value| value.starts_with("close")), Some(true), "{head:?}");
        let len = head.header("Content-Length").map(|len| len.parse().unwrap());
        let has_no_body = matches!(head.status(), 204 | 304);
        assert!(len == Some(body.len()) || (body.is_empty() && (has_no_body || len.is_some())), "{head:?}");
        Answer { head, body, end }
    }

    /// Returns whether bytes, or the end of the stream, are received within this time.
    pub fn receives_within(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let received = self.fill();
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        match received {
            Ok(_) => true,
            Err(err) => !is_timeout(err.kind()),
        }
    }

    /// Ends this side.
    pub fn end_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends this side. Does nothing if the other end has already closed the connection.
    pub fn try_end_writing(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with an RST.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Sets the buffers, timeouts and options of a stream.
pub(crate) fn prepared(stream: TcpStream) -> TcpStream {
    limit_buffers(&stream);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl<S: Read + Write> Peer<S> {
    /// Creates a peer on a stream of any kind.
    pub fn over(stream: S, role: Role) -> Self {
        Self { stream, role, received: Vec::new(), start: 0 }
    }

    #[expect(clippy::needless_pass_by_value, reason = "most tests pass a temporary value")]
    pub fn send(&mut self, what: impl Outgoing) {
        self.stream.write_all(&what.encode(self.role)).unwrap();
    }

    /// Sends as much as the other end accepts. Returns whether it accepted everything.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_frame(TEXT, text.as_bytes());
    }

    /// Sends a frame with this first byte, masked if this is a client.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let bytes = self.encode(first, payload);
        self.send(&bytes);
    }

    /// Returns the bytes of a frame that a peer in this role sends.
    pub fn encode(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        bytes::frame_from(self.role, first, payload)
    }

    /// Completes the opening handshake, in either role. Returns the head that the other end has sent.
    pub fn upgrade(&mut self) -> Head {
        if self.role == Role::Client {
            self.send(UPGRADE);
            return self.opened();
        }
        let head = self.head();
        self.send(acceptance(head.header("Sec-WebSocket-Key").unwrap(), "").as_str());
        head
    }

    /// Reads the response that opens the connection.
    pub fn opened(&mut self) -> Head {
        let head = self.head();
        assert_eq!(head.status(), 101, "{head:?}");
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT));
        head
    }

    /// Reads a head, unless the connection ends before anything is received.
    pub fn head_or_end(&mut self) -> Option<Head> {
        let has_ended = self.unread().is_empty() && self.fill().unwrap() == 0;
        (!has_ended).then(|| self.head())
    }

    /// Reads a head.
    pub fn head(&mut self) -> Head {
        loop {
            if let Some(at) = find(self.unread(), b"\r\n\r\n") {
                let head = String::from_utf8(self.unread()[..at + 4].to_vec()).unwrap();
                self.start += at + 4;
                return Head::parse(&head);
            }
            self.fill_or_panic();
        }
    }

    /// Reads a frame: its first byte, and its payload.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let frame = self.decoded();
        (frame.first, frame.payload)
    }

    /// Reads a frame of a client: its first byte, its masking key, and the payload without the mask.
    pub fn masked_frame(&mut self) -> (u8, [u8; 4], Vec<u8>) {
        let frame = self.decoded();
        (frame.first, frame.key.expect("a client does not mask"), frame.payload)
    }

    fn decoded(&mut self) -> Decoded {
        loop {
            if let Some(frame) = self.buffered_frame() {
                return frame;
            }
            self.fill_or_panic();
        }
    }

    /// Returns the next frame if it has already been received.
    fn buffered_frame(&mut self) -> Option<Decoded> {
        let (frame, len) = bytes::decode(self.unread())?;
        self.start += len;
        assert_eq!(frame.key.is_some(), self.role == Role::Server, "only a client masks: {:#x}", frame.first);
        Some(frame)
    }

    /// Reads a frame. Returns `None` at the end of the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.buffered_frame() {
                // The length and the mask have been checked.
                let bytes = bytes::frame(frame.first, &frame.payload);
                return Frame::parse(&mut Cursor::new(bytes), u64::MAX).unwrap();
            }
            if !self.fill_or_end() {
                return None;
            }
        }
    }

    /// Reads the text of the next message. Control frames are skipped, except for a Close.
    pub fn message(&mut self) -> String {
        loop {
            let frame = self.next_frame().expect("a message is received");
            if !frame.is_control() {
                return String::from_utf8(frame.into_data()).unwrap();
            }
            assert_ne!(frame.opcode(), OpCode::Close, "a message is received");
        }
    }

    /// Sends a text, and reads until its echo is received. Other messages are skipped.
    pub fn echo(&mut self, text: &str) {
        self.send_text(text);
        while self.message() != text {}
    }

    /// Reads until the next Close frame, or the end of the stream.
    pub fn ending(&mut self) -> Ending {
        while let Some(frame) = self.next_frame() {
            if frame.opcode() == OpCode::Close {
                return Ending::Close(code_of(&frame));
            }
        }
        Ending::Cut
    }

    /// Reads until the next Close frame, and returns its code. Returns `None` at the end of the connection.
    pub fn close_code(&mut self) -> Option<u16> {
        match self.ending() {
            Ending::Close(code) => Some(code.into()),
            Ending::Cut => None,
        }
    }

    /// Reads a Close frame with this code and any reason.
    pub fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!((first, payload.get(..2)), (CLOSE, Some(&code.to_be_bytes()[..])), "{payload:?}");
    }

    /// Closes the connection cleanly, and skips the frames that are received before the Close.
    pub fn finish(mut self) {
        self.send_frame(CLOSE, &close_payload(1000, ""));
        assert_eq!(self.ending(), Ending::Close(CloseCode::Normal));
        assert_eq!(self.ending(), Ending::Cut);
    }

    /// Receives until the end of the stream. The received bytes stay unread.
    pub fn end(&mut self) -> End {
        loop {
            match self.fill() {
                Ok(0) => return End::Fin,
                Ok(_) => {}
                Err(err) if err.kind() == ErrorKind::ConnectionReset => return End::Reset,
                Err(err) if err.kind() == ErrorKind::UnexpectedEof => return End::Truncated,
                Err(err) => panic!("the connection does not end: {err}; unread: {:?}", self.lossy()),
            }
        }
    }

    /// Reads to any kind of end of the stream, and discards the received bytes.
    pub fn drain(&mut self) {
        loop {
            self.release();
            match self.fill() {
                Ok(0) => return,
                Ok(_) => self.start = self.received.len(),
                Err(err) if is_timeout(err.kind()) => panic!("the connection does not end"),
                Err(_) => return,
            }
        }
    }

    /// Releases the memory of the bytes that have been read.
    pub fn release(&mut self) {
        self.received = self.unread().to_vec();
        self.start = 0;
    }

    /// Returns the bytes that have been received but not read.
    pub fn unread(&self) -> &[u8] {
        &self.received[self.start..]
    }

    fn fill_or_panic(&mut self) {
        let len = self.fill().unwrap_or_else(|err| panic!("{err}; unread: {:?}", self.lossy()));
        assert!(len > 0, "the connection has ended too early; unread: {:?}", self.lossy());
    }

    /// Receives more bytes. Returns whether the connection is still open.
    fn fill_or_end(&mut self) -> bool {
        match self.fill() {
            Ok(len) => len > 0,
            Err(err) if err.kind() == ErrorKind::ConnectionReset => false,
            Err(err) => panic!("no bytes are received: {err}; unread: {:?}", self.lossy()),
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        self.received.drain(..self.start);
        self.start = 0;
        let mut buffer = vec![0; 64 * 1024];
        let len = loop {
            match self.stream.read(&mut buffer) {
                // The call is interrupted if the process is stopped for some time.
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.received.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(self.unread()).into_owned()
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn code_of(frame: &Frame) -> CloseCode {
    match frame.payload().as_slice() {
        [high, low, ..] => u16::from_be_bytes([*high, *low]).into(),
        _ => CloseCode::Status,
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
