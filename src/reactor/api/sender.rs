//! `Sender`: how a program controls a connection, or a whole event loop, from any thread.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::deferred::{self, DeferredResponse};
use super::drain::Drain;
use super::handshake::Handshake;
use super::health::{Health, LoopStatus};
use super::publication::{Publication, check_topic};
use super::stats::Stats;
use super::util::{Timeout, Token};
use crate::close::CloseCode;
use crate::cluster::{Order, SubscriberCount};
use crate::connecting::reconnect::Reconnect;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::protocol::SharedMessage;
use crate::protocol::handshake::Extension;
use crate::protocol::{Frame, ProtocolError, Role, Upgrade, check_close};
use crate::reactor::draining::connect_while_draining;
use crate::reactor::queue::{
    Command, CommandQueue, ConnectMode, Established, NewConnection, QueuedCommand, QueuedPublication,
    SharedCommand, Target, TimeoutChange, disconnected, send_message,
};
use crate::reactor::scheduling::Schedule;

/// The token of a sender for all connections. `ws` uses the same number.
const ALL: Token = Token(usize::MAX - 5);

/// A handle that sends messages to a connection of an event loop, or to all of them, and that controls the loop.
///
/// A [`Factory`](crate::Factory) receives the sender of each connection.
/// [`WebSocket::broadcaster`](crate::WebSocket::broadcaster) returns a sender for all connections, including those that open
/// later; the methods that concern a connection then apply to every connection of the loop. A sender is cheap to clone, and
/// every method can be called from any thread.
///
/// # When commands take effect
///
/// Every method queues a command and returns at once. Commands of one thread are executed in the order in which they were
/// queued. A command that a handler queues is executed after the method of the handler has returned.
///
/// - On the thread of the loop, which is the thread of the handlers, the queue is unbounded. No method blocks.
/// - On other threads, the queue has a capacity in commands ([`Settings::queue_size`](crate::Settings::queue_size)) and in bytes
///   ([`Settings::queue_bytes`](crate::Settings::queue_bytes)). When it is full, methods return
///   [`QueueError::Full`](crate::QueueError::Full) at once. They never block. [`close`], [`close_with_reason`], [`pause`],
///   [`resume`], [`drain`] and [`shutdown`] are accepted all the same. They are executed in order with all other commands, and a second one
///   of a kind has no effect before the first one is executed; of several pauses and resumptions, the last counts.
///
/// # What the methods return
///
/// The result depends on the state of the connection. "Dropped" means that the method returns `Ok` and the message is
/// discarded, as in `ws`.
///
/// | method | connecting | open | closing | closed |
/// |---|---|---|---|---|
/// | [`send`], [`send_uncompressed`], [`ping`], [`pong`] | sent once open | sent | dropped | dropped |
/// | [`try_send`] | `Protocol` | sent, or `Capacity` | `Protocol` | `Protocol` |
/// | [`close`], [`close_with_reason`] | closes once open | closes | ignored | ignored |
/// | [`timeout`] | fires | fires | fires | `Disconnected` |
/// | [`cancel`], [`postpone`], [`pause`], [`resume`] | `Ok` | `Ok` | `Ok` | ignored |
/// | [`is_open`] | `false` | `true` | `false` | `false` |
///
/// A connection is *closing* from the moment that either side has sent a Close frame, or that the connection has failed. It
/// is *closed* from the call of [`Handler::on_close`](crate::Handler::on_close). A client that connects again is *connecting* from the
/// moment that its connection has ended. Closing cancels all timeouts that have not
/// fired. [`broadcast`], [`connect`], [`accept`], [`accept_upgraded`], [`after_handshake`],
/// [`drain`], [`is_draining`], [`run_after`] and [`shutdown`] do not depend on the connection.
///
/// When the loop has ended, or is shutting down, every method returns `QueueError::Disconnected`. Handlers are the
/// exception while the loop shuts down: they can still send their last messages, and only `connect`, `accept`,
/// `accept_upgraded` and `after_handshake` return `Disconnected`.
///
/// A sender on another thread can be overtaken: the connection can close after a method has returned `Ok` and before the
/// loop executes the command.
///
/// [`accept_upgraded`]: Self::accept_upgraded
/// [`accept`]: Self::accept
/// [`after_handshake`]: Self::after_handshake
/// [`broadcast`]: Self::broadcast
/// [`cancel`]: Self::cancel
/// [`close_with_reason`]: Self::close_with_reason
/// [`close`]: Self::close
/// [`connect`]: Self::connect
/// [`drain`]: Self::drain
/// [`is_draining`]: Self::is_draining
/// [`is_open`]: Self::is_open
/// [`pause`]: Self::pause
/// [`ping`]: Self::ping
/// [`pong`]: Self::pong
/// [`postpone`]: Self::postpone
/// [`resume`]: Self::resume
/// [`run_after`]: Self::run_after
/// [`send_uncompressed`]: Self::send_uncompressed
/// [`send`]: Self::send
/// [`shutdown`]: Self::shutdown
/// [`timeout`]: Self::timeout
/// [`try_send`]: Self::try_send
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
    /// The slot of the connection, or [`ALL_SLOTS`]. Every handler has a sender, so its size matters.
    slot: u32,
    id: u32,
}

