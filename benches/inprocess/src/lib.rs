//! An echo in the protocol core of a server. The benchmarks and the programs for counting instructions share it.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sockeye::protocol::handshake::{Request, Response};
use sockeye::protocol::{Config, Connection, Event, OpCode, mask};

/// A result with any error.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A masking key that changes the payload.
pub const KEY: mask::Key = [0x37, 0xfa, 0x21, 0x3d];

/// An open connection, with a constant time.
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
    /// Returns an error if the opening handshake fails.
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

    /// Echoes all messages of one read, and returns their number. `read` is copied first, because payloads are unmasked
    /// in place.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes violate the protocol.
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

/// The content of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Binary messages.
    Binary,
    /// Text with one byte per character.
    Ascii,
    /// Text with one to four bytes per character.
    Mixed,
}

/// Text in several scripts.
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

/// Returns the bytes of `count` frames of a client. Each frame is a message of `size` bytes.
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
