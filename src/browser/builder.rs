//! What a connection is made with.

use std::future::poll_fn;
use std::time::Duration;

use super::link::{Owner, Transport};
use super::standard::Standard;
use super::streaming::Streaming;
use super::{Interface, WebSocket};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Config;

/// How sockets are made: subprotocols, limits and time-outs. It makes any number of them.
///
/// # Examples
///
/// ```no_run
/// use sockeye::browser::Builder;
/// use sockeye::protocol::Config;
///
/// # async fn run() -> sockeye::Result<()> {
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
    interface: Option<Interface>,
    connect_timeout: Duration,
    max_buffered: usize,
    high_water: usize,
    max_received: usize,
    max_received_messages: usize,
}

/// What holds for one connection.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) max_message_size: usize,
    pub(super) max_buffered: usize,
    pub(super) high_water: usize,
    pub(super) max_received: usize,
    pub(super) max_received_messages: usize,
    pub(super) close_timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Begins with the defaults of everything.
    pub fn new() -> Self {
        Self {
            config: Config::default(),
            subprotocols: Vec::new(),
            interface: None,
            connect_timeout: Duration::from_secs(10),
            max_buffered: 16 * 1024 * 1024,
            high_water: 1024 * 1024,
            max_received: 64 * 1024 * 1024,
            max_received_messages: 64 * 1024,
        }
    }

    /// Sets the limits and the time-outs. Those that a program in a browser can keep are
    /// [`max_message_size`](Config::max_message_size), [`subprotocols`](Config::subprotocols),
    /// [`handshake_timeout`](Config::handshake_timeout), [`close_timeout`](Config::close_timeout) and
    /// [`idle_timeout`](Config::idle_timeout); the rest is the browser's.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a subprotocol behind those that are offered, the best first. If there are any, they take the place of
    /// [`Config::subprotocols`]. A server that then chooses none is refused by the browser.
    #[must_use]
    pub fn add_subprotocol(mut self, protocol: &str) -> Self {
        self.subprotocols.push(protocol.to_owned());
        self
    }

    /// Removes a subprotocol that was added.
    #[must_use]
    pub fn remove_subprotocol(mut self, protocol: &str) -> Self {
        self.subprotocols.retain(|other| other != protocol);
        self
    }

    /// Demands an interface of the browser. Without it, it is [`Interface::Stream`] where that is there, and
    /// [`Interface::Standard`] elsewhere.
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interface = Some(interface);
        self
    }

    /// Sets how long it may take to connect. Default 10 s, and to that comes [`Config::handshake_timeout`], as the browser
    /// does not tell when the one ends and the other begins.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how much may wait to be sent before nothing more is accepted, in bytes. Default 16 MiB.
    #[must_use]
    pub fn max_buffered(mut self, max: usize) -> Self {
        self.max_buffered = max;
        self
    }

    /// Sets how much may wait to be sent before [`Sender::queue`](super::Sender::queue) and the `Sink` wait too, in bytes.
    /// Default 1 MiB.
    #[must_use]
    pub fn high_water(mut self, bytes: usize) -> Self {
        self.high_water = bytes;
        self
    }

    /// Sets how much may have been received and wait for the program, in bytes; a single message may be more. Beyond it the
    /// connection is closed, and the program told with `Capacity`, behind what waits. Default 64 MiB.
    ///
    /// [`Interface::Standard`] needs it, as it cannot hold the peer back. With [`Interface::Stream`] no more than a message
    /// waits, except while the connection is being closed.
    #[must_use]
    pub fn max_received(mut self, bytes: usize) -> Self {
        self.max_received = bytes;
        self
    }

    /// Sets how many messages may have been received and wait for the program, so that empty ones are limited as well.
    /// Beyond it happens what happens beyond [`max_received`](Self::max_received). Default 65,536.
    #[must_use]
    pub fn max_received_messages(mut self, messages: usize) -> Self {
        self.max_received_messages = messages;
        self
    }

    /// Connects to a `ws://` or `wss://` URL. The future can be dropped, and with it goes the connection.
    ///
    /// # Errors
    ///
    /// `Internal` for a URL or subprotocols that the browser does not take, or if it does not have the interface; `Io` if
    /// there is no connection (the browser does not tell why, lest a page explore the network), or not in time.
    pub async fn connect(&self, url: &str) -> Result<WebSocket> {
        let owner = self.dial(url)?;
        let link = owner.link();
        let opening = poll_fn(|cx| link.with(|state| state.poll_open(cx))).await?;
        Ok(WebSocket::open(owner, opening))
    }

    fn dial(&self, url: &str) -> Result<Owner> {
        let interface = self.interface.unwrap_or_else(Interface::best);
        if !interface.is_supported() {
            let details = format!("there is no {} here", interface.name());
            return Err(Error::new(ErrorKind::Internal, details));
        }
        let owner = Owner::new(self.limits());
        let (link, protocols) = (owner.link(), self.protocols());
        let transport = match interface {
            Interface::Stream => Transport::Stream(Streaming::connect(link, url, &protocols)?),
            Interface::Standard => Transport::Standard(Standard::connect(link, url, &protocols)?),
        };
        link.begin(transport, self.connect_timeout.saturating_add(self.config.handshake_timeout));
        Ok(owner)
    }

    fn protocols(&self) -> Vec<String> {
        if self.subprotocols.is_empty() {
            return self.config.subprotocols.iter().copied().map(String::from).collect();
        }
        self.subprotocols.clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            max_message_size: self.config.max_message_size,
            max_buffered: self.max_buffered,
            high_water: self.high_water,
            max_received: self.max_received,
            max_received_messages: self.max_received_messages,
            close_timeout: self.config.close_timeout,
            idle_timeout: self.config.idle_timeout,
        }
    }
}
