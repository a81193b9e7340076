//! `Handler`: what a program does with a connection.

use log::{debug, error};
#[cfg(feature = "ssl")]
use openssl::ssl::SslStream;
use url::Url;

use super::handshake::Handshake;
use super::reply::{self, Reply};
#[cfg(feature = "ssl")]
use super::util::TcpStream;
use super::util::{Timeout, Token};
use crate::close::CloseCode;
use crate::cluster::Missed;
use crate::connecting::reconnect::Lost;
#[cfg(feature = "ssl")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Frame, MessageRef, ProtocolError};
use crate::reactor::frame_hooks;

/// Handles the events of one connection.
///
/// The event loop calls the methods one at a time, on the thread that runs the loop. Every method has a default, so a
/// program implements only those that it needs. A handler does not have to be `Send` or `'static`.
///
/// A method must not block, because all other connections of the loop wait for it to return. Commands that a method queues
/// with a [`Sender`](crate::Sender) are executed after it has returned.
///
/// A closure `FnMut(Message) -> Result<()>` is a handler that implements only [`on_message`](Self::on_message).
///
/// # Order of the calls
///
/// | server | client |
/// |---|---|
/// | [`on_request`](Self::on_request) | [`build_request`](Self::build_request) |
/// | | [`on_response`](Self::on_response) |
/// | [`on_open`](Self::on_open) | `on_open` |
/// | [`on_frame`](Self::on_frame) for each frame, [`on_message`](Self::on_message) for each message | the same |
/// | [`on_close`](Self::on_close) | `on_close` |
///
/// `on_close` is called exactly once for every connection whose `on_open` was called, and for no other. A client that connects again
/// receives `on_lost` instead until it stops. After `on_close`, the
/// handler receives no further calls and is returned to [`Factory::connection_lost`](crate::Factory::connection_lost).
///
/// # Errors
///
/// Most methods can return an error. The event loop first passes it to [`on_error`](Self::on_error). The kind of the error
/// then decides what happens to an open connection:
///
/// | kind of the error | effect |
/// |---|---|
/// | `Internal` | the connection is closed with 1011 |
/// | `Capacity` | the connection is closed with 1009 |
/// | `Protocol` | the connection is closed with 1002 |
/// | `Encoding` | the connection is closed with 1007 |
/// | `Io`, `Http`, and with the feature `ssl` `Ssl` and `SslHandshake` | the connection is dropped |
/// | `Queue`, `Custom` | none: the connection stays open |
///
/// The peer receives the close code, but never the details of the error.
///
/// # Examples
///
/// ```
/// use sockeye::{CloseCode, Handler, Message, Result, Sender};
///
/// struct Echo {
///     out: Sender,
///     count: usize,
/// }
///
/// impl Handler for Echo {
///     fn on_message(&mut self, msg: Message) -> Result<()> {
///         self.count += 1;
///         self.out.send(msg)
///     }
///
///     fn on_close(&mut self, code: CloseCode, _reason: &str) {
///         println!("{} messages, then {code:?}", self.count);
///     }
/// }
/// ```
pub trait Handler {
    /// Called when the event loop begins to shut down.
    ///
    /// Messages that are sent in this method are delivered before the Close frame with 1001.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Sender};
    ///
    /// struct Player(Sender);
    ///
    /// impl Handler for Player {
    ///     fn on_shutdown(&mut self) {
    ///         // An error means that the client has gone already.
    ///         let _ = self.0.send("the server restarts");
    ///     }
    /// }
    /// ```
    fn on_shutdown(&mut self) {
        debug!("the handler has received the request to shut down");
    }

