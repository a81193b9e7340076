//! What a program does with a connection.

use log::{debug, error};
#[cfg(feature = "ssl")]
use openssl::ssl::SslStream;
use url::Url;

use super::handshake::Handshake;
#[cfg(feature = "ssl")]
use super::util::TcpStream;
use super::util::{Timeout, Token};
use crate::close::CloseCode;
#[cfg(feature = "ssl")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Frame, ProtocolError};

/// Handles one connection: the loop calls it, one method at a time, on the thread that runs the loop.
///
/// Every method has a default, so that a program writes those it cares about. Nothing that is done with a
/// [`Sender`](crate::Sender) within a method happens before the method returns; a method that takes long makes all
/// connections of the loop wait.
///
/// A closure `FnMut(Message) -> Result<()>` is a handler that has only [`on_message`](Self::on_message).
///
/// # Order of the calls
///
/// A server's connection: `on_request`, `on_open`, then for each frame `on_frame` and, when a message is complete,
/// `on_message`; at the end `on_close`. A client's: `build_request`, `on_response`, `on_open`, and so on as a server's.
/// `on_close` is called exactly once after every `on_open`, and never without one.
///
/// # What an error does
///
/// | the method returns | and the connection |
/// |---|---|
/// | `Internal` | closes with 1011 |
/// | `Capacity` | closes with 1009 |
/// | `Protocol` | closes with 1002 |
/// | `Encoding` | closes with 1007 |
/// | `Io`, `Http`, and with TLS `Ssl`, `SslHandshake` | is dropped |
/// | `Queue`, `Custom` | goes on |
///
/// [`on_error`](Self::on_error) is called first in every case. The peer gets the code, and no details.
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
    /// Called when the loop is about to shut down. What is sent from here is still delivered, before the Close frame
    /// with 1001.
    fn on_shutdown(&mut self) {
        debug!("the handler has received the request to shut down");
    }

    /// Called when the connection has opened.
    ///
    /// # Errors
    ///
    /// As in the table above.
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        debug!("connection opened with {:?}", shake.peer_addr);
        Ok(())
    }

    /// Called for every message, whole and checked.
    ///
    /// # Errors
    ///
    /// As in the table above.
    fn on_message(&mut self, msg: Message) -> Result<()> {
        debug!("received {} bytes", msg.len());
        Ok(())
    }

    /// Called once when an open connection ends.
    ///
    /// `code` and `reason` are what the peer's Close frame said; [`CloseCode::Status`] stands for a frame without a code,
    /// [`CloseCode::Abnormal`] for an end without a Close frame (§7.1.5): the peer has vanished, has broken the protocol,
    /// or has not answered in time.
    fn on_close(&mut self, code: CloseCode, reason: &str) {
        debug!("connection closed with {code:?}: {reason:?}");
    }

    /// Called for every error: one that a method of this handler returned, one that the peer caused, and a connection
    /// that could not be made.
    fn on_error(&mut self, err: Error) {
        error!("{err}");
    }

    /// Called when a server has received a request; the response decides what becomes of it.
    ///
    /// The default opens the connection. A response with any other status than 101 is sent with its body, and then the
    /// connection ends without another call: that is how a program serves its web page. The response is made complete:
    /// the program need not set `Content-Length` or `Connection`.
    ///
    /// # Errors
    ///
    /// `Protocol` answers with the status that fits what is wrong with the request, or 400; `Io` drops the connection;
    /// everything else answers 500.
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        debug!("received a request:\n{req}");
        Response::from_request(req)
    }

    /// Called when a client has received a response that opens the connection, before [`on_open`](Self::on_open).
    ///
    /// # Errors
    ///
    /// Any error ends the connection, as if it had never opened.
    fn on_response(&mut self, res: &Response) -> Result<()> {
        debug!("received a response:\n{res}");
        Ok(())
    }

    /// Called when a client has received a response that does not open the connection: a redirect, a demand for
    /// credentials, a refusal. [`on_error`](Self::on_error) follows. Not called for redirects that are followed.
    fn on_rejected(&mut self, res: &Response) {
        debug!("the opening handshake was answered with status {}", res.status());
    }

    /// Called when a time-out that was set with [`Sender::timeout`](crate::Sender::timeout) has passed.
    ///
    /// # Errors
    ///
    /// As in the table above.
    fn on_timeout(&mut self, event: Token) -> Result<()> {
        debug!("time-out {event:?} has passed");
        Ok(())
    }

    /// Called when a time-out has been set, with what [`Sender::cancel`](crate::Sender::cancel) needs.
    ///
    /// # Errors
    ///
    /// As in the table above.
    fn on_new_timeout(&mut self, _event: Token, _timeout: Timeout) -> Result<()> {
        Ok(())
    }

    /// Called for every frame that comes, control frames included, its payload unmasked. The frame that is returned is
    /// acted on; `None` hides it, also from the protocol: a Ping is not answered then, a Close not either.
    ///
    /// The frame is as it came over the wire: with compression, the first frame of a compressed message has RSV1, and the
    /// payloads of all its frames are compressed; they are inflated after this call. Who hides or changes such a frame has
    /// to see to it that what follows can still be inflated. Other reserved bits reach a handler only if it has
    /// negotiated an extension of its own.
    ///
    /// # Errors
    ///
    /// As in the table above. The default refuses reserved bits with `Protocol`, except the RSV1 of compression.
    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        without_reserved_bits(frame)
    }

    /// Called for every frame that is to be sent, control frames included, before it is compressed, cut into fragments,
    /// and masked. The frame that is returned is sent; `None` drops it.
    ///
    /// # Errors
    ///
    /// As in the table above. The default refuses reserved bits with `Protocol`.
    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        without_reserved_bits(frame)
    }

    /// Returns whether [`on_frame`](Self::on_frame) and [`on_send_frame`](Self::on_send_frame) are to be called for the frames
    /// of messages; `true` unless the handler says otherwise.
    ///
    /// A handler that implements neither may return `false`, as that of a closure does: messages come and go at less cost
    /// then, which counts where there are many small ones. The two methods are still called for control frames, and for
    /// frames with reserved bits. The answer has to be the same all the time.
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
    ///     fn sees_frames(&self) -> bool {
    ///         false
    ///     }
    /// }
    /// ```
    fn sees_frames(&self) -> bool {
        true
    }

    /// Called when all output has been sent that the system had not taken at once: the peer reads again.
    ///
    /// [`Sender::buffered_amount`](crate::Sender::buffered_amount) tells how much waits.
    ///
    /// # Errors
    ///
    /// As in the table above.
    fn on_drain(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when a client is about to connect; returns the request of the opening handshake.
    ///
    /// # Errors
    ///
    /// Any error ends the attempt.
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        Request::from_url(url)
    }

    /// Called when a client has connected to a `wss://` URL, to encrypt the stream. Not called if the loop was given a
    /// connector ([`WebSocket::with_client_tls`](crate::WebSocket::with_client_tls)).
    ///
    /// The stream does not block. A handshake that comes back unfinished, as [`HandshakeError::WouldBlock`], is returned
    /// as the error that it is: the loop goes on with it.
    ///
    /// The default trusts the roots of the system, and verifies that the certificate is valid for the host of the URL.
    ///
    /// [`HandshakeError::WouldBlock`]: openssl::ssl::HandshakeError::WouldBlock
    ///
    /// # Errors
    ///
    /// Any other error than that ends the attempt.
    #[cfg(feature = "ssl")]
    fn upgrade_ssl_client(&mut self, stream: TcpStream, url: &Url) -> Result<SslStream<TcpStream>> {
        crate::tls::connect(&crate::tls::default_connector()?, stream, url)
    }

    /// Called when a server has accepted a connection that is to be encrypted
    /// ([`Settings::encrypt_server`](crate::Settings::encrypt_server)). Not called if the loop was given a certificate
    /// ([`WebSocket::with_server_tls`](crate::WebSocket::with_server_tls)).
    ///
    /// The stream does not block. A handshake that comes back unfinished, as [`HandshakeError::WouldBlock`], is returned
    /// as the error that it is: the loop goes on with it.
    ///
    /// [`HandshakeError::WouldBlock`]: openssl::ssl::HandshakeError::WouldBlock
    ///
    /// # Errors
    ///
    /// Any other error than that ends the connection. The default is `Internal`: a handler that is to encrypt needs a
    /// certificate.
    #[cfg(feature = "ssl")]
    fn upgrade_ssl_server(&mut self, _stream: TcpStream) -> Result<SslStream<TcpStream>> {
        Err(Error::new(ErrorKind::Internal, "the server is to encrypt, and has no certificate"))
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

/// Writes a `Handler` that hands every call on to another one, which it owns. Braces hold what it does itself of the two
/// methods that make the heads of the opening handshake.
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
                $inner.on_frame(frame)
            }

            fn on_send_frame(&mut self, frame: $crate::Frame) -> $crate::Result<Option<$crate::Frame>> {
                let $this = self;
                $inner.on_send_frame(frame)
            }

            fn sees_frames(&self) -> bool {
                let $this = self;
                $inner.sees_frames()
            }

            fn on_drain(&mut self) -> $crate::Result<()> {
                let $this = self;
                $inner.on_drain()
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
