//! A socket that blocks: one connection on whatever thread uses it, over anything that reads and writes.
//!
//! It needs the standard library alone: no event loop, no runtime. The rules, the limits and their defaults are those of
//! [`protocol::Config`](crate::protocol::Config), as everywhere.
//!
//! ```
//! use std::net::TcpListener;
//! use std::thread;
//!
//! use sockeye::CloseCode;
//! use sockeye::blocking::WebSocket;
//!
//! // An echo server; each client has its thread.
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! thread::spawn(move || -> sockeye::Result<()> {
//!     for stream in listener.incoming() {
//!         let mut socket = WebSocket::accept(stream?)?;
//!         thread::spawn(move || -> sockeye::Result<()> {
//!             while let Some(message) = socket.read()? {
//!                 socket.send(message)?;
//!             }
//!             Ok(())
//!         });
//!     }
//!     Ok(())
//! });
//!
//! let mut socket = WebSocket::connect(&format!("ws://{address}/"))?;
//! socket.send("salmon")?;
//! assert_eq!(socket.read()?, Some("salmon".into()));
//! let closed = socket.close(CloseCode::Normal, "spawned")?;
//! assert_eq!(closed.code, CloseCode::Normal);
//! # sockeye::Result::Ok(())
//! ```
//!
//! # Reading and sending at the same time
//!
//! [`WebSocket::try_clone`] gives a second handle to the same connection, as that of a `TcpStream` does. One may be
//! blocked in reading while the other sends, on another thread; that holds for TCP, for Unix domain sockets, and for
//! [TLS](Tls) over both. To join the two again, drop one.
//!
//! Pings and the Close of the peer are answered by whoever reads: a program that never reads does not keep its
//! connection up. Only [`WebSocket::close`] reads by itself, if nobody else does.
//!
//! # A server's life
//!
//! Accepting is the `TcpListener`'s: as many threads as are wanted accept from one, `set_nonblocking` looks whether somebody
//! waits. To stop, note that it stops, connect once for each thread that accepts, [close](WebSocket::close) a second handle of each
//! connection, and join the threads. The example `blocking-server` does that.
//!
//! # Time-outs
//!
//! | | set by | default | beyond it |
//! |---|---|---|---|
//! | connecting, each address | [`Builder::connect_timeout`] | 10 s | `Io`, `TimedOut` |
//! | opening handshake, TLS included | [`Config::handshake_timeout`] | 10 s | `Protocol` |
//! | silence of the peer | [`Config::idle_timeout`], [`Config::ping_interval`] | none | `Protocol` |
//! | closing handshake | [`Config::close_timeout`] | 10 s | it [was not clean](Closed::was_clean) |
//!
//! They hold while a call is blocked, which takes a [`Stream`] that can be told how long to wait. What merely reads and
//! writes is wrapped into [`Bare`]: there the time is looked at only when a read returns.
//!
//! [`Config::handshake_timeout`]: crate::protocol::Config::handshake_timeout
//! [`Config::idle_timeout`]: crate::protocol::Config::idle_timeout
//! [`Config::ping_interval`]: crate::protocol::Config::ping_interval
//! [`Config::close_timeout`]: crate::protocol::Config::close_timeout

mod builder;
mod link;
mod messages;
#[cfg(not(feature = "ssl"))]
#[path = "no_tls.rs"]
mod tls;
#[cfg(feature = "ssl")]
mod tls;

mod stream;
mod writer;

use std::fmt;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use self::builder::Builder;
use self::link::Link;
pub use self::messages::Messages;
pub use self::stream::{Bare, Socket, Stream};
pub use self::tls::Tls;
use self::writer::Patience;
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Answers, Frame, OpCode, ProtocolError, Upgrade};
use crate::socket::session::{Item, Session, Unit};

/// How much [`WebSocket::queue`] lets wait, in bytes.
const MAX_QUEUED: usize = 64 * 1024;

/// How long a socket that is dropped may take to say so.
const FAREWELL: Duration = Duration::from_millis(200);

/// One end of an open connection; a handle to it, as there may be several.
///
/// See the [module](self) for how it is used. When the last handle is dropped while the connection is open, the peer
/// gets a Close with 1001, and nobody waits for its answer.
pub struct WebSocket<S: Stream> {
    /// There until the socket is taken apart.
    stream: Option<S>,
    shared: Arc<Shared>,
}

/// What the handles of a connection have in common.
struct Shared {
    link: Link,
    /// How many handles there are. Of two that are dropped at once, this tells which is the last.
    handles: AtomicUsize,
    request: Request,
    response: Response,
}

impl WebSocket<Socket> {
    /// Connects to a `ws://`, `wss://` (feature `ssl`) or `ws+unix://` URL. [`Builder`] has the options.
    ///
    /// # Errors
    ///
    /// `Internal` for a URL that cannot be read, or a `wss` one in a build without TLS; `Io` if there is no such host, or
    /// nobody answers; `Ssl` if TLS fails; `Protocol` if the answer to the opening
    /// handshake breaks a rule; `Custom` with [`Rejected`](crate::protocol::handshake::Rejected) if it is not 101.
    pub fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url)
    }
}

