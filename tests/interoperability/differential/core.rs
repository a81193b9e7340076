//! The Sockeye process of `tests/interoperability/differential`. It passes byte streams to the protocol core.
//!
//! The program reads records from its standard input until the end, and writes one record for each of them to its standard
//! output. A record begins with its length, as four bytes in little-endian order.
//!
//! | bytes of a record that is read | contents |
//! |---|---|
//! | 1 | the role of Sockeye: 0 for a server, 1 for a client |
//! | 1 | the beginning: 0 for the opening handshake, 1 for an open connection, 2 for a connection that has sent a Close |
//! | 1 | whether compression is enabled |
//! | 1, and this many | the extensions of an open connection, as in the header of a response |
//! | the rest | what the peer sends before it ends its side of TCP |
//!
//! Each stream is received four times: whole, byte by byte, in pieces of seven bytes, and again whole. The last time, output is
//! written only at the end, and otherwise after each event. The record that is written contains the results in this order, each
//! after its length. A result consists of items, which are a letter, the length of the content, and the content:
//!
//! | letter | content |
//! |---|---|
//! | `q` | the resource of a request that was received |
//! | `a` | nothing: a response was accepted |
//! | `j` | the status of a response that was rejected |
//! | `t`, `b` | a text message, a binary message |
//! | `i`, `o` | the payload of a Ping, of a Pong |
//! | `c` | the code of the peer's Close, and its reason |
//! | `e` | the close code of an error, and its name |
//! | `l` | the name of the error with which the end of the stream was reported |
//! | `w` | everything that was written, without the request of a client |
//!
//! Codes and statuses are two bytes in little-endian order.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use sockeye::protocol::handshake::{Extension, Request, Response};
use sockeye::protocol::{Config, Connection, Event, ProtocolError, Role};
use sockeye::{CloseCode, Deflate, Message};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The length of the pieces of a stream, and when output is written. `usize::MAX` is longer than any stream.
const RUNS: [(usize, Writes); 4] =
    [(usize::MAX, Writes::Often), (1, Writes::Often), (7, Writes::Often), (usize::MAX, Writes::AtEnd)];

/// The limit for messages, which keeps the streams of the test short.
const MAX_MESSAGE: usize = 64 * 1024;

/// The key of §1.3. Responses in the test contain the value for this key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn main() -> Result<()> {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    io::stdin().lock().read_to_end(&mut input)?;
    let mut rest = input.as_slice();
    while !rest.is_empty() {
        let len = usize::try_from(u32::from_le_bytes(*chunk(&mut rest)?))?;
        let stream = Stream::parse(take(&mut rest, len)?)?;
        let mut results = Vec::new();
        for (len, writes) in RUNS {
            append(&mut results, &stream.run(len, writes)?)?;
        }
        append(&mut output, &results)?;
    }
    Ok(io::stdout().lock().write_all(&output)?)
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(len).ok_or("a record is truncated")?;
    *input = rest;
    Ok(taken)
}

fn chunk<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N]> {
    let (taken, rest) = input.split_first_chunk().ok_or("a record is truncated")?;
    *input = rest;
    Ok(taken)
}

fn append(out: &mut Vec<u8>, content: &[u8]) -> Result<()> {
    out.extend_from_slice(&u32::try_from(content.len())?.to_le_bytes());
    out.extend_from_slice(content);
    Ok(())
}

/// When the output of a connection is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// After each event.
    Often,
    /// After the whole stream.
    AtEnd,
}

/// A record that was read.
struct Stream<'a> {
    role: Role,
    begin: Begin,
    config: Arc<Config>,
    bytes: &'a [u8],
}

/// The state in which a stream begins.
enum Begin {
    Handshake,
    Open(Vec<Extension>),
    CloseSent(Vec<Extension>),
}

impl<'a> Stream<'a> {
    fn parse(mut record: &'a [u8]) -> Result<Self> {
        let [role, begin, compresses, extensions] = *chunk(&mut record)?;
        let extensions = match take(&mut record, usize::from(extensions))? {
            [] => Vec::new(),
            list => Extension::parse_list(list)?,
        };
        let config = Config {
            max_message_size: MAX_MESSAGE,
            subprotocols: vec!["chat".to_owned(), "superchat".to_owned()],
            deflate: (compresses != 0).then(|| Deflate {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                ..Deflate::default()
            }),
            ..Config::default()
        };
        Ok(Self {
            role: if role == 0 { Role::Server } else { Role::Client },
            begin: match begin {
                0 => Begin::Handshake,
                1 => Begin::Open(extensions),
                _ => Begin::CloseSent(extensions),
            },
            config: Arc::new(config),
            bytes: record,
        })
    }

