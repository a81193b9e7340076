//! Proxies of clients: which one a URL uses, and the handshake with it.
//!
//! ```text
//! front end                    Handshake                     proxy
//! TCP connect
//! output    <-- CONNECT, or the greeting of SOCKS -->
//! peek, receive(bytes)         parses, replies               response
//! consume what it has taken
//! is_done: TLS or the opening handshake begins on the same socket
//! ```
//!
//! [`Handshake`] takes only the bytes of the proxy. What follows belongs to the server, and stays in the socket.

mod bypass;
mod environment;
mod error;
mod http_connect;
#[cfg(any(test, fuzzing))]
pub(crate) mod script;
mod server;
mod socks5;

use std::fmt;
use std::sync::Arc;

use url::Url;

use self::bypass::Bypass;
pub use self::error::{ProxyError, ProxyFailure};
use self::http_connect::HttpConnect;
use self::server::ProxyKind;
pub(crate) use self::server::ProxyServer;
use self::socks5::Socks5;
use crate::error::Result;
use crate::protocol::Config;

/// The proxy through which clients connect: HTTP `CONNECT` (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928).
///
/// The proxy resolves the host of the URL, for both kinds. TLS of a `wss://` URL is end to end: the proxy sees only the host and
/// the port. `ws://` URLs also use `CONNECT`, so the proxy must permit it to the port of the server. `ws+unix://` URLs never use
/// a proxy. Without a `Proxy`, a client connects directly: the environment is not read unless the program calls
/// [`from_environment`](Self::from_environment).
///
/// The handshake with the proxy is part of connecting, and `connect_timeout` limits both together. If the proxy refuses, the
/// error contains a [`ProxyError`].
///
/// A clone is cheap, and can be used from any thread. `Debug` does not show credentials.
///
/// # Examples
///
/// ```
/// use sockeye::Proxy;
///
/// let proxy = Proxy::new("http://user:secret@proxy.example:3128")?.bypass("localhost,.internal.example,10.0.0.0/8");
/// let url = "wss://example.com/chat".parse()?;
/// assert_eq!(proxy.address_for(&url).as_deref(), Some("proxy.example:3128"));
/// assert_eq!(proxy.address_for(&"ws://db.internal.example/".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Proxy {
    /// The proxy of `ws` URLs.
    plain: Option<Arc<ProxyServer>>,
    /// The proxy of `wss` URLs.
    encrypted: Option<Arc<ProxyServer>>,
    bypass: Bypass,
}

impl Proxy {
    /// Creates a proxy from a URL: `http://host:port`, or `socks5://host:port` or `socks5h://host:port`, which mean the same.
    ///
    /// The default ports are 80 and 1080. A user and a password can precede the host, as in `http://user:password@host:port`,
    /// with special characters percent-encoded. They are sent as `Proxy-Authorization: Basic` (RFC 7617) or with the
    /// username/password method of SOCKS (RFC 1929). The connection to the proxy is not encrypted, so others on that network can
    /// read them.
    ///
    /// # Errors
    ///
    /// `Protocol` if the URL has another form, for instance `https://`, since TLS to the proxy itself is not supported; or if the
    /// user or the password cannot be sent: a user with a colon to an HTTP proxy, an empty one or one of more than 255 bytes to
    /// SOCKS.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Proxy;
    ///
    /// let proxy = Proxy::new("socks5://127.0.0.1:1080")?;
    /// assert!(Proxy::new("https://proxy.example").is_err());
    /// # drop(proxy);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn new(url: &str) -> Result<Self> {
        let server = Arc::new(ProxyServer::parse(url)?);
        Ok(Self { plain: Some(Arc::clone(&server)), encrypted: Some(server), bypass: Bypass::default() })
    }

    /// Reads the proxies from the environment variables of this process.
    ///
    /// - `HTTPS_PROXY` is for `wss://` URLs, `HTTP_PROXY` for `ws://` URLs, and `ALL_PROXY` for those without their own variable.
    ///   The names can also be written in lower case, which has precedence.
    /// - `HTTP_PROXY` in upper case is ignored if `REQUEST_METHOD` is set: in a CGI program, the client of the web server sets it
    ///   with the header `Proxy`.
    /// - `NO_PROXY` is a list as for [`bypass`](Self::bypass).
    /// - A value without a scheme, such as `proxy.example:3128`, is an HTTP proxy. An empty value means no proxy.
    ///
    /// The result connects directly where no variable is set.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new). The details contain the name of the variable.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Proxy;
    ///
    /// let proxy = Proxy::from_environment()?;
    /// match proxy.address_for(&"wss://example.com/".parse()?) {
    ///     Some(address) => println!("through {address}"),
    ///     None => println!("directly"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_environment() -> Result<Self> {
        environment::read(|name| std::env::var_os(name))
    }

    /// Sets the hosts to which clients connect directly, as a list with commas. It replaces the previous list. Default: none.
    ///
    /// | entry | hosts |
    /// |---|---|
    /// | `example.com`, `.example.com`, `*.example.com` | the name and all names that end with it |
    /// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | the address |
    /// | `10.0.0.0/8`, `fd00::/8` | the addresses with this prefix |
    /// | `example.com:8080` | as above, with this port only |
    /// | `*` | all hosts |
    ///
    /// Names are not resolved, so addresses match only URLs with an address. Spaces around entries and entries of another form
    /// are ignored. Upper and lower case are the same.
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn bypass(mut self, hosts: &str) -> Self {
        self.bypass = Bypass::parse(hosts);
        self
    }

    /// Returns the host and port of the proxy that a URL uses. `None` means that a client connects directly.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn address_for(&self, url: &Url) -> Option<String> {
        self.server_for(url).map(|server| server.address().to_owned())
    }

    /// Returns the proxy that a URL uses.
    pub(crate) fn server_for(&self, url: &Url) -> Option<&Arc<ProxyServer>> {
        let server = match url.scheme() {
            "ws" | "http" => self.plain.as_ref()?,
            "wss" | "https" => self.encrypted.as_ref()?,
            _ => return None,
        };
        (!self.bypass.contains(url)).then_some(server)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |server: &Option<Arc<ProxyServer>>| server.as_ref().map(|it| it.address().to_owned());
        f.debug_struct("Proxy")
            .field("plain", &address(&self.plain))
            .field("encrypted", &address(&self.encrypted))
            .field("bypass", &self.bypass)
            .finish()
    }
}

