//! A relay between nodes and their server that can lose publications, although both connections are healthy: it always passes on
//! PING and its answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::thread;

use crate::resp::{is_integer, is_message, misdirected, value_len};

/// What the relay loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Losing {
    Nothing,
    /// All messages on their way to a node.
    Deliveries,
    /// All messages on their way to the server. It answers them nevertheless.
    Publications,
    /// The server's replies to publications. The connection must end before anything else is lost or passed on.
    Replies,
    /// One message of [`SOME`] in both directions.
    Some,
}

const SOME: u64 = 20;

#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    losing: Arc<AtomicU8>,
}

impl Relay {
    /// Starts a relay to a server on the loopback interface.
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let losing = Arc::new(AtomicU8::new(Losing::Nothing as u8));
        let shared = Arc::clone(&losing);
        thread::spawn(move || {
            for node in listener.incoming().map_while(Result::ok) {
                // If the server is away, the node loses the connection.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                connect(&node, &server, &shared, Losing::Publications);
                connect(&server, &node, &shared, Losing::Deliveries);
            }
        });
        Self { port, losing }
    }

    pub(crate) fn lose(&self, what: Losing) {
        self.losing.store(what as u8, SeqCst);
    }
}

/// Passes on what one side sends, on a thread of its own.
fn connect(from: &TcpStream, to: &TcpStream, losing: &Arc<AtomicU8>, direction: Losing) {
    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    let direction = Direction { losing: Arc::clone(losing), own: direction, seen: 0 };
    thread::spawn(move || {
        // The connection has ended, which ends the other one.
        let _ = direction.pass_on(&from, &to);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

struct Direction {
    losing: Arc<AtomicU8>,
    /// What is lost in this direction.
    own: Losing,
    /// The number of messages.
    seen: u64,
}

impl Direction {
    fn pass_on(mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let (mut input, mut chunk) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let read = from.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            input.extend_from_slice(&chunk[..read]);
            let (mut output, mut at) = (Vec::new(), 0);
            while let Some(len) = value_len(&input[at..]) {
                self.pass_value(&input[at..at + len], &mut output);
                at += len;
            }
            input.drain(..at);
            to.write_all(&output)?;
        }
    }

    fn pass_value(&mut self, value: &[u8], output: &mut Vec<u8>) {
        let loses_replies = self.losing.load(SeqCst) == Losing::Replies as u8;
        match (self.own, misdirected(value)) {
            (Losing::Deliveries, _) if loses_replies && is_integer(value) => {}
            (Losing::Deliveries, _) if is_message(value) && self.loses() => {}
            (Losing::Publications, Some(other)) if self.loses() => output.extend(other),
            _ => output.extend_from_slice(value),
        }
    }

    /// Whether this message is lost.
    fn loses(&mut self) -> bool {
        self.seen += 1;
        let losing = self.losing.load(SeqCst);
        losing == self.own as u8 || losing == Losing::Some as u8 && self.seen.is_multiple_of(SOME)
    }
}