    /// Called when the connection is open: the opening handshake is complete.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// See the example of [`Handshake::new`].
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        debug!("connection opened with {:?}", shake.peer_addr);
        Ok(())
    }

    /// Called for every message, after its fragments have been joined and decompressed. Text is valid UTF-8.
    ///
    /// Implement either this method or [`on_message_ref`](Self::on_message_ref). The event loop calls `on_message_ref`, whose
    /// default calls this method. The default of this method passes a message that another handler forwards on to
    /// `on_message_ref`. If neither is implemented, messages are ignored.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// See the [example](Self#examples) of this trait.
    fn on_message(&mut self, mut msg: Message) -> Result<()> {
        reply::with_receiver(|reply| self.on_message_ref(MessageRef::forwarded(&mut msg), reply))
    }

    /// Called for every message, as [`on_message`](Self::on_message), but with a message that is borrowed.
    ///
    /// A small message is then neither copied nor stored in memory of its own: an echo of 20 bytes needs about half the
    /// instructions. [`Reply`] answers the message. Calls of a [`Sender`](crate::Sender) are executed after this method has
    /// returned, and thus after the replies.
    ///
    /// The default calls `on_message`, with a copy of a message that does not have memory of its own.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, MessageRef, Reply, Result};
    ///
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     fn on_message_ref(&mut self, msg: MessageRef<'_>, reply: &mut Reply<'_>) -> Result<()> {
    ///         reply.send_ref(msg)
    ///     }
    /// }
    /// ```
    #[inline]
    fn on_message_ref(&mut self, msg: MessageRef<'_>, _reply: &mut Reply<'_>) -> Result<()> {
        if msg.is_forwarded() {
            debug!("received {} bytes", msg.len());
            return Ok(());
        }
        self.on_message(msg.into_owned())
    }

    /// Called once when an open connection has ended.
    ///
    /// `code` and `reason` are those of the peer's Close frame. The code is [`CloseCode::Status`] if that frame has no code,
    /// and [`CloseCode::Abnormal`] if there is no such frame (§7.1.5): the connection was lost, the peer violated the
    /// protocol, or it did not respond in time.
    ///
    /// See the [example](Self#examples) of this trait.
    fn on_close(&mut self, code: CloseCode, reason: &str) {
        debug!("connection closed with {code:?}: {reason:?}");
    }

    /// Called for every error: one that a method of this handler has returned, one that the peer has caused, and one that
    /// prevented the connection from being established.
    ///
    /// The default logs the error. What a peer can cause, such as a violation of the protocol or a reset of the connection,
    /// is logged at the level `debug`, and everything else at the level `error`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Error, ErrorKind, Handler};
    ///
    /// struct Client {
    ///     connects_again: bool,
    /// }
    ///
    /// impl Handler for Client {
    ///     fn on_error(&mut self, err: Error) {
    ///         eprintln!("{err}");
    ///         self.connects_again = matches!(err.kind, ErrorKind::Io(_));
    ///     }
    /// }
    /// ```
    fn on_error(&mut self, err: Error) {
        if err.is_peer_behavior() { debug!("{err}") } else { error!("{err}") }
    }

    /// Called on a server with the request of the opening handshake. Returns the response.
    ///
    /// The default accepts every request for a WebSocket. A response with a status other than 101 is sent with its body, and
    /// the connection then ends without a further call; a program can serve its web page this way. The headers
    /// `Content-Length` and `Connection` are added if they are missing.
    ///
    /// # Errors
    ///
    /// - `Protocol` is answered with the status for the violation in the request, or with 400.
    /// - `Io` drops the connection.
    /// - Any other error is answered with 500.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Request, Response, Result};
    ///
    /// /// A chat, and its page on the same port.
    /// struct Site;
    ///
    /// impl Handler for Site {
    ///     fn on_request(&mut self, req: &Request) -> Result<Response> {
    ///         match req.resource() {
    ///             "/chat" => Response::from_request(req),
    ///             "/" => Ok(Response::new(200, "OK", b"<script src=chat.js></script>".to_vec())),
    ///             _ => Ok(Response::new(404, "Not Found", b"there is only /chat".to_vec())),
    ///         }
    ///     }
    /// }
    ///
    /// let page = Site.on_request(&Request::from_url(&"ws://localhost/".parse()?)?)?;
    /// assert_eq!(page.status(), 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        debug!("received a request:\n{req}");
        Response::from_request(req)
    }

    /// Called on a client with a response that opens the connection, before [`on_open`](Self::on_open).
    ///
    /// # Errors
    ///
    /// An error of any kind ends the connection. `on_open` and `on_close` are not called.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Error, ErrorKind, Handler, Response, Result};
    ///
    /// /// A client that does not talk to servers without the subprotocol.
    /// struct Client;
    ///
    /// impl Handler for Client {
    ///     fn on_response(&mut self, res: &Response) -> Result<()> {
    ///         match res.protocol()? {
    ///             Some("chat.v2") => Ok(()),
    ///             _ => Err(Error::new(ErrorKind::Protocol, "the server does not support chat.v2")),
    ///         }
    ///     }
    /// }
    /// ```
    fn on_response(&mut self, res: &Response) -> Result<()> {
        debug!("received a response:\n{res}");
        Ok(())
    }

    /// Called on a client with a response that does not open the connection, such as a redirect or a status 401.
    ///
    /// [`on_error`](Self::on_error) is called next. Neither is called for redirects that the client follows
    /// ([`Settings::max_redirects`](crate::Settings::max_redirects)).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Response};
    ///
    /// struct Client {
    ///     needs_login: bool,
    /// }
    ///
    /// impl Handler for Client {
    ///     fn on_rejected(&mut self, res: &Response) {
    ///         self.needs_login = res.status() == 401;
    ///     }
    /// }
    /// ```
    fn on_rejected(&mut self, res: &Response) {
        debug!("the opening handshake was answered with status {}", res.status());
    }

    /// Called when a timeout has fired that was set with [`Sender::timeout`](crate::Sender::timeout).
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// See the example of [`Sender::timeout`](crate::Sender::timeout).
    fn on_timeout(&mut self, event: Token) -> Result<()> {
        debug!("timeout {event:?} has fired");
        Ok(())
    }

    /// Called when a timeout has been set. The [`Timeout`] is the argument of [`Sender::cancel`](crate::Sender::cancel) and
    /// [`Sender::postpone`](crate::Sender::postpone).
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// See the example of [`Sender::cancel`](crate::Sender::cancel).
    fn on_new_timeout(&mut self, _event: Token, _timeout: Timeout) -> Result<()> {
        Ok(())
    }

    /// Called for every frame that is received, including control frames, after unmasking.
    ///
    /// The protocol processes the returned frame. If the method returns `None`, the frame is ignored: a Ping is then not
    /// answered, and neither is a Close.
    ///
    /// The frame is the one on the wire. On a connection with compression, the first frame of a compressed message has RSV1
    /// set, and the payloads of the message are compressed until this method has returned. A handler that removes or changes
    /// such a frame must ensure that the following ones can still be decompressed. Other reserved bits are set only if the
    /// handler has negotiated an extension.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors). The default returns `Protocol` if a reserved bit is set, except RSV1 of a compressed
    /// message.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use sockeye::{Frame, Handler, OpCode, Result};
    ///
    /// /// Measures how long the peer takes to answer a Ping.
    /// struct Pinger {
    ///     sent: Instant,
    ///     round_trip: Option<Duration>,
    /// }
    ///
    /// impl Handler for Pinger {
    ///     fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
    ///         if frame.opcode() == OpCode::Pong {
    ///             self.round_trip = Some(self.sent.elapsed());
    ///         }
    ///         Ok(Some(frame))
    ///     }
    /// }
    /// ```
    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        frame_hooks::is_default::<Self>();
        without_reserved_bits(frame)
    }

    /// Called for every frame that is sent, including control frames, before compression, fragmentation and masking.
    ///
    /// The returned frame is sent. If the method returns `None`, the frame is dropped.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors). The default returns `Protocol` if a reserved bit is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, Handler, OpCode, Result};
    ///
    /// /// Compresses text only, because the bytes are images.
    /// struct Gallery;
    ///
    /// impl Handler for Gallery {
    ///     fn on_send_frame(&mut self, mut frame: Frame) -> Result<Option<Frame>> {
    ///         if frame.opcode() == OpCode::Binary {
    ///             frame.set_compressible(false);
    ///         }
    ///         Ok(Some(frame))
    ///     }
    /// }
    /// ```
    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        frame_hooks::is_default::<Self>();
        without_reserved_bits(frame)
    }

    /// Returns whether [`on_frame`](Self::on_frame) and [`on_send_frame`](Self::on_send_frame) are called for the frames of
    /// messages. Default: `true`.
    ///
    /// If this is `true`, the event loop finds out by itself whether the type implements the two methods, and does not call their
    /// defaults for the frames of messages. A handler whose type is hidden, such as a `Box<dyn Handler>`, is always called, unless this
    /// method returns `false`; small messages then need about a third fewer instructions. The two methods are still called for
    /// control frames and for frames with reserved bits. The method must always return the same value.
    ///
    /// The default implementation calls [`sees_frames`](Self::sees_frames). Implement only one of the two methods.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Message, Result, Sender};
    ///
    /// struct Echo(Sender);
    ///
    /// impl Handler for Echo {
    ///     fn on_message(&mut self, msg: Message) -> Result<()> {
    ///         self.0.send(msg)
    ///     }
    ///
    ///     fn wants_frames(&self) -> bool {
    ///         false
    ///     }
    /// }
    /// ```
    fn wants_frames(&self) -> bool {
        self.sees_frames()
    }

    /// Returns the same as [`wants_frames`](Self::wants_frames), under its earlier name.
    ///
    /// The event loop only calls `wants_frames`, whose default calls this method. Handlers that implement this method keep
    /// working.
    ///
    /// See the example of [`wants_frames`](Self::wants_frames).
    fn sees_frames(&self) -> bool {
        true
    }

    /// Called when all output has been sent after the operating system had refused to accept more. The peer reads again.
    ///
    /// [`Sender::buffered_amount`](crate::Sender::buffered_amount) returns the amount of unsent output.
    ///
    /// # Errors
    ///
    /// See [Errors](Self#errors).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Handshake, Result, Sender};
    ///
    /// /// Sends a large file in parts, each one when the previous one has been sent.
    /// struct Download {
    ///     out: Sender,
    ///     parts: std::vec::IntoIter<Vec<u8>>,
    /// }
    ///
    /// impl Download {
    ///     /// Sends parts until the peer does not keep up.
    ///     fn send_parts(&mut self) -> Result<()> {
    ///         while self.out.buffered_amount() < 1024 * 1024 {
    ///             let Some(part) = self.parts.next() else { return Ok(()) };
    ///             self.out.send(part)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl Handler for Download {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.send_parts()
    ///     }
    ///
    ///     fn on_drain(&mut self) -> Result<()> {
    ///         self.send_parts()
    ///     }
    /// }
    /// ```
    fn on_drain(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called if messages that other nodes have published to a topic may be missing, in a cluster (see
    /// [`WebSocket::with_broker`](crate::WebSocket::with_broker)).
    ///
    /// Publications that follow the gap can reach the client before what this method sends, if the loop is busy.
    ///
    /// Messages that are not lost arrive exactly once and in the order of their publishers. A program that cannot do without the others reads
    /// the current state or the history from where it is stored. The topic is empty if broadcasts may be missing.
    ///
    /// This default implementation does nothing.
    ///
    /// # Errors
    ///
    /// An error has the same effect as one of [`on_message`](Self::on_message).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::cluster::Missed;
    /// use sockeye::{Handler, Result, Sender};
    ///
    /// /// A page that shows the messages of a room, and loads those that it has missed.
    /// struct Page {
    ///     out: Sender,
    /// }
    ///
    /// impl Handler for Page {
    ///     fn on_gap(&mut self, topic: &str, _: Missed) -> Result<()> {
    ///         self.out.send(format!(r#"{{"reload":"{topic}"}}"#))
    ///     }
    /// }
    /// ```
    fn on_gap(&mut self, _topic: &str, _missed: Missed) -> Result<()> {
        Ok(())
    }

    /// Called on a client that connects again ([`WebSocket::connect_with`](crate::WebSocket::connect_with)) when its connection is
    /// lost, and when an attempt to connect has failed. `lost` contains the reason, and how long the loop will wait. The handler can change
    /// this.
    ///
    /// The loop then waits, calls [`build_request`](Self::build_request) and connects. After that, [`on_open`](Self::on_open) is
    /// called again. Timeouts continue. Subscriptions to topics continue, and what is sent or published to the connection meanwhile waits for
    /// the next one, up to the limit of queued output ([`Settings::max_buffered`](crate::Settings::max_buffered)); beyond it,
    /// everything that waits is discarded, and [`on_error`](Self::on_error) reports how much. What `on_open` sends precedes it.
    ///
    /// [`Sender::close`](crate::Sender::close) makes the client stop, also while it waits. When the client stops,
    /// [`on_close`](Self::on_close) is called, once, if `on_open` was ever called; between connections it is not called.
    ///
    /// This default implementation does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Handshake, Lost, Result, Sender};
    ///
    /// /// Subscribes again after each connection, and shows whether there is one.
    /// struct Ticker {
    ///     out: Sender,
    /// }
    ///
    /// impl Handler for Ticker {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         println!("connected");
    ///         self.out.send("subscribe salmon")
    ///     }
    ///
    ///     fn on_lost(&mut self, lost: &mut Lost) {
    ///         match lost.wait() {
    ///             Some(wait) => println!("connecting again in {wait:?}"),
    ///             None => println!("the server does not want this client: {:?}", lost.status()),
    ///         }
    ///     }
    /// }
    /// ```
    fn on_lost(&mut self, _lost: &mut Lost) {}

    /// Called on a client before it connects. Returns the request of the opening handshake.
    ///
    /// The method is called again for each redirect that the client follows, with the new URL. With
    /// [`Settings::cross_origin_redirects`](crate::Settings::cross_origin_redirects) that can be any host, which must not receive
    /// the secrets of the first one.
    ///
    /// # Errors
    ///
    /// An error of any kind ends the attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::url::Url;
    /// use sockeye::{Handler, Request, Result};
    ///
    /// struct Client {
    ///     token: String,
    /// }
    ///
    /// impl Handler for Client {
    ///     fn build_request(&mut self, url: &Url) -> Result<Request> {
    ///         let mut request = Request::from_url(url)?;
    ///         request.add_protocol("chat");
    ///         request.headers_mut().push(("Authorization".into(), format!("Bearer {}", self.token).into()));
    ///         Ok(request)
    ///     }
    /// }
    ///
    /// let request = Client { token: "abc".into() }.build_request(&"ws://localhost/".parse()?)?;
    /// assert_eq!(request.header("Authorization").map(Vec::as_slice), Some(&b"Bearer abc"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        Request::from_url(url)
    }

    /// Called on a client that has connected to a `wss://` URL. Performs the TLS handshake.
    ///
    /// The method is not called if the loop has a connector
    /// ([`WebSocket::with_client_tls`](crate::WebSocket::with_client_tls)). The default trusts the root certificates of the
    /// operating system and verifies that the certificate is valid for the host in the URL.
    ///
    /// The stream is non-blocking. If the handshake returns [`HandshakeError::WouldBlock`], return that error: the loop
    /// continues the handshake.
    ///
    /// [`HandshakeError::WouldBlock`]: openssl::ssl::HandshakeError::WouldBlock
    ///
    /// # Errors
    ///
    /// Any other error ends the attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// use openssl::ssl::{SslConnector, SslMethod, SslStream};
    /// use sockeye::url::Url;
    /// use sockeye::util::TcpStream;
    /// use sockeye::{Handler, Result};
    ///
    /// /// A client that trusts one certificate.
    /// struct Client;
    ///
    /// impl Handler for Client {
    ///     fn upgrade_ssl_client(&mut self, stream: TcpStream, url: &Url) -> Result<SslStream<TcpStream>> {
    ///         let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    ///         connector.set_ca_file("roots.pem")?;
    ///         connector.build().connect(url.host_str().unwrap_or_default(), stream).map_err(From::from)
    ///     }
    /// }
    /// ```
    #[cfg(feature = "ssl")]
    fn upgrade_ssl_client(&mut self, stream: TcpStream, url: &Url) -> Result<SslStream<TcpStream>> {
        crate::tls::openssl::connect_by_default(stream, url)
    }

    /// Called on a server with [`Settings::encrypt_server`](crate::Settings::encrypt_server) for every accepted TCP
    /// connection. Performs the TLS handshake.
    ///
    /// The method is not called if the loop has a certificate
    /// ([`WebSocket::with_server_tls`](crate::WebSocket::with_server_tls)).
    ///
    /// The stream is non-blocking. If the handshake returns [`HandshakeError::WouldBlock`], return that error: the loop
    /// continues the handshake.
    ///
    /// [`HandshakeError::WouldBlock`]: openssl::ssl::HandshakeError::WouldBlock
    ///
    /// # Errors
    ///
    /// Any other error ends the connection. The default returns `Internal`, because it has no certificate.
    ///
    /// # Examples
    ///
    /// ```
    /// use openssl::ssl::{SslAcceptor, SslStream};
    /// use sockeye::util::TcpStream;
    /// use sockeye::{Handler, Result};
    ///
    /// struct Server {
    ///     acceptor: SslAcceptor,
    /// }
    ///
    /// impl Handler for Server {
    ///     fn upgrade_ssl_server(&mut self, stream: TcpStream) -> Result<SslStream<TcpStream>> {
    ///         self.acceptor.accept(stream).map_err(From::from)
    ///     }
    /// }
    /// ```
    #[cfg(feature = "ssl")]
    fn upgrade_ssl_server(&mut self, _stream: TcpStream) -> Result<SslStream<TcpStream>> {
        let details = "cannot encrypt: neither the handler nor the event loop has a certificate";
        Err(Error::new(ErrorKind::Internal, details))
    }
}

