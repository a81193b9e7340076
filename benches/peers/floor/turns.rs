//! The event loop.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::arguments::Result;
use crate::count::Count;
use crate::{BUFFER, RESPONSE};

/// The receivers of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Sender,
    Everyone,
}

/// Creates the stream over each socket.
pub(crate) trait Wrap {
    type Stream: Read + Write;
    /// Whether a read that does not fill the buffer has read all available bytes.
    const SHORT_READ_IS_ALL: bool;

    /// Creates a stream from a socket that has just been accepted.
    fn wrap(&self, socket: TcpStream) -> io::Result<Self::Stream>;
}

struct Connection<S> {
    stream: S,
    count: Count,
    open: bool,
    /// The number of bytes that the system has not accepted yet. Their content does not matter.
    owed: usize,
}

const LISTENER: Token = Token(usize::MAX);

pub(crate) fn run<W: Wrap>(address: &str, size: usize, to: To, wrap: &W) -> Result<()> {
    let mut listener = TcpListener::bind(address.parse()?)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut connections, mut free) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            // This happens when a tracer attaches.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(
                    &poll,
                    &listener,
                    wrap,
                    &mut connections,
                    &mut free,
                    &Count::new(size, to == To::Everyone),
                )?;
                continue;
            }
            let token = event.token().0;
            let Some(Some(connection)) = connections.get_mut(token) else { continue };
            match turn::<W>(connection, &mut buffer) {
                Some(0) => {}
                Some(count) => tell_everyone(&mut connections, count, &buffer),
                None => {
                    connections[token] = None;
                    free.push(token);
                }
            }
        }
    }
}

fn tell_everyone<S: Write>(connections: &mut [Option<Connection<S>>], count: usize, buffer: &[u8]) {
    for connection in connections.iter_mut().flatten().filter(|connection| connection.open) {
        connection.owed += count;
        // A closed connection is removed when its own event is handled.
        let _ = connection.flush(buffer);
    }
}

fn accept<W: Wrap>(
    poll: &Poll,
    listener: &TcpListener,
    wrap: &W,
    connections: &mut Vec<Option<Connection<W::Stream>>>,
    free: &mut Vec<usize>,
    count: &Count,
) -> Result<()> {
    loop {
        let mut socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        socket.set_nodelay(true)?;
        let token = free.pop().unwrap_or(connections.len());
        poll.registry().register(&mut socket, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let stream = wrap.wrap(socket)?;
        let connection = Some(Connection { stream, count: count.clone(), open: false, owed: 0 });
        if token == connections.len() {
            connections.push(connection);
        } else {
            connections[token] = connection;
        }
    }
}

/// Reads, and writes the output to the sender unless it is for everyone. Returns the number of bytes for everyone, or
/// `None` at the end of the connection.
fn turn<W: Wrap>(connection: &mut Connection<W::Stream>, buffer: &mut [u8]) -> Option<usize> {
    let mut whole = 0;
    connection.flush(buffer).ok()?;
    loop {
        let came = match connection.stream.read(buffer) {
            Ok(0) => return None,
            Ok(came) => came,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(whole),
            Err(_) => return None,
        };
        if !connection.open {
            // One read returns the whole request, because it is short and the first thing on the connection.
            connection.open = true;
            connection.stream.write_all(RESPONSE).ok()?;
        } else {
            let count = connection.count.advance(came);
            if connection.count.whole() {
                whole += count;
            } else {
                connection.owed += count;
                connection.flush(buffer).ok()?;
            }
        }
        if W::SHORT_READ_IS_ALL && came < buffer.len() {
            return Some(whole);
        }
    }
}

impl<S: Write> Connection<S> {
    /// Writes the output until the socket would block.
    fn flush(&mut self, buffer: &[u8]) -> io::Result<()> {
        while self.owed > 0 {
            match self.stream.write(&buffer[..self.owed.min(buffer.len())]) {
                Ok(count) => self.owed -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
