//! The options with which sockets are opened.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use super::backend::Backend;
use super::limits::Limits;
use super::link::LinkHandle;
use super::standard::Standard;
use super::streaming::Streaming;
use super::unsupported::Unsupported;
use super::{Interface, WebSocket};
use crate::protocol::Config;
use crate::socket::{Error, Result};

/// Options for sockets: subprotocols, limits and timeouts. A builder opens any number of sockets.
///
/// # Examples
///
/// ```no_run
/// use sockeye::browser::Builder;
/// use sockeye::protocol::Config;
///
/// # async fn run() -> sockeye::browser::Result<()> {
/// let builder = Builder::new()
///     .config(Config { max_message_size: 64 * 1024, ..Config::default() })
///     .add_subprotocol("chat.v2");
/// let mut socket = builder.connect("wss://example.com/chat").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
    subprotocols: Vec<String>,
    interface: Interface,
    connect_timeout: Duration,
    max_buffered: usize,
    high_water: usize,
    max_received: usize,
    max_received_messages: usize,
    pub(super) unsupported: Unsupported,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Creates a builder with the default options.
    pub fn new() -> Self {
        Self {
            config: Config::default(),
            subprotocols: Vec::new(),
            interface: Interface::Standard,
            connect_timeout: Duration::from_secs(10),
            max_buffered: 16 * 1024 * 1024,
            high_water: 1024 * 1024,
            max_received: 64 * 1024 * 1024,
            max_received_messages: 64 * 1024,
            unsupported: Unsupported::default(),
        }
    }

    /// Sets the limits and timeouts of the protocol. Default: [`Config::default`].
    ///
    /// A program in a browser can control [`max_message_size`](Config::max_message_size),
    /// [`subprotocols`](Config::subprotocols), [`handshake_timeout`](Config::handshake_timeout),
    /// [`close_timeout`](Config::close_timeout) and [`idle_timeout`](Config::idle_timeout). The browser controls everything
    /// else. The default of `idle_timeout` has no effect, because a program in a browser sees no Pings: a peer that sends no
    /// messages would count as lost. Set another value, or set [`ping_interval`](Config::ping_interval) to `None`.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a subprotocol that is offered. The preferred one comes first.
    ///
    /// Added subprotocols replace [`Config::subprotocols`]. If a server chooses no offered subprotocol, the browser refuses it.
    #[must_use]
    pub fn add_subprotocol(mut self, protocol: &str) -> Self {
        self.subprotocols.push(protocol.to_owned());
        self
    }

    /// Removes an added subprotocol.
    #[must_use]
    pub fn remove_subprotocol(mut self, protocol: &str) -> Self {
        self.subprotocols.retain(|other| other != protocol);
        self
    }

    /// Selects an interface of the browser. Default: [`Interface::Standard`].
    ///
    /// [`Interface::Stream`] slows down a peer that sends faster than the program receives. It is not the default because the
    /// page can crash: see [`Interface::Stream`].
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interface = interface;
        self
    }

    /// Sets how long connecting may take. Default: 10 seconds.
    ///
    /// [`Config::handshake_timeout`] is added to it, because the browser does not show when the handshake begins.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how many bytes may wait to be sent. Beyond that, messages are not accepted. Default: 16 MiB.
    ///
    /// A program that awaits each `send` does not reach this limit. [`Error::Full`] returns the message.
    #[must_use]
    pub fn max_buffered(mut self, max: usize) -> Self {
        self.max_buffered = max;
        self
    }

    /// Sets how many bytes may wait to be sent before [`Sender::queue`](super::Sender::queue) and the `Sink` wait as well.
    /// Default: 1 MiB.
    ///
    /// The default of the other sockets is 64 KiB. Here it is higher, because a browser reports only later that bytes were
    /// sent.
    #[must_use]
    pub fn high_water(mut self, bytes: usize) -> Self {
        self.high_water = bytes;
        self
    }

    /// Sets how many received bytes may wait for the program. A single message may be longer. Default: 64 MiB.
    ///
    /// Beyond that the connection is closed, and [`Error::Overflow`] is returned after the messages that wait.
    /// [`Interface::Standard`] needs this limit, because it cannot slow down the peer. With [`Interface::Stream`] at most one
    /// message waits, except while the connection is being closed.
    #[must_use]
    pub fn max_received(mut self, bytes: usize) -> Self {
        self.max_received = bytes;
        self
    }

    /// Sets how many received messages may wait for the program, so that empty messages are limited as well. Default: 65,536.
    ///
    /// Beyond that, the same happens as beyond [`max_received`](Self::max_received).
    #[must_use]
    pub fn max_received_messages(mut self, messages: usize) -> Self {
        self.max_received_messages = messages;
        self
    }

    /// Connects to a `ws://` or `wss://` URL. If the future is dropped, so is the connection.
    ///
    /// # Errors
    ///
    /// - `Url` if the browser does not accept the URL or the subprotocols.
    /// - `Connect` if there is no connection. The browser does not show the reason, so that a page cannot explore a network.
    /// - `Timeout` with `Connect`.
    /// - `Io` with `Unsupported` if the browser does not have the selected interface, or cannot apply an option of the builder:
    ///   see [`add_header`](Self::add_header) and [`client_tls`](Self::client_tls).
    pub async fn connect(&self, url: &str) -> Result<WebSocket> {
        let handle = self.start(url)?;
        let link = handle.link();
        let opening = poll_fn(|cx| link.with(|state| state.poll_open(cx))).await?;
        Ok(WebSocket::open(handle, opening))
    }

    fn start(&self, url: &str) -> Result<LinkHandle> {
        self.unsupported.check(url)?;
        let interface = self.interface;
        if !interface.is_supported() {
            let text = format!("this browser has no {}", interface.name());
            return Err(Error::Io(io::Error::new(io::ErrorKind::Unsupported, text)));
        }
        let handle = LinkHandle::new(self.limits(), url);
        let (link, protocols) = (handle.link(), self.protocols());
        let backend: Box<dyn Backend> = match interface {
            Interface::Stream => Box::new(Streaming::connect(link, url, &protocols)?),
            Interface::Standard => Box::new(Standard::connect(link, url, &protocols)?),
        };
        link.begin(backend, self.connect_timeout.saturating_add(self.config.handshake_timeout));
        Ok(handle)
    }

    fn protocols(&self) -> Vec<String> {
        if self.subprotocols.is_empty() {
            return self.config.subprotocols.clone();
        }
        self.subprotocols.clone()
    }

    /// A browser hides Pings and Pongs, so a peer that sends no messages is not lost by default.
    fn idle_timeout(&self) -> Option<Duration> {
        let is_default = self.config.idle_timeout == Config::default().idle_timeout;
        self.config.idle_timeout.filter(|_| !is_default || self.config.ping_interval.is_none())
    }

    fn limits(&self) -> Limits {
        Limits {
            max_message_size: self.config.max_message_size,
            max_buffered: self.max_buffered,
            high_water: self.high_water,
            max_received: self.max_received,
            max_received_messages: self.max_received_messages,
            close_timeout: self.config.close_timeout,
            idle_timeout: self.idle_timeout(),
        }
    }
}
