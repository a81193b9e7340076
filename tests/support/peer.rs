//! The other end of a connection, which speaks bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::LIMIT;
use super::bytes::{ACCEPT, CLOSE, UPGRADE, close_payload, header, masked_close};

/// One end of a connection that says whatever the test wants.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    /// What was read, and not looked at.
    unread: Vec<u8>,
}

/// How the other end has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order.
    Fin,
    Reset,
}

/// The head of a request or a response.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let line = lines.next().unwrap().to_owned();
        let split = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no header"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { line, headers: lines.map(split).collect() }
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{:?} is no answer", self.line))
    }

    /// The value of a header that stands once or not at all.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is repeated: {self:?}");
        value
    }
}

/// A response after which the connection has ended.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, LIMIT).unwrap())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends as far as the other end takes it; returns whether it took all.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Asks for a WebSocket, and gets it.
    pub(crate) fn upgrade(&mut self) -> Head {
        self.send(UPGRADE.as_bytes());
        self.opened()
    }

    /// Reads the response that opens the connection.
    pub(crate) fn opened(&mut self) -> Head {
        let head = self.head();
        assert_eq!(head.status(), 101, "{head:?}");
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT));
        head
    }

    /// Reads a head, if the connection does not end before anything comes.
    pub(crate) fn head_or_end(&mut self) -> Option<Head> {
        let has_ended = self.unread.is_empty() && self.fill().unwrap() == 0;
        (!has_ended).then(|| self.head())
    }

    /// Reads a head.
    pub(crate) fn head(&mut self) -> Head {
        let end = self.fill_until(|unread| find(unread, b"\r\n\r\n").map(|at| at + 4));
        let head: Vec<u8> = self.unread.drain(..end).collect();
        Head::parse(&String::from_utf8(head).unwrap())
    }

    /// Reads a frame that is not masked: its first byte, and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let (first, key, payload) = self.any_frame();
        assert_eq!(key, None, "a server masks");
        (first, payload)
    }

    /// Reads a frame of a client: its first byte, its masking key, and the payload as it was meant.
    pub(crate) fn masked_frame(&mut self) -> (u8, [u8; 4], Vec<u8>) {
        let (first, key, payload) = self.any_frame();
        (first, key.expect("a client does not mask"), payload)
    }

    fn any_frame(&mut self) -> (u8, Option<[u8; 4]>, Vec<u8>) {
        let start = self.fill_until(|unread| (unread.len() >= 2).then_some(2));
        let (first, second) = (self.unread[0], self.unread[1]);
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let keyed = if second & 0x80 == 0 { 0 } else { 4 };
        let start = self.fill_until(|unread| {
            let len = start + extended + keyed;
            (unread.len() >= len).then_some(len)
        });
        let len = self.unread[2..2 + extended].iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        let len = if extended == 0 { u64::from(second & 0x7f) } else { len };
        let shortest = header(first, len, keyed > 0);
        assert_eq!(self.unread[..start - keyed], shortest, "the length is in its shortest form (§5.2)");
        let end = start + usize::try_from(len).unwrap();
        self.fill_until(|unread| (unread.len() >= end).then_some(end));
        let mut bytes: Vec<u8> = self.unread.drain(..end).collect();
        let mut payload = bytes.split_off(start);
        let key: Option<[u8; 4]> = bytes[start - keyed..].try_into().ok();
        for (byte, key) in payload.iter_mut().zip(key.iter().flatten().cycle()) {
            *byte ^= key;
        }
        (first, key, payload)
    }

    /// Reads a Close frame with this code, whatever the reason is.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!((first, payload.get(..2)), (CLOSE, Some(&code.to_be_bytes()[..])), "{payload:?}");
    }

    /// Reads a Close frame with this code, and the end.
    pub(crate) fn expect_failure(&mut self, code: u16) {
        self.expect_close(code);
        assert_eq!(self.rest(), (Vec::new(), End::Fin));
    }

    /// Closes a connection to a server, which answers and ends it.
    pub(crate) fn close(&mut self, code: u16) {
        self.send(&masked_close(code, ""));
        let (first, payload) = self.frame();
        assert_eq!((first, payload), (CLOSE, close_payload(code, "")));
        assert_eq!(self.rest(), (Vec::new(), End::Fin));
    }

    /// Reads to the end, and ends our side, too.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match self.fill() {
                Ok(0) => break End::Fin,
                Ok(_) => {}
                Err(err) if err.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(err) => panic!("the connection does not end: {err}; read so far: {:?}", self.unread),
            }
        };
        // The other end may have gone altogether.
        let _ = self.stream.shutdown(Shutdown::Write);
        (std::mem::take(&mut self.unread), end)
    }

    /// Reads a response and the end behind it, and checks what must be right whatever it says: RFC 9112 §6.3, and that
    /// the connection says that it closes (H9).
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let (body, end) = self.rest();
        assert_eq!(head.header("Connection").map(|value| value.starts_with("close")), Some(true), "{head:?}");
        let len = head.header("Content-Length").map(|len| len.parse().unwrap());
        let has_no_body = matches!(head.status(), 204 | 304);
        assert!(len == Some(body.len()) || (body.is_empty() && (has_no_body || len.is_some())), "{head:?}");
        Answer { head, body, end }
    }

    /// Whether anything, the end included, comes within a while.
    pub(crate) fn hears_within(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let heard = self.fill();
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        match heard {
            Ok(_) => true,
            Err(err) => !matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Ends our side.
    pub(crate) fn end_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends our side, if the other one has not ended the connection already.
    pub(crate) fn try_end_writing(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads whatever comes, to the end, of whichever kind it is.
    pub(crate) fn read_on(&mut self) {
        loop {
            self.unread.clear();
            match self.fill() {
                Ok(0) => return,
                Ok(_) => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the connection does not end")
                }
                Err(_) => return,
            }
        }
    }

    /// Ends the connection with a RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads until `complete` finds the end of what is wanted.
    fn fill_until(&mut self, complete: impl Fn(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(end) = complete(&self.unread) {
                return end;
            }
            let read = self.fill().unwrap_or_else(|err| panic!("{err}; read so far: {:?}", self.lossy()));
            assert!(read > 0, "the connection has ended too early; read so far: {:?}", self.lossy());
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let len = loop {
            match self.stream.read(&mut buffer) {
                // A wait is broken off by whatever stops the process for a while.
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
