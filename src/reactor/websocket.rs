//! The loop as a program holds it: built, bound, connected, run.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use mio::Token;
#[cfg(feature = "ssl")]
use openssl::ssl::SslConnector;
use url::Url;

use super::accepting::listener::Listener;
use super::api::factory::Factory;
use super::api::sender::Sender;
use super::api::settings::{ProxyPolicy, Settings, origin_problem, subprotocol_problem};
use super::queue::Command;
use super::{Reactor, WAKER};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Config;
use crate::protocol::handshake::OriginPolicy;
#[cfg(feature = "ssl")]
use crate::tls::ServerTls;

/// An event loop with its connections: servers, clients, or both.
///
/// It runs on the thread that calls [`run`](Self::run), and owns everything. Other threads speak to it through a
/// [`Sender`].
///
/// # Examples
///
/// A loop that is a server and a client of itself:
///
/// ```
/// use sockeye::{CloseCode, Message, WebSocket};
///
/// let mut socket = WebSocket::new(|out: sockeye::Sender| {
///     move |msg: Message| {
///         println!("received {msg}");
///         out.shutdown()
///     }
/// })?
/// .bind("127.0.0.1:0")?;
/// let url = format!("ws://{}", socket.local_addr()?).parse().unwrap();
/// socket.connect(url)?;
/// socket.broadcaster().send("hello")?;
/// socket.run()?;
/// # sockeye::Result::Ok(())
/// ```
pub struct WebSocket<F>
where
    F: Factory,
{
    reactor: Reactor<F>,
}

