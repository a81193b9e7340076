//! Opens the two connections to the server.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use log::{debug, warn};
use mio::{Interest, Poll, Token};
use socket2::{SockRef, TcpKeepalive};

use super::connection::{Connection, Socket};
use super::session::Session;
use super::target::{Address, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::tls::{self, ClientTls};

/// The token of the waker.
pub(super) const WAKER: Token = Token(0);
const SUBSCRIBER: Token = Token(1);
const PUBLISHER: Token = Token(2);

/// The time without traffic after which the system probes a connection. The PINGs notice a lost connection earlier, unless the
/// process is suspended.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Longer timeouts have the same effect, and could be too long for the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The memory for one read.
const READ: usize = 64 * 1024;

/// How to connect.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) target: Target,
    /// `Some` if the URL is one of `rediss`.
    pub(super) tls: Option<ClientTls>,
    pub(super) timeout: Duration,
    pub(super) max_reply_size: usize,
    /// What the server shows in its list of clients.
    pub(super) client_name: String,
}

/// The two connections. A connection with subscriptions accepts no publications in RESP2, and a separate one is not delayed by what
/// arrives.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) subscriber: Connection,
    pub(super) publisher: Connection,
}

/// Waits for events of both connections and of the waker.
pub(super) struct Poller {
    pub(super) poll: Poll,
    events: mio::Events,
    /// Memory for reading.
    pub(super) buffer: Vec<u8>,
}

/// An address of the server that can be connected to.
#[derive(Debug)]
enum Endpoint {
    Tcp(SocketAddr),
    Unix,
}

impl Connector {
    /// Connects and logs in. Tries all addresses of the host one after the other; each has the same share of the timeout. Resolving
    /// the host blocks.
    ///
    /// # Errors
    ///
    /// `Io` if no address can be connected to, or if the server refuses the login; the errors of TLS.
    pub(super) fn connect(&self, poller: &mut Poller, is_stopped: &dyn Fn() -> bool) -> Result<Pair> {
        let endpoints = self.resolve().map_err(|err| self.failed("cannot resolve the Redis server", err))?;
        let deadline = Instant::now() + self.timeout.min(LONGEST_TIMEOUT);
        let mut last = None;
        for (at, endpoint) in endpoints.iter().enumerate() {
            let now = Instant::now();
            let share = u32::try_from(endpoints.len() - at).unwrap_or(u32::MAX);
            let until = now + deadline.saturating_duration_since(now) / share;
            match self.open(endpoint, poller, until, is_stopped) {
                Ok(pair) => return Ok(pair),
                Err(err) => {
                    if let Some(err) = last.replace(err) {
                        warn!("Redis server at {}: {err}", self.target.address);
                    }
                }
            }
            if is_stopped() {
                break;
            }
        }
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the host has no addresses");
        Err(last
            .map_or_else(|| self.failed("cannot resolve the Redis server", nowhere()), |err| self.named(err)))
    }

    fn resolve(&self) -> io::Result<Vec<Endpoint>> {
        match &self.target.address {
            Address::Tcp { host, port, .. } => {
                Ok((host.as_str(), *port).to_socket_addrs()?.map(Endpoint::Tcp).collect())
            }
            Address::Unix(_) => Ok(vec![Endpoint::Unix]),
        }
    }