/// In place of a slot, all connections. No loop has as many.
const ALL_SLOTS: u32 = u32::MAX;

impl Sender {
    pub(crate) fn connection(queue: Arc<CommandQueue>, slot: u32, id: u32) -> Self {
        Self { queue, slot, id }
    }

    pub(crate) fn all(queue: Arc<CommandQueue>) -> Self {
        Self { queue, slot: ALL_SLOTS, id: 0 }
    }

    /// Returns the number of the connection's slot in the loop.
    ///
    /// A slot is reused after its connection has closed. Together with [`connection_id`](Self::connection_id) the token
    /// identifies a connection unambiguously.
    ///
    /// See the example of [`connection_id`](Self::connection_id).
    pub fn token(&self) -> Token {
        slot_of(self).map_or(ALL, |slot| Token(usize::try_from(slot).unwrap_or(usize::MAX)))
    }

    /// Returns the serial number of the connection within its loop, or 0 for a sender for all connections.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use sockeye::Sender;
    /// use sockeye::util::Token;
    ///
    /// /// The names of the connected players.
    /// #[derive(Default)]
    /// struct Names(HashMap<(Token, u32), String>);
    ///
    /// impl Names {
    ///     fn insert(&mut self, player: &Sender, name: String) {
    ///         self.0.insert((player.token(), player.connection_id()), name);
    ///     }
    ///
    ///     fn remove(&mut self, player: &Sender) -> Option<String> {
    ///         self.0.remove(&(player.token(), player.connection_id()))
    ///     }
    /// }
    /// ```
    pub fn connection_id(&self) -> u32 {
        self.id
    }

