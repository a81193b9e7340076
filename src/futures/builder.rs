//! What a connection is made with.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Timer;
#[cfg(all(feature = "tokio", feature = "ssl"))]
use super::encryption::Encryption;
use super::engine::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Config;
use crate::protocol::handshake::Request;

/// How a build encrypts that cannot.
#[cfg(not(all(feature = "tokio", feature = "ssl")))]
type Encryption = ();

/// How sockets are made: headers, subprotocols, limits and time-outs. It makes any number of them, of either role.
///
/// # Examples
///
/// ```
/// use sockeye::futures::Builder;
/// use sockeye::protocol::Config;
///
/// let builder = Builder::new()
///     .config(Config { max_message_size: 64 * 1024, ..Config::default() })
///     .add_header("Origin", "https://example.com")?
///     .add_subprotocol("chat.v2");
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) config: Arc<Config>,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) subprotocols: Vec<String>,
    max_buffered: usize,
    pub(super) connect_timeout: Duration,
    pub(super) timer: Option<Timer>,
    #[cfg_attr(not(all(feature = "tokio", feature = "ssl")), expect(dead_code, reason = "nothing encrypts"))]
    pub(super) encryption: Encryption,
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
            config: Arc::default(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            max_buffered: 16 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            timer: None,
            encryption: Default::default(),
        }
    }

    /// Sets the limits, the time-outs and the rules.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Adds a header to the request of a client. One that the request has anyway, such as `Host`, is replaced.
    ///
    /// # Errors
    ///
    /// `Protocol` for a name or a value that would not arrive as it is meant, such as one with a line break.
    pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let mut request = Request::from_url(&parse("ws://localhost/")?)?;
        request.add_header(name, value.as_ref())?;
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        Ok(self)
    }

    /// Removes the headers of a name that were added.
    #[must_use]
    pub fn remove_header(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Adds a subprotocol behind those that a client offers, or a server supports, the best first. If there are any, they
    /// take the place of [`Config::subprotocols`].
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

    /// Sets how much may wait to be sent before nothing more is accepted, in bytes. Default 16 MiB.
    #[must_use]
    pub fn max_buffered(mut self, max: usize) -> Self {
        self.max_buffered = max;
        self
    }

    /// Sets how long the connection to one address may take. Default 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how to sleep. Without it there are no time-outs, except for what tokio's `connect` and `accept` make.
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    /// The request of a client.
    pub(super) fn request(&self, url: &Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        for (number, (name, value)) in self.headers.iter().enumerate() {
            match self.headers.iter().take(number).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                true => request.add_header(name, value)?,
                false => request.set_header(name, value)?,
            }
        }
        for protocol in &self.subprotocols {
            request.add_protocol(protocol);
        }
        Ok(request)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            timer: self.timer.clone(),
            max_buffered: self.max_buffered,
            max_body: self.config.max_head_size,
        }
    }
}

pub(super) fn parse(url: &str) -> Result<Url> {
    Url::parse(url)
        .map_err(|err| Error::new(ErrorKind::Internal, format!("the URL {url:?} cannot be read: {err}")))
}
