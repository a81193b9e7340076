//! What the other sockets can do, and a browser cannot. These methods exist so that one program compiles for both targets.

use std::io;

use super::client_tls::ClientTls;
use super::{Builder, Receiver, Sender, WebSocket};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{FrameExtension, ProtocolError};
use crate::socket::{Error, Result};

/// Headers for which a browser sends a value of its own, whatever the program has added.
const OWN_HEADERS: [&str; 2] = ["Origin", "User-Agent"];

/// Options that a browser cannot apply. A connection attempt with one of them is an error.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsupported {
    /// The names of added headers. The values may be secrets, and are not needed.
    headers: Vec<String>,
    tls: Option<ClientTls>,
}

impl Unsupported {
    /// Returns an error if the program has set an option without which it must not connect.
    pub(super) fn check(&self, url: &str) -> Result<()> {
        let is_own = |name: &&String| OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
        if let Some(name) = self.headers.iter().find(|name| !is_own(name)) {
            return Err(unsupported(format!("a browser cannot send the header `{name}`")));
        }
        let option = self.tls.as_ref().and_then(ClientTls::unsupported_option);
        match option.filter(|_| !is_unencrypted(url)) {
            Some(option) => Err(unsupported(format!("a browser does not have the TLS option `{option}`"))),
            None => Ok(()),
        }
    }
}

fn unsupported(text: String) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// Whether TLS options do not apply. A relative URL inherits the scheme of the page.
fn is_unencrypted(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    ["ws", "http"].iter().any(|unencrypted| unencrypted.eq_ignore_ascii_case(scheme))
}

/// What a browser cannot do. The methods exist so that one program compiles for both targets.
impl Builder {
    /// Adds a header to the request. A browser cannot send it, so [`connect`](Self::connect) returns an error.
    ///
    /// It is not left out silently, because a header such as `Authorization` decides what the server permits. `Origin` and
    /// `User-Agent` are exceptions: the browser always sends its own values, and an added one has no effect.
    ///
    /// A program in a browser can identify itself with a cookie of the site, with a subprotocol, with the query of the URL,
    /// or with its first message.
    ///
    /// # Errors
    ///
    /// `Protocol` with [`UnsendableHead`](ProtocolError::UnsendableHead) if the name or the value contains something that no
    /// client can send, such as a line break.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientBuilder;
    ///
    /// /// Both branches are compiled for both targets.
    /// fn authorized(token: &str) -> sockeye::socket::Result<ClientBuilder> {
    ///     if cfg!(target_family = "wasm") {
    ///         Ok(ClientBuilder::new().add_subprotocol("chat").add_subprotocol(token))
    ///     } else {
    ///         ClientBuilder::new().add_header("Authorization", format!("Bearer {token}"))
    ///     }
    /// }
    /// ```
    pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let mut probe = Response::new(200, "", Vec::new());
        probe.add_header(name, value.as_ref()).map_err(|_| ProtocolError::UnsendableHead)?;
        self.unsupported.headers.push(name.to_owned());
        Ok(self)
    }

    /// Removes all added headers of this name.
    #[must_use]
    pub fn remove_header(mut self, name: &str) -> Self {
        self.unsupported.headers.retain(|other| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the TLS configuration. A browser has its own, so [`connect`](Self::connect) returns an error if an option of the
    /// configuration is set and the URL is encrypted.
    ///
    /// The browser encrypts `wss://` URLs, verifies the certificate with the roots that it trusts, and asks its user for
    /// client certificates. The default configuration, [`ClientTls::new`], therefore works.
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.unsupported.tls = Some(tls.into());
        self
    }

    /// Sets a function that creates the extension of each connection (RFC 6455 §9). It has no effect: a browser offers only
    /// its own extensions.
    ///
    /// This is no error, because an extension is only used if the server accepts it.
    #[must_use]
    pub fn extension<E: FrameExtension + 'static>(
        self,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        drop(make);
        self
    }
}

/// What a browser cannot do. The methods exist so that one program compiles for both targets.
impl Sender {
    /// Returns an error: a browser sends no Pings of a program (RFC 6455 §5.5.2). It answers those of the peer.
    ///
    /// To find out whether the peer is alive, send a message that it answers.
    ///
    /// # Errors
    ///
    /// `Io` with [`Unsupported`](io::ErrorKind::Unsupported). The connection stays open.
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        drop(payload);
        Err(unsupported("a browser sends no Pings".to_owned()))
    }

    /// Returns an error: a browser sends no Pongs of a program (RFC 6455 §5.5.3). It answers the Pings of the peer.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        drop(payload);
        Err(unsupported("a browser sends no Pongs".to_owned()))
    }
}

/// What a browser cannot do. The methods exist so that one program compiles for both targets.
impl WebSocket {
    /// Returns an error: a browser sends no Pings of a program. See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As [`Sender::ping`].
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.ping(payload).await
    }

    /// Returns an error: a browser sends no Pongs of a program. See [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As [`Sender::ping`].
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.pong(payload).await
    }

    /// Returns `None`: a browser does not show the request. [`url`](Self::url) returns the URL.
    pub fn request(&self) -> Option<&Request> {
        self.sender.request()
    }

    /// Returns `None`: a browser does not show the response. [`protocol`](Self::protocol) and [`extensions`](Self::extensions)
    /// return what the server has chosen.
    pub fn response(&self) -> Option<&Response> {
        self.sender.response()
    }
}

/// The heads of the opening handshake, which a browser does not show.
macro_rules! hidden_heads {
    ($($type:ident)*) => {$(
        /// What a browser cannot do. The methods exist so that one program compiles for both targets.
        impl $type {
            /// Returns `None`: a browser does not show the request. [`url`](Self::url) returns the URL.
            pub fn request(&self) -> Option<&Request> {
                None
            }

            /// Returns `None`: a browser does not show the response. [`protocol`](Self::protocol) and
            /// [`extensions`](Self::extensions) return what the server has chosen.
            pub fn response(&self) -> Option<&Response> {
                None
            }
        }
    )*};
}

hidden_heads!(Sender Receiver);
