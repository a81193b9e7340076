//! What a program may ask of an event loop, from any thread.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::util::{Timeout, Token};
use crate::close::CloseCode;
use crate::error::Result;
use crate::message::Message;
use crate::protocol::{Frame, ProtocolError, Upgrade, check_close};
use crate::reactor::queue::{Command, CommandQueue, QueuedCommand, Target};

/// The token of a sender that speaks to all connections.
const ALL: Token = Token(usize::MAX - 5);

/// Speaks to one connection of an event loop, or to all of them; cheap to clone, and to be used from any thread.
///
/// A factory gets the sender of each connection, and [`WebSocket::broadcaster`](crate::WebSocket::broadcaster) one for all
/// of them. Every method only queues what it asks for: `Ok` means that it will be done, in the order in which each thread
/// asked for it.
///
/// - On the thread that runs the loop, that is within the methods of a handler, the queue has no limit, and no method
///   blocks or fails for want of room.
/// - From other threads the queue is bounded ([`Settings::queue_size`](crate::Settings::queue_size)): when it is full the
///   answer is `Err(ErrorKind::Queue(QueueError::Full))`, at once.
/// - What is said to a connection that has gone is dropped, and that is `Ok`. Ask [`is_open`](Self::is_open), or use
///   [`try_send`](Self::try_send), where that matters.
/// - After the loop has ended, or begun to shut down, every method answers `QueueError::Disconnected`.
///
/// # Examples
///
/// ```
/// use sockeye::{CloseCode, listen};
/// # use sockeye::WebSocket;
/// # fn doc() -> sockeye::Result<()> {
///
/// listen("127.0.0.1:3012", |out| {
///     move |msg| {
///         out.send(msg)?;
///         out.close(CloseCode::Normal)
///     }
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Sender {
    queue: Arc<CommandQueue>,
    /// The slot of the connection; `None` speaks to all.
    slot: Option<u32>,
    id: u32,
}

impl Sender {
    pub(crate) fn connection(queue: Arc<CommandQueue>, slot: u32, id: u32) -> Self {
        Self { queue, slot: Some(slot), id }
    }

    pub(crate) fn all(queue: Arc<CommandQueue>) -> Self {
        Self { queue, slot: None, id: 0 }
    }

    /// Returns the number of the connection's place. Places are used again; together with
    /// [`connection_id`](Self::connection_id) it names a connection for good.
    pub fn token(&self) -> Token {
        self.slot.map_or(ALL, |slot| Token(usize::try_from(slot).unwrap_or(usize::MAX)))
    }

    /// Returns the serial number of the connection within its loop; 0 for a sender that speaks to all.
    pub fn connection_id(&self) -> u32 {
        self.id
    }

