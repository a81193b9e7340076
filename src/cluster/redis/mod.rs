//! A broker on a Redis or Valkey server.
//!
//! ```text
//!   Redis (Broker) --> queue --> worker --> session --> connection --> publishing socket  --> server
//!   Inbox <-- reports <--------- worker <-- session <-- connection <-- subscribing socket <-- server
//! ```
//!
//! | file | contents |
//! |---|---|
//! | `target`, `backoff`, `liveness`, `expected` | pure types: the URL, when to connect again, when to send a PING, which command a reply answers |
//! | `replies`, `session` | the protocol without I/O |
//! | `connection`, `connector` | sockets, TLS, and the login |
//! | `queue`, `reports`, `worker` | the commands of the library, the reports to it, and the thread between them |

mod connection;
mod connector;
mod expected;
mod liveness;
mod queue;
mod replies;
mod reports;
#[cfg(any(test, fuzzing))]
mod script;
mod session;
#[cfg(test)]
mod session_tests;
mod target;
mod worker;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::{error, warn};

use self::connector::Connector;
use self::queue::{CommandQueue, Limits, Request};
#[cfg(fuzzing)]
pub(crate) use self::script::run_script;
use self::target::{Address, Target};
use self::worker::Worker;
use super::{Broker, Inbox, NodeId, Queued};
use crate::error::{Error, ErrorKind, Result, TLS_DISABLED};
use crate::tls::{self, ClientTls};

/// How long [`Redis::stop`] waits for its thread: a second for sending, and some time for the thread to notice.
const STOP: Duration = Duration::from_secs(2);

/// A [`Broker`] on a Redis or Valkey server, version 6 or newer.
///
/// It publishes with PUBLISH, and subscribes with SUBSCRIBE. A thread of its own, `sockeye-redis`, has two connections to the server: one for
/// subscriptions, one for publications. When one of them fails, it closes both and connects again, after a random time whose limit
/// doubles from 100 ms to 10 s with each attempt. It resolves the name of the host each time, and tries all of its addresses; only
/// this thread waits for the name server.
///
/// A silent server receives a PING after 10 seconds, and the connection counts as lost when nothing arrives for another 10 seconds.
///
/// # URLs
///
/// | URL | server |
/// |---|---|
/// | `redis://[user[:password]@]host[:port][/database]` | TCP, by default on port 6379 |
/// | `rediss://...` | the same over TLS; needs the feature `rustls` or `ssl` |
/// | `unix:///path`, `redis+unix:///path` | a Unix socket. `?db=1&user=me&pass=secret` sets the database and the login |
///
/// With the parameter `protocol=resp3`, the connections use RESP3 instead of RESP2. Special characters in the user, the password and
/// the path are percent-encoded, such as `%40` for `@`. Channels are not separated by database; it is selected because users can
/// be limited to one.
///
/// # Limits
///
/// | limit | default | when it is exceeded |
/// |---|---|---|
/// | [bytes that are not sent](Self::max_queued_bytes) | 16 MiB | `publish` returns [`Queued::Full`] |
/// | [publications that are not answered](Self::max_queued_publications) | 65,536 | `publish` returns [`Queued::Full`] |
/// | [size of a reply](Self::max_reply_size) | 64 MiB | the connection is closed |
/// | [time to connect](Self::connect_timeout) | 5 s | [`start`](Broker::start) fails, or a later attempt |
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye::cluster::Redis;
///
/// let broker = Redis::new("redis://chat:secret@redis.example:6379/?protocol=resp3")?
///     .connect_timeout(Duration::from_secs(2))
///     .max_queued_bytes(64 << 20)
///     .max_queued_publications(100_000)
///     .max_reply_size(1 << 20);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Redis {
    target: Target,
    tls: Option<ClientTls>,
    connect_timeout: Duration,
    limits: Limits,
    max_reply_size: usize,
    running: Option<Running>,
}

