//! The seam between the loop and the operating system.
//!
//! Everything that the loop asks of the system goes through [`System`]: waiting for events, the clock, accepting,
//! connecting, name resolution, and the sockets. [`Native`] is the implementation that programs use. Tests replace it, so
//! that they decide what a socket returns and what time it is. The implementation is a type parameter, so calls are static.

#[cfg(any(test, fuzzing, feature = "testing"))]
#[cfg_attr(
    not(all(test, feature = "testing")),
    allow(dead_code, reason = "fuzzing and the tests of programs use a part")
)]
pub(super) mod fake;
mod native;
mod resolver;

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use url::Url;

pub(super) use self::native::Native;
pub(super) use self::resolver::{Name, Resolved};
use super::api::handler::Handler;
use super::entries::ConnectionId;
use super::phase::LoopPhase;
use super::queue::AcceptedStream;
use super::transport::Keys;
use crate::error::{Error, Result};
use crate::tls::Negotiated;

/// The address of the peer and the local address of an accepted connection.
pub(super) type Addresses = (SocketAddr, SocketAddr);

/// What the system reports about one socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) token: Token,
    /// There is something to read, or a read returns an error.
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// The peer has ended its side.
    pub(super) is_read_closed: bool,
}

/// What the loop needs from the operating system.
pub(super) trait System: fmt::Debug + Sized {
    type Socket: Transport;
    type Listener: fmt::Debug;
    type Events: fmt::Debug;

    /// Creates a list that holds up to `capacity` events.
    fn new_events(capacity: usize) -> Self::Events;

    /// Waits for events until the timeout expires, or forever.
    fn poll(&mut self, events: &mut Self::Events, timeout: Option<Duration>) -> io::Result<()>;

    /// Removes all events from the list.
    fn clear(events: &mut Self::Events);

    fn events(events: &Self::Events) -> impl Iterator<Item = Event> + '_;

    fn now(&self) -> Instant;

    /// Returns a function that reads the clock, for other threads.
    fn clock(&self) -> Box<dyn Fn() -> Instant + Send + Sync>;

    /// Returns a function that ends [`poll`](Self::poll), for other threads.
    fn waker(&self) -> Box<dyn Fn() + Send + Sync>;

    /// Begins to report events of a socket.
    fn register(&self, socket: &mut Self::Socket, token: Token, interest: Interest) -> io::Result<()>;

    /// Changes which events of a socket are reported.
    fn reregister(&self, socket: &mut Self::Socket, token: Token, interest: Interest) -> io::Result<()>;

    /// Ends reporting events of a socket.
    fn deregister(&self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Begins to report connections that wait to be accepted.
    fn listen(&self, listener: &mut Self::Listener, token: Token) -> io::Result<()>;

    /// Accepts a connection. The addresses are `None` if the system did not return them with the connection.
    fn accept(&self, listener: &Self::Listener) -> io::Result<(Self::Socket, Option<Addresses>)>;

    /// Begins to connect to an address. [`Transport::connected`] returns the result.
    fn connect(&self, address: SocketAddr) -> io::Result<Self::Socket>;

    /// Begins to connect to a Unix domain socket.
    #[cfg(unix)]
    fn connect_unix(&self, path: &str) -> io::Result<Self::Socket>;

    /// Takes over a stream that was connected or accepted elsewhere.
    fn take_over(&self, stream: TcpStream) -> io::Result<Self::Socket>;

    /// Releases a socket that was accepted and is not registered, for another loop. `None` if that is impossible.
    fn release(&self, socket: Self::Socket) -> Option<AcceptedStream>;

    /// Takes over a stream that another loop has released.
    fn take_assigned(&self, stream: AcceptedStream) -> io::Result<Self::Socket>;

    /// Begins to resolve a host name. [`next_resolved`](Self::next_resolved) returns the result.
    fn resolve(&mut self, id: ConnectionId, name: Name);

    /// Whether [`next_resolved`](Self::next_resolved) may return something.
    fn is_resolving(&self) -> bool;

    /// Returns a finished name resolution.
    fn next_resolved(&mut self) -> Option<Resolved>;

    /// A phase of the loop begins. Tests record the phases.
    #[inline(always)]
    fn on_phase(&self, phase: LoopPhase) {
        let _ = phase;
    }
}

/// A connected, non-blocking socket.
pub(super) trait Transport: fmt::Debug + Sized {
    /// Reads into a buffer without removing the bytes from the socket. Only sockets that have an IP address and are not encrypted
    /// support this.
    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads into a buffer.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Input>;