    /// Sends a message to the connection.
    ///
    /// Before the connection is open the message waits for that. If more than
    /// [`Settings::max_buffered`](crate::Settings::max_buffered) bytes would be queued for it, the connection fails with
    /// `Capacity`, or the message is dropped, as [`Settings::overflow`](crate::Settings::overflow) says.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::{Result, Sender};
    /// # fn doc(out: Sender) -> Result<()> {
    /// out.send("text")?;
    /// out.send(vec![1, 2, 3])?;
    /// # Ok(()) }
    /// ```
    pub fn send<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        self.queue.send(self.target(), Command::Message(msg.into()))
    }

    /// Sends a message that is not to be compressed, whatever the settings; without compression it is the same as
    /// [`send`](Self::send). It is for what is compressed already, such as images, and for secrets that are sent together
    /// with what somebody else can choose: the length of a compressed message would tell whether the two have something
    /// in common (the attacks CRIME and BREACH; RFC 7692 §8).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::{Result, Sender};
    /// # fn doc(out: Sender, token: &str) -> Result<()> {
    /// out.send_uncompressed(token)
    /// # }
    /// ```
    pub fn send_uncompressed<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        let message = msg.into();
        let mut frame = if self.slot.is_some() { Frame::from(message) } else { Frame::shared(message) };
        frame.set_compressible(false);
        self.queue.send(self.target(), Command::Frame(Box::new(frame)))
    }

    /// Sends a message to the connection if it is open and has room for it, and says so if not.
    ///
    /// # Errors
    ///
    /// `Capacity` if [`Settings::max_buffered`](crate::Settings::max_buffered) would be exceeded, `Protocol` if the
    /// connection is not open, not yet or not any more; `Queue` as described [above](Self). The message is dropped then.
    pub fn try_send<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        self.queue.try_send(self.target(), msg.into())
    }

    /// Sends a message to all connections of the loop, those of both roles, and those that are about to open.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn broadcast<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        self.queue.send(Target::All, Command::Message(msg.into()))
    }

    /// Closes the connection with a code, after what is queued for it.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code that may not be sent (§7.4); `Queue` as described [above](Self).
    pub fn close(&self, code: CloseCode) -> Result<()> {
        self.close_with_reason(code, "")
    }

    /// Closes the connection with a code and a reason of up to 123 bytes, after what is queued for it.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code that may not be sent (§7.4), or a longer reason (§5.5); `Queue` as described [above](Self).
    pub fn close_with_reason<S>(&self, code: CloseCode, reason: S) -> Result<()>
    where
        S: Into<Cow<'static, str>>,
    {
        let reason = reason.into();
        check_close(code, &reason)?;
        self.push(Command::Close(code, reason))
    }

    /// Sends a Ping with up to 125 bytes, which the peer returns (§5.5.2). It counts as what [`send`](Self::send) sends.
    ///
    /// # Errors
    ///
    /// `Protocol` for more bytes; `Queue` as described [above](Self).
    pub fn ping(&self, data: Vec<u8>) -> Result<()> {
        self.push_control(Frame::ping(data))
    }

    /// Sends a Pong with up to 125 bytes, that nobody has asked for (§5.5.3). Pings are answered without it.
    ///
    /// # Errors
    ///
    /// `Protocol` for more bytes; `Queue` as described [above](Self).
    pub fn pong(&self, data: Vec<u8>) -> Result<()> {
        self.push_control(Frame::pong(data))
    }

    /// Makes a new connection, as a client, on the same loop; the factory makes a handler for it.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self). Whether the connection comes about is told to the new handler, and to this
    /// one if the loop has no room for it.
    pub fn connect(&self, url: Url) -> Result<()> {
        self.push(Command::Connect(Box::new(url), None))
    }

    /// Hands the loop a stream that has been accepted elsewhere; it is served as if a listener of the loop had accepted
    /// it.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn accept(&self, stream: TcpStream) -> Result<()> {
        self.push(Command::Accept(stream))
    }

    /// Hands the loop a connection whose opening handshake another HTTP server has made, with what that server has read
    /// ahead; the response must have been sent. It gets a handler, whose first call is `on_open`. The limits are those of
    /// the loop; compression is what the handshake has agreed on. A loop that has no room for it closes it with 1013.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn accept_upgraded(&self, stream: TcpStream, upgrade: Upgrade) -> Result<()> {
        self.push(Command::AcceptUpgraded(stream, Box::new(upgrade)))
    }

    /// Ends the loop: every handler hears `on_shutdown`, what is queued is sent, every connection is closed with 1001,
    /// and `run` returns when all are gone, after [`Settings::close_timeout`](crate::Settings::close_timeout) at the
    /// latest.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn shutdown(&self) -> Result<()> {
        self.push(Command::Shutdown)
    }

    /// Sets a time-out: after `ms` milliseconds, never earlier, `on_timeout` is called with `token`; before that
    /// `on_new_timeout`, with what is needed to cancel it. It dies with the connection.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn timeout(&self, ms: u64, token: Token) -> Result<()> {
        self.push(Command::Timeout(Instant::now().checked_add(Duration::from_millis(ms)), token))
    }

    /// Cancels a time-out. One that has passed already, or is cancelled already, is left alone.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn cancel(&self, timeout: Timeout) -> Result<()> {
        self.push(Command::Cancel(timeout))
    }

    /// Stops reading from the connection, so that TCP makes the peer wait. Messages that have been read before, in the
    /// same turn of the loop (256 KiB, or of large messages 1 MiB), still come. A time-out for silence goes on counting.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn pause(&self) -> Result<()> {
        self.push(Command::Pause)
    }

    /// Ends [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self).
    pub fn resume(&self) -> Result<()> {
        self.push(Command::Resume)
    }

    /// Returns how many bytes are queued for the connection and not yet taken by the system, headers of frames included
    /// as far as they are written. Zero for a connection that has gone, and for a sender that speaks to all.
    pub fn buffered_amount(&self) -> usize {
        self.slot.map_or(0, |slot| self.queue.buffered_amount(slot, self.id))
    }

    /// Returns whether the connection is open: the opening handshake is complete, and no closing has begun. For a sender
    /// that speaks to all, whether the loop takes commands.
    pub fn is_open(&self) -> bool {
        match self.slot {
            Some(slot) => self.queue.is_open(slot, self.id),
            None => !self.queue.is_closed(),
        }
    }

    #[inline]
    fn target(&self) -> Target {
        self.slot.map_or(Target::All, |slot| Target::One { slot, id: self.id })
    }

    #[inline]
    fn push(&self, command: Command) -> Result<()> {
        Ok(self.queue.push(QueuedCommand { target: self.target(), command })?)
    }

    fn push_control(&self, frame: Frame) -> Result<()> {
        if !frame.is_sendable() {
            return Err(ProtocolError::UnsendableFrame.into());
        }
        self.queue.send(self.target(), Command::Frame(Box::new(frame)))
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("token", &self.token()).field("connection_id", &self.id).finish()
    }
}

impl PartialEq for Sender {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.id == other.id
    }
}

impl Eq for Sender {}

impl Hash for Sender {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.slot.hash(state);
        self.id.hash(state);
    }
}