    fn open(
        &self,
        endpoint: &Endpoint,
        poller: &mut Poller,
        deadline: Instant,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Pair> {
        let mut pair = Pair {
            subscriber: self.begin("subscribing", endpoint)?,
            publisher: self.begin("publishing", endpoint)?,
        };
        poller.register(&mut pair)?;
        let logged_in = poller.log_in(&mut pair, deadline, is_stopped);
        if logged_in.is_err() {
            pair.close();
        }
        logged_in.map(|()| pair)
    }

    fn begin(&self, name: &'static str, endpoint: &Endpoint) -> Result<Connection> {
        let socket = self.socket(endpoint).map_err(|err| Error::io("cannot connect", err))?;
        let tls = match (&self.tls, &self.target.address) {
            (Some(tls), Address::Tcp { host, .. }) => {
                // Certificates do not contain the final dot of an absolute name (RFC 6066 §3).
                let host = host.strip_suffix('.').unwrap_or(host);
                Some(tls::Session::client(tls, host)?)
            }
            _ => None,
        };
        let session = Session::new(&self.target.login, &self.client_name, self.max_reply_size);
        Ok(Connection::new(name, socket, tls, session, Instant::now()))
    }

    fn socket(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Socket>> {
        match (endpoint, &self.target.address) {
            (Endpoint::Tcp(address), _) => {
                let stream = mio::net::TcpStream::connect(*address)?;
                let socket = SockRef::from(&stream);
                let options = [
                    socket.set_tcp_nodelay(true),
                    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)),
                ];
                for err in options.into_iter().filter_map(io::Result::err) {
                    // The connection works without the options.
                    debug!("cannot set an option of the connection to the Redis server: {err}");
                }
                Ok(Box::new(stream))
            }
            (Endpoint::Unix, Address::Unix(path)) => unix_socket(path),
            (Endpoint::Unix, Address::Tcp { .. }) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn failed(&self, what: &str, err: io::Error) -> Error {
        Error::io(format!("{what} at {}", self.target.address), err)
    }

    /// Adds the address of the server to an error.
    fn named(&self, err: Error) -> Error {
        let details = match err.details.as_ref() {
            "" => format!("Redis server at {}", self.target.address),
            details => format!("Redis server at {}: {details}", self.target.address),
        };
        Error { details: details.into(), ..err }
    }
}

#[cfg(unix)]
fn unix_socket(path: &std::path::Path) -> io::Result<Box<dyn Socket>> {
    Ok(Box::new(mio::net::UnixStream::connect(path)?))
}

#[cfg(not(unix))]
fn unix_socket(_path: &std::path::Path) -> io::Result<Box<dyn Socket>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

impl Pair {
    pub(super) fn both(&mut self) -> [&mut Connection; 2] {
        [&mut self.subscriber, &mut self.publisher]
    }

    /// Sends as much as the sockets accept.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.both().into_iter().try_for_each(Connection::flush)
    }

    /// Ends TLS. Dropping the connections closes them.
    pub(super) fn close(&mut self) {
        self.both().into_iter().for_each(Connection::close);
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: mio::Events::with_capacity(8), buffer: vec![0; READ] })
    }

    fn register(&self, pair: &mut Pair) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        for (connection, token) in pair.both().into_iter().zip([SUBSCRIBER, PUBLISHER]) {
            connection.socket().register(self.poll.registry(), token, interest)?;
        }
        Ok(())
    }

    /// Waits until one of the connections has an event, the waker is used, or the time is over.
    pub(super) fn wait(&mut self, pair: &mut Pair, timeout: Duration) -> Result<()> {
        self.poll(timeout)?;
        for event in &self.events {
            match event.token() {
                SUBSCRIBER => pair.subscriber.on_event()?,
                PUBLISHER => pair.publisher.on_event()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until the waker is used or the time is over.
    pub(super) fn poll(&mut self, timeout: Duration) -> io::Result<()> {
        self.events.clear();
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }

    /// Continues until both connections are logged in.
    fn log_in(&mut self, pair: &mut Pair, deadline: Instant, is_stopped: &dyn Fn() -> bool) -> Result<()> {
        loop {
            let now = Instant::now();
            for connection in pair.both() {
                connection.flush()?;
                // No subscription exists, so that the only event is the one that is checked below.
                connection.read(&mut self.buffer, now, &mut Vec::new())?;
                connection.flush()?;
            }
            if pair.both().iter().all(|connection| connection.is_ready()) {
                return Ok(());
            }
            let is_readable = pair.both().iter().any(|connection| connection.is_readable());
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Error::io("cannot connect in time", io::ErrorKind::TimedOut.into()));
            }
            if is_stopped() {
                return Err(Error::new(ErrorKind::Internal, "the broker was stopped"));
            }
            self.wait(pair, if is_readable { Duration::ZERO } else { left })?;
        }
    }
}