/// The handshake of a client with a proxy, until the proxy has connected to the server.
///
/// 1. Send [`output`](Self::output), and report with [`sent`](Self::sent) how much of it was sent.
/// 2. Pass what the proxy sends to [`receive`](Self::receive), which returns how much of it belongs to the handshake.
/// 3. Repeat this until [`is_done`](Self::is_done). The next byte in each direction belongs to the connection with the server.
///
/// The result does not depend on how the bytes are split.
#[derive(Debug)]
pub(crate) struct Handshake {
    server: Arc<ProxyServer>,
    state: State,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Http(Box<HttpConnect>),
    Socks(Socks5),
    Done,
}

impl Handshake {
    /// Begins the handshake that connects to the host of a URL. The limits are those for heads of HTTP.
    pub(crate) fn new(
        server: &Arc<ProxyServer>,
        url: &Url,
        config: &Config,
    ) -> std::result::Result<Self, ProxyError> {
        let mut output = Vec::new();
        let credentials = server.credentials();
        let state = match server.kind() {
            ProxyKind::Http => {
                Ok(State::Http(Box::new(HttpConnect::new(url, credentials, config, &mut output))))
            }
            ProxyKind::Socks5 => Socks5::new(url, credentials, &mut output).map(State::Socks),
        };
        let state = state.map_err(|failure| server.error(failure))?;
        Ok(Self { server: Arc::clone(server), state, output })
    }

    /// The bytes that must be sent to the proxy.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Removes bytes that were sent.
    pub(crate) fn sent(&mut self, len: usize) {
        self.output.drain(..len.min(self.output.len()));
    }

    /// Whether the proxy has connected to the server, and everything was sent to it.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done) && self.output.is_empty()
    }

    /// Processes bytes of the proxy. Returns how many belong to the handshake: fewer than all only if it is done.
    pub(crate) fn receive(&mut self, input: &[u8]) -> std::result::Result<usize, ProxyError> {
        let received = match &mut self.state {
            State::Http(connect) => connect.receive(input),
            State::Socks(socks) => socks.receive(input, &mut self.output),
            State::Done => Ok(Received { len: 0, is_done: true }),
        };
        let received = received.map_err(|failure| self.server.error(failure))?;
        if received.is_done {
            self.state = State::Done;
        }
        Ok(received.len)
    }

    /// Returns the error for a proxy that has closed the connection during the handshake.
    pub(crate) fn cut_off(&self) -> ProxyError {
        self.server.error(ProxyFailure::Closed)
    }

    /// The host and port of the proxy, for error texts.
    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }
}

/// What a step of a handshake has done with its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Received {
    /// The number of bytes that belong to the handshake.
    len: usize,
    is_done: bool,
}

#[cfg(test)]
mod tests;