impl<S: Stream> WebSocket<S> {
    /// Accepts a client that has connected, and makes the opening handshake. [`Builder`] has the options.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks, which the client has been told; `Io` if the stream fails.
    pub fn accept(stream: S) -> Result<Self> {
        Builder::new().accept(stream)
    }

    /// Goes on from an opening handshake that another HTTP server has made, over the stream of its connection.
    ///
    /// # Errors
    ///
    /// `Protocol` if the response was changed, and does not open a connection any more.
    pub fn upgraded(stream: S, upgrade: Upgrade) -> Result<Self> {
        let (request, response) = (upgrade.request().clone(), upgrade.response().clone());
        let (connection, read_ahead) = upgrade.into_connection(Instant::now())?;
        let link = Link::new(Session::new(connection), Vec::new(), read_ahead);
        Ok(Self::open(stream, link, request, response))
    }

    fn open(stream: S, link: Link, request: Request, response: Response) -> Self {
        let shared = Shared { link, handles: AtomicUsize::new(1), request, response };
        Self { stream: Some(stream), shared: Arc::new(shared) }
    }

    /// Makes another handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// `Io` if the system gives no second handle to the stream, or the stream cannot have one.
    pub fn try_clone(&self) -> Result<Self> {
        let stream = self.stream.as_ref().map(S::try_clone).transpose()?;
        self.shared.handles.fetch_add(1, Ordering::Relaxed);
        Ok(Self { stream, shared: Arc::clone(&self.shared) })
    }

    /// Reads the next message; `None` once the connection is closed, and [`closed`](Self::closed) tells how.
    ///
    /// What [`io::Read`](std::io::Read) has left of a message comes first, as a message of the same type; of a text
    /// that it has cut in the middle of a character, as a binary one.
    ///
    /// # Errors
    ///
    /// `Protocol`, `Capacity` or `Encoding` if the peer breaks a rule or a limit, or goes without a Close; `Io` if the
    /// stream fails. The connection is closed then. A stream that was made non-blocking gives `Io` with `WouldBlock`, and
    /// nothing is lost by that.
    pub fn read(&mut self) -> Result<Option<Message>> {
        let (link, stream) = self.parts()?;
        link.reading(|reading| link.message(stream, reading))
    }