    /// Sends a message.
    ///
    /// Before the connection is open the message is queued. If more than
    /// [`Settings::max_buffered`](crate::Settings::max_buffered) bytes would then be queued, the connection fails with
    /// `Capacity` or the message is dropped, depending on [`Settings::overflow`](crate::Settings::overflow).
    ///
    /// A message to a closing or closed connection is dropped, and the method returns `Ok`, as in `ws`. Use
    /// [`try_send`](Self::try_send) to detect this.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
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
        send_message(&self.queue, target(self), msg.into())
    }

    /// Sends a message without compression, whatever the settings.
    ///
    /// Without permessage-deflate this is [`send`](Self::send). Use it for data that is already compressed, such as images,
    /// and for a secret that is sent together with data that an attacker can choose: the length of a compressed message
    /// reveals whether the two have a part in common (the attacks CRIME and BREACH, RFC 7692 §8).
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send).
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
        let mut frame = if slot_of(self).is_some() { Frame::from(message) } else { Frame::shared(message) };
        frame.set_compressible(false);
        self.queue.send(target(self), Command::Frame(Box::new(frame)))
    }

    /// Sends a message that is shared with other connections.
    ///
    /// It is received like a message of [`send`](Self::send). See the example of [`SharedMessage`].
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send).
    pub fn send_shared(&self, message: &SharedMessage) -> Result<()> {
        self.queue.send(target(self), SharedCommand::Message(message.clone()).into())
    }

    /// Sends a message if the connection is open and has room for it.
    ///
    /// # Errors
    ///
    /// In each case the message is dropped.
    ///
    /// - `Capacity` if [`Settings::max_buffered`](crate::Settings::max_buffered) would be exceeded.
    /// - `Protocol` if the connection is not open.
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::{ErrorKind, Result, Sender};
    /// # fn doc(out: Sender) -> Result<()> {
    /// match out.try_send("a frame of a video") {
    ///     // The client is too slow for this frame. The next one may fit.
    ///     Err(err) if matches!(err.kind, ErrorKind::Capacity) => Ok(()),
    ///     result => result,
    /// }
    /// # }
    /// ```
    pub fn try_send<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        self.queue.try_send(target(self), msg.into())
    }

    /// Sends a message to all connections of the loop, in both roles. In a [cluster](crate::cluster), it also reaches those of other nodes.
    ///
    /// Connections that are opening receive the message once they are open. A connection without room for the message is
    /// treated as in [`send`](Self::send). If there are many connections, they receive the message in several turns of the loop; a
    /// message that is sent to one of them afterwards does not overtake it.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// // A chat with a single room.
    /// let chat = WebSocket::new(|out: Sender| move |msg: Message| out.broadcast(msg))?;
    /// # drop(chat);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn broadcast<M>(&self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        let Some(node) = self.queue.common.node() else {
            return self.queue.send(Target::All, Command::Message(msg.into()));
        };
        let frame = Frame::shared(msg.into());
        self.queue.send(Target::All, Command::Frame(Box::new(frame.clone())))?;
        node.publish(None, &frame, Order::PerPublisher, false, None)
    }

    /// Subscribes the connection to a topic: from now on, it receives what others [publish](Self::publish) to the topic.
    ///
    /// A topic is any text of up to 256 bytes. It needs no declaration. A second subscription to the same topic has no effect. The
    /// subscription ends with the connection. Before the connection is open, messages wait until then.
    ///
    /// A subscription that exceeds [`Settings::max_topics_per_connection`](crate::Settings::max_topics_per_connection) or
    /// [`Settings::max_topics`](crate::Settings::max_topics) has no effect, and `on_error` receives `Capacity`.
    ///
    /// # Errors
    ///
    /// - `Capacity` for a longer name.
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Handshake, Message, Result, Sender};
    ///
    /// /// A member of the room that the path of the URL names.
    /// struct Member {
    ///     out: Sender,
    ///     room: String,
    /// }
    ///
    /// impl Handler for Member {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         self.room = shake.request.resource().to_owned();
    ///         self.out.subscribe(&self.room)
    ///     }
    ///
    ///     fn on_message(&mut self, msg: Message) -> Result<()> {
    ///         self.out.publish(&self.room, msg)
    ///     }
    /// }
    /// ```
    pub fn subscribe<T>(&self, topic: T) -> Result<()>
    where
        T: AsRef<str>,
    {
        push(self, SharedCommand::Subscribe(check_topic(topic.as_ref())?, None).into())
    }

    /// Ends a subscription. What was published before the call still arrives.
    ///
    /// Without a subscription to this topic, the call has no effect.
    ///
    /// # Errors
    ///
    /// The same as for [`subscribe`](Self::subscribe).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Result, Sender};
    ///
    /// fn change_room(out: &Sender, from: &str, to: &str) -> Result<()> {
    ///     out.unsubscribe(from)?;
    ///     out.subscribe(to)
    /// }
    /// ```
    pub fn unsubscribe<T>(&self, topic: T) -> Result<()>
    where
        T: AsRef<str>,
    {
        push(self, SharedCommand::Unsubscribe(check_topic(topic.as_ref())?).into())
    }

    /// Sends a message to all connections that subscribe to a topic, except this one.
    ///
    /// A sender for all connections publishes to all subscribers. No subscription is needed to publish. A topic without
    /// subscribers is no error.
    ///
    /// - The messages of one thread arrive in the order in which they were published, on all topics, and in order with those that
    ///   the thread has sent in other ways. Those of different threads and handlers have no order.
    /// - `Ok` means that the message is queued. Each subscriber receives it once, or not at all if its connection ends before. A
    ///   subscriber without room for the message is treated as in [`send`](Self::send).
    /// - The message is encoded once for all subscribers, and they share it until the last of them has sent it.
    /// - In a [cluster](crate::cluster), it also reaches the subscribers of other nodes.
    ///
    /// # Errors
    ///
    /// The same as for [`subscribe`](Self::subscribe).
    ///
    /// See the example of [`subscribe`](Self::subscribe).
    pub fn publish<T, M>(&self, topic: T, msg: M) -> Result<()>
    where
        T: AsRef<str>,
        M: Into<Message>,
    {
        self.publish_with(Publication::new(topic.as_ref(), msg))
    }

    /// Publishes a message with options: its receivers, and whether it may be compressed or left out.
    ///
    /// # Errors
    ///
    /// The same as for [`publish`](Self::publish).
    ///
    /// See the example of [`Publication`].
    pub fn publish_with(&self, publication: Publication) -> Result<()> {
        let node = self.queue.common.node().filter(|_| !publication.is_local());
        let publication = publication.into_queued(self)?;
        let Some(node) = node else { return publish_here(&self.queue, publication) };
        if self.queue.has_closed() {
            return Err(disconnected());
        }
        let QueuedPublication { topic, frame, except, is_volatile, .. } = &publication;
        let (topic, frame, except, is_volatile) = (Arc::clone(topic), frame.clone(), *except, *is_volatile);
        let order = node.order(&topic);
        if order == Order::PerPublisher {
            publish_here(&self.queue, publication)?;
        }
        node.publish(Some(&topic), &frame, order, is_volatile, except)
    }

    /// Returns how many connections of the loop subscribe to a topic.
    ///
    /// Subscriptions that are queued do not count yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Result, Sender};
    ///
    /// fn show_members(out: &Sender, room: &str) -> Result<()> {
    ///     out.send(format!("{} members are here", out.subscriber_count(room)))
    /// }
    /// ```
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.queue.common.topics.count(topic)
    }

    /// Counts the connections of all nodes of a cluster that subscribe to a topic, and passes the result to `then`, at the latest after the
    /// duration `within`. Without a cluster, it counts those of this process.
    ///
    /// `then` is called on another thread, or on this one before the method returns. It must not block. If the event loops end first, it
    /// receives what is known then.
    ///
    /// # Errors
    ///
    /// - `Capacity` while 256 counts are being determined.
    /// - `Queue(Disconnected)` in a cluster if the event loops have ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::{Result, Sender};
    ///
    /// fn show_members(out: &Sender, room: &str) -> Result<()> {
    ///     let out = out.clone();
    ///     let second = Duration::from_secs(1);
    ///     out.clone().count_subscribers(room, second, move |count| {
    ///         let is_complete = count.answered == count.nodes;
    ///         let more = if is_complete { "" } else { " or more" };
    ///         let _ = out.send(format!("{}{more} members are here", count.subscribers));
    ///     })
    /// }
    /// ```
    pub fn count_subscribers<F>(&self, topic: &str, within: Duration, then: F) -> Result<()>
    where
        F: FnOnce(SubscriberCount) + Send + 'static,
    {
        match self.queue.common.node() {
            Some(node) => node.count(topic, within, Box::new(then)),
            None => {
                then(SubscriberCount { subscribers: self.subscriber_count(topic), answered: 1, nodes: 1 });
                Ok(())
            }
        }
    }

    /// Defers the response to the request of this connection, while its `on_request` runs.
    ///
    /// `on_request` must then return [`Response::deferred`](crate::Response::deferred). If it returns another response, that one is sent, and
    /// the deferred one is not needed any more.
    ///
    /// # Errors
    ///
    /// `Internal` if `on_request` of this connection does not run on this thread, or has deferred its response already.
    ///
    /// See the example of [`DeferredResponse`].
    pub fn defer(&self) -> Result<DeferredResponse> {
        deferred::defer(&self.queue, target(self))
    }

    /// Closes the connection with a code, after all messages that are queued for it.
    ///
    /// # Errors
    ///
    /// - `Protocol` for a code that must not be sent (§7.4).
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn close(&self, code: CloseCode) -> Result<()> {
        self.close_with_reason(code, "")
    }

    /// Closes the connection with a code and a reason, after all messages that are queued for it.
    ///
    /// # Errors
    ///
    /// - `Protocol` for a code that must not be sent (§7.4), and for a reason of more than 123 bytes (§5.5).
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// See the example of [`timeout`](Self::timeout).
    pub fn close_with_reason<S>(&self, code: CloseCode, reason: S) -> Result<()>
    where
        S: Into<Cow<'static, str>>,
    {
        let reason = reason.into();
        check_close(code, &reason)?;
        push(self, Command::Close(code, reason))
    }

    /// Sends a Ping with a payload of up to 125 bytes. The peer answers with a Pong that contains the payload (§5.5.2).
    ///
    /// A Ping counts towards [`Settings::max_buffered`](crate::Settings::max_buffered) in the same way as a message.
    ///
    /// # Errors
    ///
    /// - `Protocol` for a longer payload.
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::WebSocket;
    ///
    /// let socket = WebSocket::new(|_| |_| Ok(()))?;
    /// let all = socket.broadcaster();
    /// all.ping(b"still there?".to_vec())?;
    /// assert!(all.ping(vec![0; 126]).is_err());
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn ping(&self, data: Vec<u8>) -> Result<()> {
        push_control(self, Frame::ping(data))
    }

    /// Sends an unsolicited Pong with a payload of up to 125 bytes (§5.5.3).
    ///
    /// The loop answers Pings by itself; programs do not need this method for that.
    ///
    /// # Errors
    ///
    /// - `Protocol` for a longer payload.
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Result, Sender};
    /// use sockeye::util::Token;
    ///
    /// /// Shows a server that limits silence, once a minute, that this client is still there.
    /// struct Heartbeat(Sender);
    ///
    /// impl Handler for Heartbeat {
    ///     fn on_timeout(&mut self, event: Token) -> Result<()> {
    ///         self.0.pong(Vec::new())?;
    ///         self.0.timeout(60_000, event)
    ///     }
    /// }
    /// ```
    pub fn pong(&self, data: Vec<u8>) -> Result<()> {
        push_control(self, Frame::pong(data))
    }

    /// Opens a connection to a server on the same loop. The factory creates a handler for it.
    ///
    /// The new handler's `on_error` receives the error if the connection cannot be established. If the loop already has
    /// [`Settings::max_connections`](crate::Settings::max_connections) connections, there is no new handler, and the
    /// `on_error` of this connection receives `Capacity`.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return). It is `Disconnected` while the loop [drains](Self::drain).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Handshake, Result, Sender};
    ///
    /// /// A server that opens a connection to another server for each client.
    /// struct Gateway(Sender);
    ///
    /// impl Handler for Gateway {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         let path = shake.request.resource();
    ///         let url = format!("ws://127.0.0.1:3012{path}").parse().map_err(Box::new)?;
    ///         self.0.connect(url)
    ///     }
    /// }
    /// ```
    pub fn connect(&self, url: Url) -> Result<()> {
        push_connect(self, url, ConnectMode::Once)
    }

    /// Opens a connection to a server, which is established again when it is lost. The loop's factory creates its handler.
    ///
    /// See [`WebSocket::connect_with`](crate::WebSocket::connect_with).
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Reconnect, Result, Sender};
    ///
    /// fn add_source(all: &Sender, host: &str) -> Result<()> {
    ///     let url = format!("wss://{host}/prices").parse().map_err(Box::new)?;
    ///     all.connect_with(url, Reconnect::default())
    /// }
    /// ```
    pub fn connect_with(&self, url: Url, reconnect: Reconnect) -> Result<()> {
        push_connect(self, url, ConnectMode::Again(reconnect))
    }

    /// Serves a TCP stream that was accepted elsewhere, in the same way as one from a listener of the loop.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    /// use std::thread;
    ///
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?;
    /// let all = socket.broadcaster();
    /// let listener = TcpListener::bind("127.0.0.1:3012")?;
    /// thread::spawn(move || {
    ///     // This thread decides which clients are served.
    ///     for stream in listener.incoming().flatten() {
    ///         if stream.peer_addr().is_ok_and(|address| address.ip().is_loopback()) {
    ///             let _ = all.accept(stream);
    ///         }
    ///     }
    /// });
    /// socket.run_until_shutdown()?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn accept(&self, stream: TcpStream) -> Result<()> {
        push_new_connection(self, NewConnection::Accept(stream))
    }

    /// Serves a connection whose opening handshake was completed by another HTTP server.
    ///
    /// The server must have sent the response, and passes on the bytes that it has read after the request. The first call
    /// of the new handler is `on_open`. The limits of this loop apply, and compression is used as negotiated in the
    /// handshake. A loop without room for the connection closes it with 1013.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return); `Protocol` if the upgrade is that of a client
    /// ([`Upgrade::role`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    ///
    /// use sockeye::protocol::{Config, Upgrade};
    /// use sockeye::{Request, Sender};
    ///
    /// /// Opens a connection whose request `head` another server has read.
    /// fn open(all: &Sender, mut stream: TcpStream, head: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    ///     let request = Request::parse(head)?.ok_or("the head is incomplete")?;
    ///     let upgrade = Upgrade::new(request, Config::default())?;
    ///     upgrade.response().format(&mut stream)?;
    ///     all.accept_upgraded(stream, upgrade)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn accept_upgraded(&self, stream: TcpStream, upgrade: Upgrade) -> Result<()> {
        if upgrade.role() == Role::Client {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the upgrade is that of a client; use `after_handshake`",
            ));
        }
        push_new_connection(self, NewConnection::AcceptUpgraded(stream, upgrade))
    }

    /// Continues a connection whose opening handshake was performed elsewhere, in either role.
    ///
    /// The first call of the new handler is `on_open`, with this request and this response. The handshake is not checked
    /// again. Extensions are those in the `Sec-WebSocket-Extensions` header of the response; compression needs
    /// [`Settings::deflate`](crate::Settings::deflate). `read_ahead` contains the bytes that were read after the handshake.
    /// The stream is not encrypted. A loop without room for the connection closes it, with 1013 as a server and with 1001 as
    /// a client.
    ///
    /// Use [`accept_upgraded`](Self::accept_upgraded) if another HTTP server has received the request.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the extensions in the response are malformed.
    /// - `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// use sockeye::protocol::Role;
    /// use sockeye::{CloseCode, Handshake, Message, Request, Response, Sender, WebSocket};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let ours = TcpStream::connect(listener.local_addr()?)?;
    /// let (theirs, _) = listener.accept()?;
    ///
    /// // Both ends have agreed on WebSocket in some other way.
    /// let shake = || -> sockeye::Result<Handshake> {
    ///     let request = Request::from_url(&"ws://localhost/chat".parse().expect("the URL is valid"))?;
    ///     let response = Response::from_request(&request)?;
    ///     Ok(Handshake::new(request, response))
    /// };
    ///
    /// let socket = WebSocket::new(|out: Sender| {
    ///     move |msg: Message| {
    ///         assert_eq!(msg, "salmon".into());
    ///         out.close(CloseCode::Normal)
    ///     }
    /// })?;
    /// let all = socket.broadcaster();
    /// all.after_handshake(ours, Role::Client, shake()?, [])?;
    /// all.after_handshake(theirs, Role::Server, shake()?, [])?;
    /// all.send("salmon")?;
    /// socket.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after_handshake(
        &self,
        stream: TcpStream,
        role: Role,
        shake: Handshake,
        read_ahead: impl Into<Vec<u8>>,
    ) -> Result<()> {
        Extension::parse_all(shake.response.fields())?;
        let established = Established { role, shake, read_ahead: read_ahead.into() };
        push_new_connection(self, NewConnection::AfterHandshake(stream, established))
    }

    /// Ends the event loop in order: it accepts nothing new, and closes its connections one after the other.
    ///
    /// Other than after [`shutdown`](Self::shutdown), clients are not disconnected all at once, and so they do not all connect to other
    /// servers at once. When the loop executes the command:
    ///
    /// - `on_shutdown` of every handler and of the factory is called. Handlers can send a last message.
    /// - Open connections are closed one after the other, in equal intervals over the time [`Drain::over`]. Until then, they work as
    ///   before. What is queued for a connection before its turn is sent first, as with [`close`](Self::close).
    /// - New clients that request a WebSocket receive 503 with `Retry-After`: the seconds until the deadline, between 1 and 3,600.
    ///   Clients that are connecting are dropped. [`connect`](Self::connect) returns an error, and a connection that
    ///   was opened elsewhere is closed.
    /// - The loop continues to listen, so that [`Handler::on_request`](crate::Handler::on_request) answers requests that are no upgrades,
    ///   such as those of a health check, which reports [`is_draining`](Self::is_draining).
    /// - When the last connection has closed, `run` returns, as after `shutdown`. After [`Drain::deadline`], connections that are
    ///   left are dropped without further waiting.
    ///
    /// During a drain, a second call has no effect, and `shutdown` closes all connections at once. `on_shutdown` is not called again.
    /// Once [`Drain::deadline`] has come, the loop ends in any case.
    ///
    /// # Errors
    ///
    /// - `Protocol` for a code or a reason that must not be sent.
    /// - `Queue`, as described [above](Self#what-the-methods-return). It is never `Full`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Drain, Handler, Message, Request, Response, Result, Sender, WebSocket};
    ///
    /// struct Echo(Sender);
    ///
    /// impl Handler for Echo {
    ///     fn on_request(&mut self, req: &Request) -> Result<Response> {
    ///         match req.resource() {
    ///             // A load balancer stops sending clients.
    ///             "/health" if self.0.is_draining() => Ok(Response::new(503, "Service Unavailable", b"draining".to_vec())),
    ///             "/health" => Ok(Response::new(200, "OK", b"ready".to_vec())),
    ///             _ => Response::from_request(req),
    ///         }
    ///     }
    ///
    ///     fn on_message(&mut self, msg: Message) -> Result<()> {
    ///         self.0.send(msg)
    ///     }
    /// }
    ///
    /// let server = WebSocket::new(Echo)?.bind("127.0.0.1:0")?;
    /// let all = server.broadcaster();
    /// // Another thread, such as one that waits for signals.
    /// std::thread::spawn(move || all.drain(Drain::new()));
    /// server.run()?;
    /// # sockeye::Result::Ok(())
    /// ```
    ///
    /// [`Drain::over`]: crate::Drain::over
    /// [`Drain::deadline`]: crate::Drain::deadline
    pub fn drain(&self, drain: Drain) -> Result<()> {
        drain.check()?;
        push(self, Command::Drain(Box::new(drain)))
    }

    /// Returns whether the loop accepts no new connections, because it drains, shuts down, or has ended.
    ///
    /// A loop that has not begun to run accepts connections. The method can be called from any thread.
    ///
    /// See the example of [`drain`](Self::drain).
    pub fn is_draining(&self) -> bool {
        self.health().status >= LoopStatus::Draining || self.queue.remote.is_closed()
    }

    /// Shuts the event loop down.
    ///
    /// The loop stops listening and calls `on_shutdown` of every handler. It then sends all queued messages and closes every
    /// connection with 1001. `run` returns when all connections have closed, and after
    /// [`Settings::close_timeout`](crate::Settings::close_timeout) at the latest.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let server = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind("127.0.0.1:0")?;
    /// let all = server.broadcaster();
    /// // Another thread, such as one that waits for Ctrl-C, ends the server.
    /// std::thread::spawn(move || all.shutdown());
    /// server.run()?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn shutdown(&self) -> Result<()> {
        push(self, Command::Shutdown)
    }

    /// Sets a timeout: [`Handler::on_timeout`](crate::Handler::on_timeout) is called with `token` after `ms` milliseconds,
    /// and never earlier.
    ///
    /// The time begins with this call, on any thread, and is rounded up to the next millisecond. A timeout that is beyond the
    /// range of the system's clock never fires.
    ///
    /// Before the timeout fires, [`Handler::on_new_timeout`](crate::Handler::on_new_timeout) receives the [`Timeout`] that
    /// [`cancel`](Self::cancel) and [`postpone`](Self::postpone) need. A timeout fires once. It is cancelled when the connection closes.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return). It is `Disconnected` if the connection is
    /// closed, because its handler receives no further calls.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::util::Token;
    /// use sockeye::{CloseCode, Handler, Handshake, Result, Sender};
    ///
    /// const EXPIRE: Token = Token(1);
    ///
    /// struct Guest(Sender);
    ///
    /// impl Handler for Guest {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.0.timeout(60_000, EXPIRE)
    ///     }
    ///
    ///     fn on_timeout(&mut self, event: Token) -> Result<()> {
    ///         assert_eq!(event, EXPIRE);
    ///         self.0.close_with_reason(CloseCode::Policy, "guests are limited to a minute")
    ///     }
    /// }
    /// ```
    pub fn timeout(&self, ms: u64, token: Token) -> Result<()> {
        if slot_of(self).is_some_and(|slot| self.queue.has_ended(slot, self.id)) {
            return Err(disconnected());
        }
        let at = self.queue.now().checked_add(Duration::from_millis(ms));
        Ok(self.queue.set_timeout(target(self), at, token)?)
    }

    /// Cancels a timeout. The call has no effect if the timeout has fired or was cancelled.
    ///
    /// To set it again later, [`postpone`](Self::postpone) costs less.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::util::{Timeout, Token};
    /// use sockeye::{CloseCode, Handler, Handshake, Message, Result, Sender};
    ///
    /// const LOGIN: Token = Token(1);
    ///
    /// /// Disconnects clients that send nothing within ten seconds.
    /// struct Guest {
    ///     out: Sender,
    ///     deadline: Option<Timeout>,
    /// }
    ///
    /// impl Handler for Guest {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.out.timeout(10_000, LOGIN)
    ///     }
    ///
    ///     fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
    ///         self.deadline = Some(timeout);
    ///         Ok(())
    ///     }
    ///
    ///     fn on_message(&mut self, _: Message) -> Result<()> {
    ///         self.deadline.take().map_or(Ok(()), |deadline| self.out.cancel(deadline))
    ///     }
    ///
    ///     fn on_timeout(&mut self, _: Token) -> Result<()> {
    ///         self.out.close(CloseCode::Policy)
    ///     }
    /// }
    /// ```
    pub fn cancel(&self, timeout: Timeout) -> Result<()> {
        Ok(self.queue.change_timeout(target(self), &timeout, TimeoutChange::Cancel)?)
    }

    /// Postpones a timeout: it fires after `ms` milliseconds instead, and never earlier.
    ///
    /// This replaces [`cancel`](Self::cancel) and [`timeout`](Self::timeout) for a timeout that moves with each message, such as one
    /// that limits the silence of the peer. It keeps its token and its [`Timeout`], so
    /// [`Handler::on_new_timeout`](crate::Handler::on_new_timeout) is not called again, and it costs a fraction of the two.
    ///
    /// The time begins with this call, on any thread, and is rounded up to the next millisecond. It can also be shorter than what is
    /// left. Beyond the range of the system's clock, the timeout does not fire any more. The call has no effect if the timeout has fired
    /// or was cancelled: in its own `on_timeout`, use [`timeout`](Self::timeout). Of timeouts that are due in the same millisecond, one
    /// that was postponed has no particular order.
    ///
    /// The sender must be one of the loop that has set the timeout, and in a [pool](crate::Pool) that of a connection.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::util::{Timeout, Token};
    /// use sockeye::{CloseCode, Handler, Handshake, Message, Result, Sender};
    ///
    /// const EXPIRE: Token = Token(1);
    ///
    /// /// Disconnects clients that send no message for a minute, whatever else they send.
    /// struct Player {
    ///     out: Sender,
    ///     expire: Option<Timeout>,
    /// }
    ///
    /// impl Handler for Player {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.out.timeout(60_000, EXPIRE)
    ///     }
    ///
    ///     fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
    ///         self.expire = Some(timeout);
    ///         Ok(())
    ///     }
    ///
    ///     fn on_message(&mut self, _: Message) -> Result<()> {
    ///         self.expire.as_ref().map_or(Ok(()), |expire| self.out.postpone(expire, 60_000))
    ///     }
    ///
    ///     fn on_timeout(&mut self, _: Token) -> Result<()> {
    ///         self.out.close_with_reason(CloseCode::Policy, "you have left the game")
    ///     }
    /// }
    /// ```
    pub fn postpone(&self, timeout: &Timeout, ms: u64) -> Result<()> {
        let at = self.queue.now().checked_add(Duration::from_millis(ms));
        Ok(self.queue.change_timeout(target(self), timeout, TimeoutChange::Postpone(at))?)
    }

    /// Calls a function on the thread of the loop after a time. It receives a clone of this sender.
    ///
    /// The timer belongs to the loop, and not to a connection: the function is also called after the connection of this sender has ended.
    /// In a pool, the sender for all connections chooses the worker with the fewest connections. The loop does not wait for the
    /// function before it ends: it drops the function then. An error that the function returns is logged. The time is at least `delay`, with a
    /// resolution of 1 ms.
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// A price for each subscriber, ten times per second:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::{Message, Result, Sender, WebSocket};
    ///
    /// fn tick(all: &Sender) -> Result<()> {
    ///     all.publish("price", "23.20")?;
    ///     all.run_after(Duration::from_millis(100), tick)
    /// }
    ///
    /// # fn doc() -> Result<()> {
    /// let socket = WebSocket::new(|out: Sender| move |topic: Message| out.subscribe(topic.as_text()?))?;
    /// socket.broadcaster().run_after(Duration::ZERO, tick)?;
    /// socket.listen("127.0.0.1:3012")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_after<F>(&self, delay: Duration, function: F) -> Result<()>
    where
        F: FnOnce(&Self) -> Result<()> + Send + 'static,
    {
        let at = self.queue.now().checked_add(delay);
        push(self, SharedCommand::Schedule(Schedule::new(at, Box::new(function))).into())
    }

    /// Stops reading from the connection, so that TCP slows the peer down.
    ///
    /// Messages that the loop has already read in the same turn are still delivered: up to 256 KiB, or 1 MiB of large
    /// messages. The pause does not count as silence of the peer ([`Settings::idle_timeout`](crate::Settings::idle_timeout)).
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::util::Token;
    /// use sockeye::{Handler, Message, Result, Sender};
    ///
    /// /// Reads ten messages per second.
    /// struct Throttled {
    ///     out: Sender,
    ///     count: usize,
    /// }
    ///
    /// impl Handler for Throttled {
    ///     fn on_message(&mut self, _: Message) -> Result<()> {
    ///         self.count += 1;
    ///         if self.count % 10 > 0 {
    ///             return Ok(());
    ///         }
    ///         self.out.pause()?;
    ///         self.out.timeout(1000, Token(1))
    ///     }
    ///
    ///     fn on_timeout(&mut self, _: Token) -> Result<()> {
    ///         self.out.resume()
    ///     }
    /// }
    /// ```
    pub fn pause(&self) -> Result<()> {
        push(self, Command::Pause)
    }

    /// Continues reading after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// `Queue`, as described [above](Self#what-the-methods-return).
    ///
    /// See the example of [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        push(self, Command::Resume)
    }

    /// Returns the number of bytes that are queued for the connection and have not been passed to the operating system.
    ///
    /// Frame headers are included once they have been written. Returns 0 for a closed connection, and for a sender for all
    /// connections.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Result, Sender};
    ///
    /// /// Sends a frame of a video, unless the client is a megabyte behind.
    /// fn send_picture(out: &Sender, picture: Vec<u8>) -> Result<()> {
    ///     if out.buffered_amount() > 1024 * 1024 {
    ///         return Ok(());
    ///     }
    ///     out.send(picture)
    /// }
    /// ```
    pub fn buffered_amount(&self) -> usize {
        slot_of(self).map_or(0, |slot| self.queue.buffered_amount(slot, self.id))
    }

    /// Returns whether the connection is open: the opening handshake is complete, and no closing has begun.
    ///
    /// For a sender for all connections, returns whether the loop accepts commands.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Sender;
    ///
    /// /// Removes the members that have left.
    /// fn clean_up(members: &mut Vec<Sender>) {
    ///     members.retain(Sender::is_open);
    /// }
    /// ```
    pub fn is_open(&self) -> bool {
        match slot_of(self) {
            Some(slot) => self.queue.is_open(slot, self.id),
            None => !self.queue.remote.is_closed(),
        }
    }

    /// Returns what the loop has counted: connections, messages, bytes, and how long its turns take.
    ///
    /// The values are those of the whole loop, whatever the connection of the sender. Any thread can call this method, and so can a
    /// handler. It takes less than a microsecond, and does not wait for the loop.
    ///
    /// # Examples
    ///
    /// A server that shows its statistics at `/metrics`, in the text format of Prometheus.
    ///
    /// ```
    /// use sockeye::{Handler, Request, Response, Result, Sender};
    ///
    /// struct Server(Sender);
    ///
    /// impl Handler for Server {
    ///     fn on_request(&mut self, req: &Request) -> Result<Response> {
    ///         match req.resource() {
    ///             "/metrics" => Ok(self.0.stats().to_response()),
    ///             _ => Response::from_request(req),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn stats(&self) -> Stats {
        Stats::of(&self.queue)
    }

    /// Returns what each worker of the pool has counted, in the order of their numbers. For a loop that runs alone, the only element is that
    /// of [`stats`](Self::stats).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Sender;
    ///
    /// /// The largest difference between the numbers of connections of two workers.
    /// fn imbalance(all: &Sender) -> u64 {
    ///     let workers = all.worker_stats();
    ///     let counts = workers.iter().map(|worker| worker.connections_open);
    ///     counts.clone().max().unwrap_or(0) - counts.min().unwrap_or(0)
    /// }
    /// ```
    pub fn worker_stats(&self) -> Vec<Stats> {
        Stats::of_workers(&self.queue)
    }

    /// Returns whether the loop, or all loops of the pool, run and are responsive.
    ///
    /// The values are those of the whole loop, whatever the connection of the sender. Any thread can call this method. In a handler,
    /// the lag is at least the time since the current turn began.
    ///
    /// See the example of [`Health`].
    pub fn health(&self) -> Health {
        Health::of(&self.queue)
    }

    /// Returns the health of each worker of the pool, in the order of their numbers. For a loop that runs alone, the only element is that of
    /// [`health`](Self::health).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::Sender;
    ///
    /// /// The numbers of the workers whose handlers block.
    /// fn blocked(all: &Sender) -> Vec<usize> {
    ///     let workers = all.worker_health().into_iter().enumerate();
    ///     workers.filter(|(_, health)| health.lag > Duration::from_secs(1)).map(|(number, _)| number).collect()
    /// }
    /// ```
    pub fn worker_health(&self) -> Vec<Health> {
        Health::of_workers(&self.queue)
    }
}