/// The thread.
#[derive(Debug)]
struct Running {
    queue: CommandQueue,
    thread: JoinHandle<()>,
    /// Is disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Redis {
    /// Creates a broker for the server with this URL. It does not connect yet.
    ///
    /// # Errors
    ///
    /// `Internal` if the URL is invalid, or if this build has no TLS for a `rediss` URL. The text does not contain the password.
    ///
    /// See the [example](Self#examples).
    pub fn new(url: impl AsRef<str>) -> Result<Self> {
        let target = Target::parse(url.as_ref())?;
        if target.address.is_encrypted() && !tls::IS_SUPPORTED {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("a rediss:// URL needs TLS: {TLS_DISABLED}"),
            ));
        }
        Ok(Self {
            target,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            limits: Limits { bytes: 16 << 20, publications: 65_536 },
            max_reply_size: 64 << 20,
            running: None,
        })
    }

    /// Sets the TLS configuration for `rediss` URLs. Default: the trust roots of the system, TLS 1.2 or newer, no client certificate.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientTls;
    /// use sockeye::cluster::Redis;
    ///
    /// let tls = ClientTls::builder().trust_only("our-roots.pem").certificate("me.pem", "me.key").alpn([]).build()?;
    /// let broker = Redis::new("rediss://redis.example")?.with_client_tls(tls);
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    pub fn with_client_tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Sets how long connecting may take, with TLS and login and without the resolution of the name. Default: 5 seconds.
    ///
    /// See the [example](Self#examples).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the most bytes of publications that are not sent yet. A publication that is longer is never accepted. Default: 16 MiB.
    ///
    /// See the [example](Self#examples).
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Sets the most publications that the server has not answered. Default: 65,536.
    ///
    /// See the [example](Self#examples).
    pub fn max_queued_publications(mut self, publications: usize) -> Self {
        self.limits.publications = publications;
        self
    }

    /// Sets the most bytes of a reply of the server. A publication of another node that arrives is a reply as well, so the value
    /// must be above the size of the largest one. Default: 64 MiB.
    ///
    /// See the [example](Self#examples).
    pub fn max_reply_size(mut self, bytes: usize) -> Self {
        self.max_reply_size = bytes;
        self
    }

    fn connector(&self, node: NodeId) -> Result<Connector> {
        // Without a library for TLS, there is no value of the type, and a pattern for one would be unreachable.
        let configured = || self.tls.clone().map_or_else(default_tls, Ok);
        let tls = self.target.address.is_encrypted().then(configured).transpose()?;
        Ok(Connector {
            target: self.target.clone(),
            tls,
            timeout: self.connect_timeout,
            max_reply_size: self.max_reply_size,
            client_name: format!("sockeye-{node}"),
        })
    }
}

impl Broker for Redis {
    /// Connects and logs in, and starts the thread.
    ///
    /// # Errors
    ///
    /// `Io` if the server cannot be reached in time or refuses the login, the errors of TLS for a `rediss` URL, and `Internal` if
    /// the broker was started before.
    fn start(&mut self, node: NodeId, inbox: Inbox) -> Result<()> {
        if self.running.is_some() {
            return Err(Error::new(ErrorKind::Internal, "the Redis broker was started before"));
        }
        let cannot_start = |err| Error::io("cannot start the Redis broker", err);
        let mut worker = Worker::new(self.connector(node)?, self.limits, inbox).map_err(cannot_start)?;
        let pair = worker.connect()?;
        let queue = worker.queue();
        let (end, ended) = mpsc::channel();
        let run = move || {
            worker.run(pair);
            drop(end);
        };
        let thread =
            thread::Builder::new().name("sockeye-redis".to_owned()).spawn(run).map_err(cannot_start)?;
        self.running = Some(Running { queue, thread, ended });
        Ok(())
    }

    fn subscribe(&mut self, channels: &[&str]) {
        if let Some(running) = &self.running {
            running.queue.subscribe(channels);
        }
    }

    fn unsubscribe(&mut self, channels: &[&str]) {
        if let Some(running) = &self.running {
            running.queue.unsubscribe(channels);
        }
    }

    /// Publishes to a channel. While the broker is not connected, the publication is forgotten: the library publishes it again.
    fn publish(&mut self, channel: &str, payload: &[u8]) -> Queued {
        match &self.running {
            Some(running) => running.queue.publish(channel, payload),
            None => Queued::Accepted,
        }
    }

    fn reconnect(&mut self) {
        if let Some(running) = &self.running {
            running.queue.request(Request::Reconnect);
        }
    }

    /// Sends what is queued, for a second at most, and closes the connections. Waits for the end of the thread, unless that resolves
    /// a name.
    fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.queue.request(Request::Stop);
        match running.ended.recv_timeout(STOP) {
            Err(RecvTimeoutError::Timeout) => warn!("the thread of the Redis broker ends later"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if running.thread.join().is_err() {
                    error!("the thread of the Redis broker has panicked");
                }
            }
        }
    }
}

impl Drop for Redis {
    /// Ends the thread without waiting for it.
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.queue.request(Request::Stop);
        }
    }
}

impl Address {
    fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tcp { is_encrypted: true, .. })
    }
}

/// The default configuration offers no protocol, since `http/1.1` would be wrong.
#[cfg(any(feature = "rustls", feature = "ssl"))]
fn default_tls() -> Result<ClientTls> {
    ClientTls::builder().alpn([]).build()
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn default_tls() -> Result<ClientTls> {
    ClientTls::shared_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let text = format!("{:?}", Redis::new("redis://me:secret@host").unwrap());
        assert!(text.contains("host") && !text.contains("secret"), "{text}");
    }

    #[test]
    #[cfg(not(any(feature = "rustls", feature = "ssl")))]
    fn an_encrypted_url_needs_a_library_for_tls() {
        let text = Redis::new("rediss://me:secret@host").unwrap_err().to_string();
        assert!(text.contains("rediss://") && text.contains("rustls") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn without_a_start_commands_are_forgotten() {
        let mut broker = Redis::new("redis://host").unwrap();
        broker.subscribe(&["a"]);
        broker.unsubscribe(&["a"]);
        broker.reconnect();
        assert_eq!(broker.publish("a", b"x"), Queued::Accepted);
        broker.stop();
    }
}