#[inline]
fn without_reserved_bits(frame: Frame) -> Result<Option<Frame>> {
    if frame.has_foreign_bits() {
        return Err(ProtocolError::ReservedBits.into());
    }
    Ok(Some(frame))
}

impl<F> Handler for F
where
    F: FnMut(Message) -> Result<()>,
{
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self(msg)
    }

    fn sees_frames(&self) -> bool {
        false
    }
}

/// Implements `Handler` for a type that passes every call on to another handler. The braces contain the two methods that
/// create the heads of the opening handshake, if the type implements them itself.
macro_rules! forward_handler {
    ([$($generics:tt)*] $wrapper:ty, |$this:ident| $inner:expr) => {
        forward_handler!([$($generics)*] $wrapper, |$this| $inner, {
            fn on_request(&mut self, req: &$crate::Request) -> $crate::Result<$crate::Response> {
                let $this = self;
                $inner.on_request(req)
            }

            fn build_request(&mut self, url: &url::Url) -> $crate::Result<$crate::Request> {
                let $this = self;
                $inner.build_request(url)
            }
        });
    };
    ([$($generics:tt)*] $wrapper:ty, |$this:ident| $inner:expr, { $($own:item)* }) => {
        impl<$($generics)*> $crate::Handler for $wrapper {
            $($own)*

            fn on_shutdown(&mut self) {
                let $this = self;
                $inner.on_shutdown();
            }

            fn on_open(&mut self, shake: $crate::Handshake) -> $crate::Result<()> {
                let $this = self;
                $inner.on_open(shake)
            }

            fn on_message(&mut self, msg: $crate::Message) -> $crate::Result<()> {
                let $this = self;
                $inner.on_message(msg)
            }

            fn on_message_ref(
                &mut self,
                msg: $crate::MessageRef<'_>,
                reply: &mut $crate::Reply<'_>,
            ) -> $crate::Result<()> {
                let $this = self;
                $inner.on_message_ref(msg, reply)
            }

            fn on_close(&mut self, code: $crate::CloseCode, reason: &str) {
                let $this = self;
                $inner.on_close(code, reason);
            }

            fn on_error(&mut self, err: $crate::Error) {
                let $this = self;
                $inner.on_error(err);
            }

            fn on_response(&mut self, res: &$crate::Response) -> $crate::Result<()> {
                let $this = self;
                $inner.on_response(res)
            }

            fn on_rejected(&mut self, res: &$crate::Response) {
                let $this = self;
                $inner.on_rejected(res);
            }

            fn on_timeout(&mut self, event: $crate::util::Token) -> $crate::Result<()> {
                let $this = self;
                $inner.on_timeout(event)
            }

            fn on_new_timeout(
                &mut self,
                event: $crate::util::Token,
                timeout: $crate::util::Timeout,
            ) -> $crate::Result<()> {
                let $this = self;
                $inner.on_new_timeout(event, timeout)
            }

            fn on_frame(&mut self, frame: $crate::Frame) -> $crate::Result<Option<$crate::Frame>> {
                let $this = self;
                $crate::reactor::frame_hooks::pass_on::<Self, _, _>(&mut $inner, |inner| inner.on_frame(frame))
            }

            fn on_send_frame(&mut self, frame: $crate::Frame) -> $crate::Result<Option<$crate::Frame>> {
                let $this = self;
                $crate::reactor::frame_hooks::pass_on::<Self, _, _>(&mut $inner, |inner| inner.on_send_frame(frame))
            }

            fn wants_frames(&self) -> bool {
                let $this = self;
                $inner.wants_frames()
            }

            fn sees_frames(&self) -> bool {
                let $this = self;
                $inner.sees_frames()
            }

            fn on_drain(&mut self) -> $crate::Result<()> {
                let $this = self;
                $inner.on_drain()
            }

            fn on_lost(&mut self, lost: &mut $crate::Lost) {
                let $this = self;
                $inner.on_lost(lost);
            }

            fn on_gap(&mut self, topic: &str, missed: $crate::cluster::Missed) -> $crate::Result<()> {
                let $this = self;
                $inner.on_gap(topic, missed)
            }

            #[cfg(feature = "ssl")]
            fn upgrade_ssl_client(
                &mut self,
                stream: $crate::util::TcpStream,
                url: &url::Url,
            ) -> $crate::Result<openssl::ssl::SslStream<$crate::util::TcpStream>> {
                let $this = self;
                $inner.upgrade_ssl_client(stream, url)
            }

            #[cfg(feature = "ssl")]
            fn upgrade_ssl_server(
                &mut self,
                stream: $crate::util::TcpStream,
            ) -> $crate::Result<openssl::ssl::SslStream<$crate::util::TcpStream>> {
                let $this = self;
                $inner.upgrade_ssl_server(stream)
            }
        }
    };
}

#[cfg(feature = "permessage-deflate")]
pub(crate) use forward_handler;

forward_handler!([] Box<dyn Handler + '_>, |this| (**this));
forward_handler!([] Box<dyn Handler + Send + '_>, |this| (**this));