/// The slot of the connection. `None` for all connections.
#[inline]
fn slot_of(sender: &Sender) -> Option<u32> {
    (sender.slot != ALL_SLOTS).then_some(sender.slot)
}

/// The slot and the id of the connection. `None` for all connections.
pub(super) fn connection_of(sender: &Sender) -> Option<(u32, u32)> {
    slot_of(sender).map(|slot| (slot, sender.id))
}

#[inline]
fn push(sender: &Sender, command: Command) -> Result<()> {
    Ok(sender.queue.push(QueuedCommand { target: target(sender), command })?)
}

#[inline]
fn target(sender: &Sender) -> Target {
    slot_of(sender).map_or(Target::All, |slot| Target::One { slot, id: sender.id })
}

fn push_control(sender: &Sender, frame: Frame) -> Result<()> {
    if !frame.is_sendable() {
        return Err(ProtocolError::UnsendableFrame.into());
    }
    sender.queue.send(target(sender), Command::Frame(Box::new(frame)))
}

/// Passes a publication to the loops of this process.
#[inline]
fn publish_here(queue: &CommandQueue, publication: QueuedPublication) -> Result<()> {
    let command = SharedCommand::Publish(publication).into();
    Ok(queue.push(QueuedCommand { target: Target::All, command })?)
}

fn push_connect(sender: &Sender, url: Url, mode: ConnectMode) -> Result<()> {
    if sender.health().status == LoopStatus::Draining {
        return Err(connect_while_draining(&url));
    }
    push_new_connection(sender, NewConnection::Connect(url, mode))
}

/// Queues a command that creates a connection. A loop that is shutting down would ignore it.
fn push_new_connection(sender: &Sender, new: NewConnection) -> Result<()> {
    if sender.queue.remote.is_closed() {
        return Err(disconnected());
    }
    push(sender, Command::NewConnection(Box::new(new.into())))
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