    /// Receives the stream in pieces of this length, and returns the items of the result.
    fn run(&self, len: usize, writes: Writes) -> Result<Vec<u8>> {
        let now = Instant::now();
        let core = self.connection(now)?;
        let mut run = Run { core, now, writes, out: Vec::new(), written: Vec::new(), items: Vec::new() };
        if matches!(self.begin, Begin::CloseSent(_)) {
            run.core.close(CloseCode::Normal, "", run.now, &mut run.out)?;
            run.flush();
        }
        for piece in self.bytes.chunks(len) {
            run.receive(&mut piece.to_vec())?;
        }
        run.end()
    }

    fn connection(&self, now: Instant) -> Result<Connection> {
        let config = Arc::clone(&self.config);
        Ok(match (&self.begin, self.role) {
            (Begin::Open(extensions) | Begin::CloseSent(extensions), role) => {
                Connection::after_handshake(role, config, extensions, now)?
            }
            (Begin::Handshake, Role::Server) => Connection::server(config, now),
            (Begin::Handshake, Role::Client) => {
                let mut request = Request::from_url(&"ws://server.example.com/chat".parse()?)?;
                request.set_header("Sec-WebSocket-Key", KEY)?;
                Connection::client(config, request, now, &mut Vec::new())?
            }
        })
    }
}

/// A connection that receives a stream, and the result so far.
struct Run {
    core: Connection,
    now: Instant,
    writes: Writes,
    out: Vec<u8>,
    written: Vec<u8>,
    items: Vec<u8>,
}

impl Run {
    /// Steps 1 to 4 of the contract of `sockeye::protocol`.
    fn receive(&mut self, piece: &mut [u8]) -> Result<()> {
        let mut input = piece;
        loop {
            let received = self.core.receive(&mut input, self.now, &mut self.out);
            let is_last = matches!(received, Ok(None));
            match received {
                Ok(Some(event)) => self.deliver(event)?,
                Ok(None) => {}
                Err(err) => self.report_error(err)?,
            }
            if self.writes == Writes::Often {
                self.flush();
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) {
        self.written.append(&mut self.out);
        self.core.flushed(self.now, &mut self.out);
        self.written.append(&mut self.out);
    }

    fn deliver(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Request(request) => {
                self.report(b'q', request.resource().as_bytes())?;
                self.respond(&request)
            }
            Event::Response { .. } => self.report(b'a', &[]),
            Event::Rejected(response) => self.report(b'j', &response.status().to_le_bytes()),
            Event::Message(Message::Text(text)) => self.report(b't', text.as_bytes()),
            Event::Message(message) => self.report(b'b', &message.into_data()),
            Event::Ping(payload) => self.report(b'i', &payload),
            Event::Pong(payload) => self.report(b'o', &payload),
            Event::Close(code, reason) => {
                let code = u16::from(code).to_le_bytes();
                self.report(b'c', &[&code, reason.as_bytes()].concat())
            }
            _ => Err("unknown event".into()),
        }
    }

    /// Accepts a request if it asks for an upgrade. The core adds a subprotocol and compression to the response.
    fn respond(&mut self, request: &Request) -> Result<()> {
        if !request.is_upgrade() {
            self.core.refuse(ProtocolError::NotAnUpgrade, self.now, &mut self.out);
            return Ok(());
        }
        let mut response = Response::from_request(request)?;
        match self.core.respond(request, &mut response, self.now, &mut self.out) {
            Ok(()) => Ok(()),
            Err(err) => self.report_error(err),
        }
    }

    /// Ends the stream, and returns the result.
    fn end(mut self) -> Result<Vec<u8>> {
        self.flush();
        if let Err(err) = self.core.receive_eof() {
            self.report(b'l', format!("{err:?}").as_bytes())?;
        }
        let written = std::mem::take(&mut self.written);
        self.report(b'w', &written)?;
        Ok(self.items)
    }

    fn report_error(&mut self, err: ProtocolError) -> Result<()> {
        let code = u16::from(err.close_code()).to_le_bytes();
        self.report(b'e', &[&code, format!("{err:?}").as_bytes()].concat())
    }

    fn report(&mut self, letter: u8, content: &[u8]) -> Result<()> {
        self.items.push(letter);
        append(&mut self.items, content)
    }
}