    /// Reads the next message behind what is in a buffer, and tells its type; `None` once the connection is closed.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the buffer is as before then.
    pub fn read_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        let Some(message) = self.read()? else { return Ok(None) };
        buffer.extend_from_slice(message.as_bytes());
        Ok(Some(if message.is_text() { OpCode::Text } else { OpCode::Binary }))
    }

    /// Reads the next frame, of whatever kind, once it has been acted on: fragments come one by one, and Pings, Pongs and
    /// the Close as well. With compression, frames come as they were sent, with RSV1. `None` once the connection is
    /// closed.
    ///
    /// What [`io::Read`](std::io::Read) has left of a message comes first, as one frame.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_frame(&mut self) -> Result<Option<Frame>> {
        let (link, stream) = self.parts()?;
        link.reading(|reading| match reading.rest.take() {
            Some(rest) => Ok(Some(rest.into())),
            None => Ok(link.next(stream, reading, Unit::Frame)?.and_then(Item::into_frame)),
        })
    }

    /// Iterates over the messages that come, until the connection is closed or fails.
    pub fn messages(&mut self) -> Messages<'_, S> {
        Messages::of(self)
    }

    /// Sends a message, and returns when the system has taken it.
    ///
    /// # Errors
    ///
    /// `Protocol` after a Close was sent, or the connection has ended; `Io` if the stream fails.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.speak(|session, now, out| session.send(message, now, out))
    }

    /// Puts a message with those that wait for [`flush`](Self::flush), so that many small ones go in one piece. They also
    /// go when they are more than 64 KiB, or anything is read or sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        let (link, stream) = self.parts()?;
        let mut state = link.lock();
        let queued = state.say(|session, now, out| session.send(message, now, out))?;
        if queued > MAX_QUEUED { link.flush(state, stream, Patience::Wait) } else { Ok(()) }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// `Io` if the stream fails.
    pub fn flush(&mut self) -> Result<()> {
        let (link, stream) = self.parts()?;
        link.flush(link.lock(), stream, Patience::Wait)
    }

    /// Sends a frame as it is: a fragment, or one of an extension. Who sends fragments sees to their order.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for a frame that the RFC forbids.
    pub fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.speak(|session, now, out| session.send_frame(frame, now, out))
    }

    /// Sends a Ping with up to 125 bytes. The Pong is to be seen with [`read_frame`](Self::read_frame).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for more bytes.
    pub fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.speak(|session, now, out| session.send_frame(Frame::ping(payload.into()), now, out))
    }

    /// Sends a Pong that nobody has asked for; Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.speak(|session, now, out| session.send_frame(Frame::pong(payload.into()), now, out))
    }

    /// Closes with a code ([`CloseCode::Status`] for none) and a reason, waits for the answer of the peer and for the end of
    /// TCP, and returns what the peer has said.
    ///
    /// Messages that still come are dropped. If the peer closes at the same time, or has begun to, its Close counts. If no
    /// Close comes within [`Config::close_timeout`](crate::protocol::Config::close_timeout), or the connection is lost
    /// before, that is no error, since it has ended as it was to: [`Closed::was_clean`] is false.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code or a reason that may not be sent, and then the connection goes on; `Io` if the stream cannot
    /// be read now, as one that does not block.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        let (link, stream) = self.parts()?;
        link.close(stream, code, reason)
    }

    /// Ends the connection at once, without a Close; another handle that is blocked in reading is woken.
    ///
    /// # Errors
    ///
    /// `Io` if the stream cannot be shut down.
    pub fn abort(mut self) -> Result<()> {
        let (link, stream) = self.parts()?;
        link.lock().session.connection.abandon();
        Ok(stream.shutdown(Shutdown::Both)?)
    }

    /// Says who answers the Pings of the peer and its Close: by default whoever reads does, with [`Answers::Manual`] the
    /// program, with [`pong`](Self::pong) and [`close`](Self::close).
    pub fn set_answers(&mut self, answers: Answers) {
        self.shared.link.lock().session.connection.set_answers(answers);
    }

    /// Returns how the connection has ended: `None` before that.
    pub fn closed(&self) -> Option<Closed> {
        self.shared.link.lock().session.closed()
    }

    /// Returns whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.shared.link.lock().session.connection.can_send(OpCode::Text)
    }

    /// Returns the request of the opening handshake.
    pub fn request(&self) -> &Request {
        &self.shared.request
    }

    /// Returns the response of the opening handshake.
    pub fn response(&self) -> &Response {
        &self.shared.response
    }

    /// Returns the subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.shared.response.protocol().ok().flatten()
    }

    /// Returns the stream; what is written to it goes between the frames.
    pub fn get_ref(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Gives the stream back, and what was read from it and not looked at. Other handles go on as they were, and what
    /// [`io::Read`](std::io::Read) has left of a message is theirs alone.
    ///
    /// # Errors
    ///
    /// `Io` if sending what was queued fails.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>)> {
        self.flush()?;
        let unread = self.shared.link.reading(|reading| reading.take_unread());
        let stream = self.stream.take().ok_or(ProtocolError::NotOpen)?;
        Ok((stream, unread))
    }

    /// Puts something into the output, and sends it.
    fn speak(
        &mut self,
        say: impl FnOnce(&mut Session, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        let (link, stream) = self.parts()?;
        let mut state = link.lock();
        state.say(say)?;
        link.flush(state, stream, Patience::Wait)
    }

    fn parts(&mut self) -> Result<(&Link, &mut S)> {
        let stream = self.stream.as_mut().ok_or(ProtocolError::NotOpen)?;
        Ok((&self.shared.link, stream))
    }
}

impl<S: Stream> Drop for WebSocket<S> {
    fn drop(&mut self) {
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(stream) = &mut self.stream
        {
            self.shared.link.say_goodbye(stream, FAREWELL);
        }
    }
}

impl<S: Stream> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("request", &self.shared.request)
            .field("response", &self.shared.response)
            .finish_non_exhaustive()
    }
}