impl<F> WebSocket<F>
where
    F: Factory,
{
    /// Makes a loop with the default [`Settings`].
    ///
    /// # Errors
    ///
    /// `Io` if the system gives no event queue.
    pub fn new(factory: F) -> Result<Self> {
        Builder::new().build(factory)
    }

    /// Sets the subprotocols that servers of the loop support, in order of preference, and that clients offer.
    ///
    /// This replaces [`Settings::subprotocols`] with a list that is owned, for example one from a configuration file.
    ///
    /// # Errors
    ///
    /// `Internal` if an entry is not a token (RFC 9110 §5.6.2) or is repeated, because no handshake can contain it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::WebSocket;
    ///
    /// let configured = "chat.v2, chat.v1";
    /// let socket = WebSocket::new(|_| |_| Ok(()))?.with_subprotocols(configured.split(", "))?;
    /// # drop(socket);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn with_subprotocols<I>(mut self, subprotocols: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let list: Vec<String> = subprotocols.into_iter().map(Into::into).collect();
        reject("subprotocols", subprotocol_problem(&list))?;
        self.config().subprotocols = list;
        Ok(self)
    }

    /// Sets the origins from which browsers can connect to servers of the loop.
    ///
    /// This replaces [`Settings::origins`] with a list that is owned. The entries have the form `https://example.com` or
    /// `http://localhost:8080`, or are `null`; see [`Origins::Only`](crate::Origins::Only).
    ///
    /// # Errors
    ///
    /// `Internal` if an entry does not have this form, because it would never match.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::WebSocket;
    ///
    /// let configured = vec![String::from("https://example.com"), String::from("https://www.example.com")];
    /// let socket = WebSocket::new(|_| |_| Ok(()))?.with_origins(configured)?;
    /// # drop(socket);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn with_origins<I>(mut self, origins: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let policy = OriginPolicy::Only(origins.into_iter().map(Into::into).collect());
        reject("origins", origin_problem(&policy))?;
        self.config().origins = policy;
        Ok(self)
    }

    /// Sets the addresses of the proxies whose headers determine the address of a client.
    ///
    /// This replaces [`Settings::trusted_proxies`] with a list that is owned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use sockeye::WebSocket;
    ///
    /// let configured: Vec<IpAddr> = vec!["192.0.2.1".parse()?, "2001:db8::1".parse()?];
    /// let socket = WebSocket::new(|_| |_| Ok(()))?.with_trusted_proxies(configured);
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_trusted_proxies<I: IntoIterator<Item = IpAddr>>(mut self, proxies: I) -> Self {
        self.reactor.state.trusted_proxies = ProxyPolicy::List(proxies.into_iter().collect());
        self
    }

    /// Encrypts every connection that is accepted over TCP: with a certificate, as [`ServerTls`] reads it from files, or
    /// with an [`SslAcceptor`](openssl::ssl::SslAcceptor). Unix domain sockets are not encrypted.
    ///
    /// It is asked of the loop, and not of the [`Builder`], as that is `Copy`, and a key must not be.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{ServerTls, WebSocket};
    ///
    /// WebSocket::new(|out: sockeye::Sender| move |msg| out.send(msg))?
    ///     .with_server_tls(ServerTls::from_pem_files("chain.pem", "key.pem")?)
    ///     .listen("0.0.0.0:443")?;
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(feature = "ssl")]
    #[must_use]
    pub fn with_server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.reactor.state.keys.server = Some(tls.into());
        self
    }

    /// Encrypts connections to `wss://` URLs with a [`ClientTls`](crate::ClientTls), or an [`SslConnector`]. Without it,
    /// they are encrypted as [`Handler::upgrade_ssl_client`](crate::Handler::upgrade_ssl_client) does it, which verifies
    /// the server by the trust roots of the system.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{ClientTls, WebSocket};
    ///
    /// let tls = ClientTls::new()?.trust_only("our-roots.pem")?;
    /// let mut socket = WebSocket::new(|_| |_| Ok(()))?.with_client_tls(tls);
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(feature = "ssl")]
    #[must_use]
    pub fn with_client_tls(mut self, tls: impl Into<SslConnector>) -> Self {
        self.reactor.state.keys.client = Some(tls.into());
        self
    }

    /// Listens on an address; the first that works of those that the name stands for. Port 0 lets the system choose:
    /// [`local_addr`](Self::local_addr) tells. May be called several times, for several addresses.
    ///
    /// The address can be used again at once after the program has ended (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// `Io` if none of the addresses can be bound.
    pub fn bind<A>(self, addr_spec: A) -> Result<Self>
    where
        A: ToSocketAddrs,
    {
        self.bind_named(&addr_spec, "the address")
    }

    /// Listens on an address that error texts call by this name until it has been resolved.
    pub(crate) fn bind_named(mut self, addr_spec: &impl ToSocketAddrs, name: &str) -> Result<Self> {
        let addresses =
            addr_spec.to_socket_addrs().map_err(|err| Error::io(format!("cannot resolve {name}"), err))?;
        let none = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        let mut failure = Error::io(format!("cannot listen on {name}"), none);
        for address in addresses {
            match mio::net::TcpListener::bind(address) {
                Ok(listener) => {
                    self.add(Listener::tcp(listener))?;
                    return Ok(self);
                }
                Err(err) => failure = Error::io(format!("cannot listen on {address}"), err),
            }
        }
        Err(failure)
    }

    /// Listens on a socket that was bound elsewhere, such as one that a service manager has passed on.
    ///
    /// # Errors
    ///
    /// `Io` if the socket cannot be watched.
    pub fn bind_listener(mut self, listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        self.add(Listener::tcp(mio::net::TcpListener::from_std(listener)))?;
        Ok(self)
    }

    /// Listens on a Unix domain socket. Its path must not exist yet, and is removed when the loop is dropped or shut down.
    ///
    /// # Errors
    ///
    /// `Io` if the path cannot be bound.
    #[cfg(unix)]
    pub fn bind_unix<P: AsRef<Path>>(mut self, path: P) -> Result<Self> {
        let path = path.as_ref();
        let listener = mio::net::UnixListener::bind(path)
            .map_err(|err| Error::io(format!("cannot listen on {}", path.display()), err))?;
        self.add(Listener::unix(listener, path.to_owned()))?;
        Ok(self)
    }

    /// Listens on an address, and runs the loop.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind) and [`run`](Self::run).
    pub fn listen<A>(self, addr_spec: A) -> Result<Self>
    where
        A: ToSocketAddrs,
    {
        self.bind(addr_spec)?.run()
    }

    /// Listens on a Unix domain socket, and runs the loop.
    ///
    /// # Errors
    ///
    /// As [`bind_unix`](Self::bind_unix) and [`run`](Self::run).
    #[cfg(unix)]
    pub fn listen_unix<P: AsRef<Path>>(self, path: P) -> Result<Self> {
        self.bind_unix(path)?.run()
    }

    /// Asks for a connection to a server, which is made when the loop runs. May be called any number of times.
    ///
    /// The URL is `ws://host[:port]/path`, with the feature `ssl` `wss://host[:port]/path`, or on Unix `ws+unix:///path/of/socket:/path`.
    ///
    /// # Errors
    ///
    /// None today: what goes wrong is told to the handler.
    pub fn connect(&mut self, url: Url) -> Result<&mut Self> {
        self.request(Command::Connect(Box::new(url), None))
    }

    /// Asks for a connection over a stream that is connected already; the URL gives the `Host` and the resource.
    ///
    /// # Errors
    ///
    /// None today: what goes wrong is told to the handler.
    pub fn connect_stream(&mut self, url: Url, stream: TcpStream) -> Result<&mut Self> {
        self.request(Command::Connect(Box::new(url), Some(stream)))
    }

    /// Serves a stream that was accepted elsewhere, when the loop runs.
    ///
    /// # Errors
    ///
    /// None today: a stream that cannot be watched is dropped, and that is logged.
    pub fn accept_stream(&mut self, stream: TcpStream) -> Result<&mut Self> {
        self.request(Command::Accept(stream))
    }

    /// Runs the loop on this thread.
    ///
    /// It returns after [`Sender::shutdown`], and without a listener when the last connection is gone. The loop that it
    /// gives back can be bound, connected and run again.
    ///
    /// # Errors
    ///
    /// `Io` if waiting for events fails.
    ///
    /// # Panics
    ///
    /// When a handler does, unless [`Settings::catch_panics`] is on; and where a `panic_on_*` setting asks for it.
    pub fn run(mut self) -> Result<Self> {
        self.reactor.run()?;
        Ok(self)
    }

    /// Runs the loop until it is shut down, also while it has neither listeners nor connections: for one that is handed its
    /// connections by [`Sender::accept`], [`Sender::accept_upgraded`] or [`Sender::connect`].
    ///
    /// # Errors
    ///
    /// `Io` if waiting for events fails.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_until_shutdown(mut self) -> Result<Self> {
        self.reactor.runs_until_shutdown = true;
        self.run()
    }

    /// Returns a sender that speaks to all connections of the loop, and can shut it down.
    pub fn broadcaster(&self) -> Sender {
        Sender::all(Arc::clone(&self.reactor.state.queue))
    }

    /// Returns the address on which the loop listens; of several, the first.
    ///
    /// # Errors
    ///
    /// `NotFound` if it listens on no address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let mut addresses = self.reactor.listeners.iter().filter_map(Listener::local_addr);
        addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the loop does not listen"))
    }

    /// Why the first connection of the loop, a client's, could not be made.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.reactor.state.failure.take()
    }

    fn config(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.reactor.state.config)
    }

    fn request(&mut self, command: Command) -> Result<&mut Self> {
        self.reactor.requested.push(command);
        Ok(self)
    }

    fn add(&mut self, mut listener: Listener) -> io::Result<()> {
        // Tokens of listeners count down from the waker's.
        let token = Token(WAKER.0 - 1 - self.reactor.listeners.len());
        listener.register(&self.reactor.state.registry, token)?;
        self.reactor.listeners.push(listener);
        Ok(())
    }
}

/// Returns the error for a list that makes no sense, as the check of the settings does.
fn reject(name: &str, problem: Option<String>) -> Result<()> {
    problem.map_or(Ok(()), |why| Err(Error::new(ErrorKind::Internal, format!("Settings::{name} {why}"))))
}

impl<F: Factory> fmt::Debug for WebSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("reactor", &self.reactor).finish()
    }
}

/// Builds a [`WebSocket`] with other settings than the default ones.
///
/// # Examples
///
/// ```
/// use sockeye::{Builder, Settings};
///
/// let settings = Settings { max_connections: 50, ..Settings::default() };
/// let socket = Builder::new().with_settings(settings).build(|_| |_| Ok(()))?;
/// # drop(socket);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Default, Clone, Copy)]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// Begins with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// `Internal` for a setting that makes no sense, which the details name; `Io` if the system gives no event queue.
    pub fn build<F>(&self, factory: F) -> Result<WebSocket<F>>
    where
        F: Factory,
    {
        Ok(WebSocket { reactor: Reactor::new(factory, self.settings)? })
    }

    /// Takes these settings.
    pub fn with_settings(&mut self, settings: Settings) -> &mut Self {
        self.settings = settings;
        self
    }
}