    /// Reads once into several buffers, which are filled one after the other.
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> Result<Input>;

    /// Writes once, and returns how many bytes were accepted. If more output is expected soon, an encrypted socket does not
    /// accept what would begin a record without filling it, unless there is nothing else.
    fn write(&mut self, slices: &[IoSlice<'_>], expects_more: bool) -> std::result::Result<usize, Stop>;

    /// Sends the bytes that `write` accepted and that the system has not accepted yet.
    fn flush(&mut self) -> std::result::Result<(), Stop>;

    /// The number of bytes that `flush` has to send.
    fn unsent(&self) -> usize;

    /// Ends the local side. The peer reads everything that was sent, and then the end of the stream.
    fn shut_down_writing(&mut self) -> std::result::Result<(), Stop>;

    /// Sends the close_notify alert of TLS, once (RFC 8446 §6.1). Other sockets have no such message.
    fn send_close_notify(&mut self);

    /// Whether the TLS handshake is unfinished, so that nothing can be sent to the peer.
    fn is_handshaking(&self) -> bool;

    fn is_encrypted(&self) -> bool;

    /// What the TLS handshake negotiated.
    fn encryption(&self) -> Negotiated;

    /// Whether the connection is established. `None` means that the attempt continues.
    fn connected(&self) -> Option<io::Result<()>>;

    fn set_nodelay(&self) -> io::Result<()>;

    /// The addresses of the peer and of the local end, where they exist.
    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>);

    /// Whether this is a Unix domain socket.
    fn is_unix(&self) -> bool;

    /// Whether TLS can be started on this socket.
    fn can_encrypt(&self) -> bool;

    /// Begins the TLS handshake of a server. A connection that will be rejected has no handler.
    fn encrypt_server<H: Handler>(self, keys: &Keys, handler: Option<&mut H>) -> Result<Self>;

    /// Begins the TLS handshake of a client.
    fn encrypt_client<H: Handler>(self, keys: &Keys, handler: &mut H, url: &Url) -> Result<Self>;
}

/// What a read has returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// The number of bytes.
    pub(super) len: usize,
    pub(super) next: Next,
    /// The read has produced output, which [`Transport::flush`] sends: TLS replies to some records.
    pub(super) has_output: bool,
}

/// What follows the bytes of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// An event, when more has arrived.
    Event,
    /// Perhaps more, for which there is no event.
    More,
    /// The end of the stream.
    End,
}

impl Input {
    /// Returns what a read of a plain socket into a buffer means. A read that does not fill the buffer has emptied the
    /// socket, so no further read is needed to find that out.
    #[inline]
    pub(super) fn new(read: io::Result<usize>, room: usize) -> Result<Self> {
        let (len, next) = match read {
            Ok(0) => (0, Next::End),
            Ok(len) if len == room => (len, Next::More),
            Ok(len) => (len, Next::Event),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => (0, Next::Event),
            Err(err) => return Err(err.into()),
        };
        Ok(Self { len, next, has_output: false })
    }
}

/// Why a socket did not complete an operation.
#[derive(Debug)]
pub(super) enum Stop {
    /// It would block. An event follows when the operation can continue.
    Blocked,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(err: Error) -> Self {
        Self::Failed(err)
    }
}

impl From<io::Error> for Stop {
    fn from(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::WouldBlock => Self::Blocked,
            _ => Self::Failed(err.into()),
        }
    }
}
