//! The options with which blocking sockets are opened.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Link;
use super::{Socket, Stream, WebSocket};
use crate::protocol::handshake::Extension;
use crate::protocol::{Connection, Role, Upgrade};
use crate::socket::Result;
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::options::{Options, setters};
use crate::socket::session::Session;
use crate::tls::ServerTls;

/// Options for sockets: headers, subprotocols, limits and timeouts. A builder opens any number of sockets, in both roles.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye::blocking::Builder;
/// use sockeye::protocol::Config;
///
/// let config = Config { idle_timeout: Some(Duration::from_secs(60)), max_message_size: 1 << 20, ..Config::default() };
/// let mut socket = Builder::new()
///     .config(config)
///     .add_header("Authorization", "Bearer salmon")?
///     .add_subprotocol("chat.v2")
///     .add_subprotocol("chat.v1")
///     .connect("wss://example.com/chat?room=1")?;
/// println!("the server has chosen {:?}", socket.protocol());
/// # sockeye::blocking::Result::Ok(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub(super) options: Options,
    pub(super) read_timeout: Option<Duration>,
    pub(super) server_tls: Option<ServerTls>,
}

setters!(Builder);

impl Builder {
    /// Creates a builder with the default options.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long each call that receives may take. Default: the read timeout that is set on the stream, or else no limit.
    ///
    /// [`WebSocket::set_read_timeout`] describes it, and can change it later.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = Some(timeout);
        self
    }

    /// Connects to a `ws://`, `wss://` (feature `rustls` or `ssl`) or `ws+unix://` URL.
    ///
    /// The addresses of the host are tried in turn, each within [`connect_timeout`](Self::connect_timeout). The next attempt
    /// begins when one fails, or after 250 ms while the earlier ones continue (RFC 8305); both address families alternate.
    /// With a [`proxy`](Self::proxy), this applies to the addresses of the proxy, and the time limit includes its handshake.
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limits TLS and the opening handshake
    /// together. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// - `Url` if a client cannot connect to a URL of this form; `TlsDisabled` for `wss://` in a build without TLS.
    /// - `Connect` if the host is unknown or refuses the connection; `Timeout` with `Connect`.
    /// - `Proxy` if the proxy does not connect to the host.
    /// - `Tls` if TLS fails, for instance because the certificate is not valid for the host.
    /// - `Rejected` if the server answers with another status than 101.
    /// - `Protocol` if its answer breaks a rule of RFC 6455 §4.1; `Timeout` with `Handshake`; `ConnectionLost`.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let mut redirect = self.options.first_url(url)?;
        loop {
            let request = self.options.redirected_request(&redirect)?;
            let stream = self.connect_stream(&redirect.url)?;
            let start = Instant::now();
            let stream = self.encrypt(stream, &redirect.url)?;
            let mut client = self.client_since(start, stream, request)?;
            client.handshake()?;
            if !self.options.follow(&mut redirect, client.response()) {
                return client.into_socket();
            }
        }
    }

    /// Accepts a client on a TCP stream, with TLS if there is a certificate (`server_tls`), and performs the opening
    /// handshake.
    ///
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limits TLS and the opening handshake
    /// together. The first supported subprotocol that the client offers is chosen. `TCP_NODELAY` is set.
    /// [`server`](Self::server) accepts on other streams, and shows the request first.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the request breaks a rule of RFC 6455 §4.2.1. The client has received an HTTP error.
    /// - `Tls` if TLS fails.
    /// - `Timeout` with `Handshake`; `ConnectionLost`.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<Socket>> {
        stream.set_nodelay(true)?;
        let start = Instant::now();
        let stream = self.encrypt_server(stream)?;
        self.server_since(start, stream).accept()
    }

    /// Creates a socket after an opening handshake that another HTTP server has performed on this stream.
    ///
    /// The limits are those of the upgrade. [`upgrade`](crate::upgrade) has the complete procedure.
    ///
    /// # Errors
    ///
    /// `Protocol` if the response was changed so that it does not open a connection any more (RFC 6455 §4.2.2).
    pub fn upgraded<S: Stream>(&self, stream: S, upgrade: Upgrade) -> Result<WebSocket<S>> {
        let opening = OpeningHeads::new(upgrade.request().clone(), upgrade.response().clone());
        let (connection, read_ahead) = upgrade.into_connection(Instant::now())?;
        let link = Link::new(&stream, Session::new(connection), Vec::new(), read_ahead);
        Ok(WebSocket::open(self, stream, link, opening))
    }

    /// Creates a socket after an opening handshake that was performed elsewhere, in either role.
    ///
    /// The handshake is not checked again. `extensions` are those that the server has accepted, usually none; compression
    /// applies if it is one of them and [`Config::deflate`](crate::protocol::Config::deflate) is set. `read_ahead` contains
    /// the bytes that were read after the handshake. The socket has no [request](WebSocket::request), response and
    /// subprotocol.
    ///
    /// # Errors
    ///
    /// `Protocol` if the parameters of an extension cannot appear in a response (RFC 7692 §7.1).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use sockeye::blocking::Builder;
    /// use sockeye::protocol::Role;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let ours = TcpStream::connect(listener.local_addr()?)?;
    /// let (theirs, _) = listener.accept()?;
    /// // Both ends have agreed on WebSocket in some other way.
    /// let mut client = Builder::new().after_handshake(ours, Role::Client, &[], [])?;
    /// let mut server = Builder::new().after_handshake(theirs, Role::Server, &[], [])?;
    /// client.send("salmon")?;
    /// assert_eq!(server.receive()?, Some("salmon".into()));
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn after_handshake<S: Stream>(
        &self,
        stream: S,
        role: Role,
        extensions: &[Extension],
        read_ahead: impl Into<Vec<u8>>,
    ) -> Result<WebSocket<S>> {
        let config = Arc::clone(&self.options.config);
        let connection = Connection::after_handshake(role, config, extensions, Instant::now())?;
        let link = Link::new(&stream, Session::new(connection), Vec::new(), read_ahead.into());
        Ok(WebSocket::open(self, stream, link, OpeningHeads::default()))
    }
}
