//! A server's protocol core that echoes: what the benchmarks and the count of instructions have in common.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sockeye::protocol::handshake::{Request, Response};
use sockeye::protocol::{Config, Connection, Event, OpCode, mask};

/// Whatever went wrong.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A key that masks something.
pub const KEY: mask::Key = [0x37, 0xfa, 0x21, 0x3d];

/// A connection that is open, and a clock that stands still.
#[derive(Debug)]
pub struct Echo {
    connection: Connection,
    now: Instant,
    input: Vec<u8>,
    /// The output of the server.
    pub out: Vec<u8>,
}

impl Echo {
    /// Opens a connection in memory.
    ///
    /// # Errors
    ///
    /// If the handshake fails.
    pub fn open() -> Result<Self> {
        let (config, now) = (Arc::new(Config::default()), Instant::now());
        let (mut input, mut out) = (Vec::new(), Vec::new());
        let request = Request::from_url(&"ws://localhost/".parse()?)?;
        Connection::client(Arc::clone(&config), request, now, &mut input)?;
        let mut connection = Connection::server(config, now);
        let mut bytes = input.as_mut_slice();
        while let Some(event) = connection.receive(&mut bytes, now, &mut out)? {
            if let Event::Request(request) = event {
                connection.respond(&request, &mut Response::from_request(&request)?, now, &mut out)?;
            }
        }
        out.clear();
        Ok(Self { connection, now, input, out })
    }

    /// Echoes all messages of one read, and returns how many there were. `read` is copied first, since payloads are
    /// unmasked where they lie.
    ///
    /// # Errors
    ///
    /// If the bytes break the protocol.
    pub fn turn(&mut self, read: &[u8]) -> Result<usize> {
        self.input.clear();
        self.input.extend_from_slice(read);
        self.out.clear();
        let (mut bytes, mut messages) = (self.input.as_mut_slice(), 0);
        while let Some(event) = self.connection.receive(&mut bytes, self.now, &mut self.out)? {
            if let Event::Message(message) = event {
                self.connection.send(message, self.now, &mut self.out)?;
                messages += 1;
            }
        }
        Ok(messages)
    }
}

/// What messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Binary,
    /// Text, one byte a character.
    Ascii,
    /// Text, one to four bytes a character.
    Mixed,
}

/// Some text of several scripts.
const MIXED: &str = "Gruß, Καλημέρα, Привет, שלום, नमस्ते, 你好，世界。안녕하세요! 🚀 ";

impl Kind {
    fn payload(self, size: usize) -> Vec<u8> {
        let mut bytes = match self {
            Self::Binary | Self::Ascii => vec![b'a'; size],
            Self::Mixed => MIXED.repeat(size / MIXED.len()).into_bytes(),
        };
        bytes.resize(size, b' ');
        bytes
    }
}

/// Returns frames of a client, one after the other, with messages of `size` bytes.
#[must_use]
pub fn frames(kind: Kind, size: usize, count: usize) -> Vec<u8> {
    let opcode = if kind == Kind::Binary { OpCode::Binary } else { OpCode::Text };
    let mut bytes = Vec::new();
    for _ in 0..count {
        bytes.push(0x80 | u8::from(opcode));
        match (u8::try_from(size), u16::try_from(size)) {
            (Ok(length @ 0..=125), _) => bytes.push(0x80 | length),
            (_, Ok(length)) => {
                bytes.push(0x80 | 126);
                bytes.extend(length.to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((size as u64).to_be_bytes());
            }
        }
        bytes.extend(KEY);
        let start = bytes.len();
        bytes.extend(kind.payload(size));
        mask::apply(KEY, 0, &mut bytes[start..]);
    }
    bytes
}
