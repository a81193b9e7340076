//! `WebSocket`, the event loop as a program creates and runs it, and its `Builder`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::Reactor;
#[cfg(all(feature = "systemd", unix))]
use super::accepting::activation;
use super::accepting::listener::NativeListener;
use super::api::factory::Factory;
use super::api::sender::Sender;
use super::api::settings::{ProxyPolicy, Settings, origin_problem, subprotocol_problem};
use super::pool::{Pool, Worker, Workers};
use super::queue::{Command, ConnectMode, NewConnection, node};
use super::system::Native;
use crate::close::Closed;
use crate::cluster::Cluster;
use crate::connecting::proxy::Proxy;
use crate::connecting::reconnect::Reconnect;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Config;
use crate::protocol::handshake::OriginPolicy;
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::{ClientTls, ServerTls};

/// An event loop with all its connections: a server, clients, or both.
///
/// The loop runs on the thread that calls [`run`](Self::run), and owns the connections and their handlers. Other threads
/// control it through a [`Sender`]. The type is also exported as [`EventLoop`](crate::EventLoop), because `ws` gave the loop
/// the name of its connections.
///
/// # Examples
///
/// A loop that connects to itself:
///
/// ```
/// use sockeye::{EventLoop, Message};
///
/// let mut event_loop = EventLoop::new(|out: sockeye::Sender| {
///     move |msg: Message| {
///         println!("received {msg}");
///         out.shutdown()
///     }
/// })?
/// .bind("127.0.0.1:0")?;
/// let url = format!("ws://{}", event_loop.local_addr()?).parse().unwrap();
/// event_loop.connect(url)?;
/// event_loop.broadcaster().send("hello")?;
/// event_loop.run()?;
/// # sockeye::Result::Ok(())
/// ```
pub struct WebSocket<F>
where
    F: Factory,
{
    pub(super) reactor: Reactor<F>,
}

impl<F> WebSocket<F>
where
    F: Factory,
{
    /// Creates a loop with the default [`Settings`].
    ///
    /// # Errors
    ///
    /// `Io` if the system cannot create an event queue.
    ///
    /// See the [example](Self#examples) of this type.
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
    /// This replaces [`Settings::trusted_proxies`] with a list that is owned. Include 127.0.0.1 for a proxy that connects over a Unix
    /// domain socket.
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

    /// Sets the addresses of the peers that must send a PROXY header.
    ///
    /// This replaces [`Settings::proxy_protocol`] with a list that is owned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use sockeye::WebSocket;
    ///
    /// let load_balancers: Vec<IpAddr> = vec!["192.0.2.1".parse()?, "2001:db8::1".parse()?];
    /// let socket = WebSocket::new(|_| |_| Ok(()))?.with_proxy_protocol(load_balancers);
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_proxy_protocol<I: IntoIterator<Item = IpAddr>>(mut self, peers: I) -> Self {
        self.reactor.arrivals.senders = ProxyPolicy::List(peers.into_iter().collect());
        self
    }

    /// Encrypts every connection that is accepted over TCP. Unix domain sockets are not encrypted.
    ///
    /// The argument is a [`ServerTls`], or what converts into one. This is a method of `WebSocket` because [`Builder`] is
    /// `Copy`, and private keys should not be copied.
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
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[must_use]
    pub fn with_server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.reactor.state.keys.server = Some(tls.into());
        self
    }

    /// Encrypts connections to `wss://` URLs with a [`ClientTls`], or with what converts into one.
    ///
    /// Without this call, the server is verified with the root certificates of the system. With the feature `ssl`, the
    /// handler's method `upgrade_ssl_client` can change that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{ClientTls, WebSocket};
    ///
    /// let tls = ClientTls::builder().trust_only("our-roots.pem").build()?;
    /// let mut socket = WebSocket::new(|_| |_| Ok(()))?.with_client_tls(tls);
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[must_use]
    pub fn with_client_tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.reactor.state.keys.client = Some(tls.into());
        self
    }

    /// Connects clients through a proxy. Default: no proxy; the environment is not read.
    ///
    /// A stream of the program ([`connect_stream`](Self::connect_stream)) uses no proxy. With a proxy,
    /// [`Handshake::peer_addr`](crate::Handshake::peer_addr) is its address. If it refuses, `on_error` receives an error in which
    /// [`ProxyError::of`](crate::ProxyError::of) finds the reason.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Proxy, WebSocket};
    ///
    /// let proxy = Proxy::new("http://user:secret@proxy.example:3128")?;
    /// let mut socket = WebSocket::new(|_| |_| Ok(()))?.with_proxy(proxy);
    /// # sockeye::Result::Ok(())
    /// ```
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.reactor.state.proxy = Some(proxy);
        self
    }

    /// Listens on an address.
    ///
    /// If a name has several addresses, the loop listens on the first one that can be bound. With port 0 the system chooses
    /// a port, which [`local_addr`](Self::local_addr) returns. Call this method several times to listen on several
    /// addresses.
    ///
    /// The address can be used again at once after the program has ended (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// `Io` if the name cannot be resolved or no address can be bound. The details contain the address.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let echo = |out: Sender| move |msg: Message| out.send(msg);
    /// let socket = WebSocket::new(echo)?.bind("127.0.0.1:0")?.bind("127.0.0.1:0")?;
    /// println!("listening on {}", socket.local_addr()?);
    /// # drop(socket);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn bind<A>(self, addr_spec: A) -> Result<Self>
    where
        A: ToSocketAddrs,
    {
        self.bind_named(&addr_spec, "the address")
    }

    /// Listens on an address. Error texts use the name until the address has been resolved.
    pub(crate) fn bind_named(mut self, addr_spec: &impl ToSocketAddrs, name: &str) -> Result<Self> {
        let addresses =
            addr_spec.to_socket_addrs().map_err(|err| Error::io(format!("cannot resolve {name}"), err))?;
        let none = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        let mut failure = Error::io(format!("cannot listen on {name}"), none);
        for address in addresses {
            match NativeListener::bind(address, self.reactor.state.settings.accept_backlog) {
                Ok(listener) => {
                    self.add(listener)?;
                    return Ok(self);
                }
                Err(err) => failure = Error::io(format!("cannot listen on {address}"), err),
            }
        }
        Err(failure)
    }

    /// Listens on a socket that was bound elsewhere, such as by a service manager.
    ///
    /// # Errors
    ///
    /// `Io` if the socket cannot be added to the event queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    ///
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind_listener(listener)?;
    /// assert_eq!(socket.local_addr()?, address);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn bind_listener(mut self, listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        self.add(NativeListener::tcp(mio::net::TcpListener::from_std(listener)))?;
        Ok(self)
    }

    /// Listens on a Unix domain socket.
    ///
    /// The path must not exist yet. It is removed when the loop is shut down or dropped.
    ///
    /// # Errors
    ///
    /// `Io` if the path cannot be bound. The details contain the path.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?
    ///     .bind("127.0.0.1:3012")?
    ///     .bind_unix("/run/chat.sock")?;
    /// socket.run()?;
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(unix)]
    pub fn bind_unix<P: AsRef<Path>>(mut self, path: P) -> Result<Self> {
        let path = path.as_ref();
        let listener = mio::net::UnixListener::bind(path)
            .map_err(|err| Error::io(format!("cannot listen on {}", path.display()), err))?;
        self.add(NativeListener::Unix(listener, Some(path.to_owned())))?;
        Ok(self)
    }

    /// Listens on the sockets that systemd has opened for this process: those of TCP, and Unix domain sockets of the type stream.
    ///
    /// The `[Socket]` section of the unit file lists them, with `Accept=no`, which is the default. systemd can start the program at
    /// the first connection, and keeps the sockets, with the clients that wait, while the program restarts. The length of the queue
    /// is `Backlog=` of the unit file and not [`Settings::accept_backlog`]. Paths of sockets are not removed.
    ///
    /// Call this method once, before the program starts threads: it removes the environment variables `LISTEN_FDS` and `LISTEN_PID`.
    /// If only `LISTEN_PID` is not set, the sockets are used as well.
    ///
    /// # Errors
    ///
    /// `Io` if systemd has passed no sockets to this process, or others than the above.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let echo = |out: Sender| move |msg: Message| out.send(msg);
    /// let socket = match std::env::var_os("LISTEN_FDS") {
    ///     Some(_) => WebSocket::new(echo)?.bind_systemd()?,
    ///     None => WebSocket::new(echo)?.bind("127.0.0.1:0")?,
    /// };
    /// println!("listening on {}", socket.local_addr()?);
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(all(feature = "systemd", unix))]
    pub fn bind_systemd(mut self) -> Result<Self> {
        let listeners = activation::listeners();
        for listener in listeners.map_err(|err| Error::io("cannot listen on the sockets of systemd", err))? {
            self.add(listener)?;
        }
        Ok(self)
    }

    /// Listens on an address, and runs the loop.
    ///
    /// # Errors
    ///
    /// The errors of [`bind`](Self::bind) and [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.listen("127.0.0.1:3012")?;
    /// # sockeye::Result::Ok(())
    /// ```
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
    /// The errors of [`bind_unix`](Self::bind_unix) and [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.listen_unix("/run/chat.sock")?;
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(unix)]
    pub fn listen_unix<P: AsRef<Path>>(self, path: P) -> Result<Self> {
        self.bind_unix(path)?.run()
    }

    /// Requests a connection to a server. The loop connects when it runs.
    ///
    /// The URL has the form `ws://host[:port]/path`, `wss://host[:port]/path` (with the feature `rustls` or `ssl`), or
    /// `ws+unix:///path/of/socket:/path` (on Unix).
    ///
    /// # Errors
    ///
    /// This method always returns `Ok`. If the connection cannot be established,
    /// [`Handler::on_error`](crate::Handler::on_error) is called.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn connect(&mut self, url: Url) -> Result<&mut Self> {
        self.request(NewConnection::Connect(url, ConnectMode::Once))
    }

    /// Requests a connection to a server that is established again when it is lost. The loop connects when it runs.
    ///
    /// The client keeps its handler, its timeouts and its topics. [`Reconnect`] describes when it connects again and when it stops, and
    /// [`Handler::on_lost`](crate::Handler::on_lost) which methods of the handler are called. The loop does not end while the client waits
    /// for its next attempt.
    ///
    /// # Errors
    ///
    /// This method always returns `Ok`. [`Handler::on_error`](crate::Handler::on_error) is called for each attempt that fails.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Message, Reconnect, Sender, WebSocket};
    ///
    /// let mut socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?;
    /// socket.connect_with("ws://127.0.0.1:3012".parse().map_err(Box::new)?, Reconnect::default())?;
    /// socket.run()?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn connect_with(&mut self, url: Url, reconnect: Reconnect) -> Result<&mut Self> {
        self.request(NewConnection::Connect(url, ConnectMode::Again(reconnect)))
    }

    /// Requests a connection over a stream that is already connected. The URL determines the `Host` header and the
    /// resource.
    ///
    /// # Errors
    ///
    /// This method always returns `Ok`, like [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::TcpStream;
    ///
    /// use sockeye::{CloseCode, Message, Sender, WebSocket};
    ///
    /// // Through a tunnel that another program provides.
    /// let stream = TcpStream::connect("127.0.0.1:9000")?;
    /// let mut socket = WebSocket::new(|out: Sender| {
    ///     move |msg: Message| {
    ///         println!("received {msg}");
    ///         out.close(CloseCode::Normal)
    ///     }
    /// })?;
    /// socket.connect_stream("ws://example.com/chat".parse()?, stream)?;
    /// socket.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect_stream(&mut self, url: Url, stream: TcpStream) -> Result<&mut Self> {
        self.request(NewConnection::Connect(url, ConnectMode::Over(stream)))
    }

    /// Serves a stream that was accepted elsewhere. The loop begins the opening handshake when it runs.
    ///
    /// # Errors
    ///
    /// This method always returns `Ok`. A stream that cannot be added to the event queue is dropped, and the error is logged.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    ///
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// // Serves a single client.
    /// let listener = TcpListener::bind("127.0.0.1:3012")?;
    /// let mut socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?;
    /// socket.accept_stream(listener.accept()?.0)?;
    /// socket.run()?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn accept_stream(&mut self, stream: TcpStream) -> Result<&mut Self> {
        self.request(NewConnection::Accept(stream))
    }

    /// Runs the loop on this thread.
    ///
    /// This method returns after [`Sender::shutdown`]. A loop without listeners also ends when its last connection has
    /// closed. The returned loop can be bound, connected and run again.
    ///
    /// # Errors
    ///
    /// `Io` if waiting for events fails.
    ///
    /// # Panics
    ///
    /// If a handler panics, unless [`Settings::catch_panics`] is set, and where a `panic_on_*` setting demands it.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn run(mut self) -> Result<Self> {
        let _node = node::start(&self.reactor.state.queue)?;
        self.reactor.run()?;
        Ok(self)
    }

    /// Runs the loop until it is shut down, even while it has neither listeners nor connections.
    ///
    /// Use this for a loop that receives its connections from [`Sender::accept`], [`Sender::accept_upgraded`] or
    /// [`Sender::connect`].
    ///
    /// # Errors
    ///
    /// `Io` if waiting for events fails.
    ///
    /// # Panics
    ///
    /// The same as for [`run`](Self::run).
    ///
    /// See the example of [`Sender::accept`].
    pub fn run_until_shutdown(mut self) -> Result<Self> {
        self.reactor.runs_until_shutdown = true;
        self.run()
    }

    /// Connects the loop to those of other processes and machines: [`Sender::publish`] and [`Sender::broadcast`] reach the connections of all
    /// nodes.
    ///
    /// `docs/machines.md` in the repository describes what is guaranteed, and what happens if a node or the broker's server fails. The node connects
    /// when the loop runs, and leaves the cluster when the loop ends. Only one broker can be set, and a loop with a broker runs once.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::cluster::MemoryBroker;
    /// use sockeye::{Handler, Handshake, Message, Result, Sender, WebSocket};
    ///
    /// struct Member {
    ///     out: Sender,
    /// }
    ///
    /// impl Handler for Member {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.out.subscribe("room")
    ///     }
    ///
    ///     fn on_message(&mut self, msg: Message) -> Result<()> {
    ///         // Members that are connected to other nodes receive it as well.
    ///         self.out.publish("room", msg)
    ///     }
    /// }
    ///
    /// // Programs on several machines use `cluster::Redis` in its place.
    /// let broker = MemoryBroker::new();
    /// let node = WebSocket::new(|out| Member { out })?.with_broker(broker);
    /// # drop(node);
    /// # Result::Ok(())
    /// ```
    #[must_use]
    pub fn with_broker(self, cluster: impl Into<Cluster>) -> Self {
        self.reactor.state.queue.common.join_cluster(cluster.into());
        self
    }

    /// Returns a sender for all connections, which can also shut down the loop.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn broadcaster(&self) -> Sender {
        Sender::all(Arc::clone(&self.reactor.state.queue))
    }

    /// Returns the first address on which the loop listens.
    ///
    /// # Errors
    ///
    /// `NotFound` if the loop does not listen on TCP.
    ///
    /// See the example of [`bind`](Self::bind).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let mut addresses = self.reactor.listeners.sockets().filter_map(NativeListener::local_addr);
        addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the loop does not listen"))
    }

    /// Returns how the first connection of the loop has ended, if it is that of a client: the Close frame of its server, or why it could
    /// not be established. `None` before that, and for the connection of a server.
    ///
    /// A client that connects again ([`connect_with`](Self::connect_with)) has an outcome when it has stopped: that of its last connection or
    /// attempt.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{CloseCode, Message, Sender, WebSocket};
    ///
    /// let mut socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?;
    /// socket.connect("ws://127.0.0.1:3012".parse().map_err(Box::new)?)?;
    /// match socket.run()?.outcome() {
    ///     Some(Ok(closed)) if closed.code == CloseCode::Normal => println!("the server has finished"),
    ///     Some(Ok(closed)) => println!("the connection has ended: {:?} {}", closed.code, closed.reason),
    ///     Some(Err(err)) => println!("there was no connection: {err}"),
    ///     None => {}
    /// }
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn outcome(&self) -> Option<std::result::Result<&Closed, &Error>> {
        self.reactor.state.outcome.as_ref().map(Result::as_ref)
    }

    pub(crate) fn into_outcome(mut self) -> Option<Result<Closed>> {
        self.reactor.state.outcome.take()
    }

    fn config(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.reactor.state.config)
    }

    fn request(&mut self, new: NewConnection) -> Result<&mut Self> {
        self.reactor.requested.push(Command::NewConnection(Box::new(new.into())));
        Ok(self)
    }

    fn add(&mut self, listener: NativeListener) -> io::Result<()> {
        self.reactor.listeners.add(listener, &self.reactor.state.system)
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

/// Builds a [`WebSocket`] with custom settings.
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
    /// Creates a builder with the default settings.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the loop.
    ///
    /// # Errors
    ///
    /// `Internal` for an invalid setting, which the details name. `Io` if the system cannot create an event queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Builder, Settings};
    ///
    /// let mut builder = Builder::new();
    /// builder.with_settings(Settings { max_message_size: 0, ..Settings::default() });
    /// let err = builder.build(|_| |_| Ok(())).unwrap_err();
    /// assert!(err.to_string().starts_with("Settings::max_message_size "));
    /// ```
    pub fn build<F>(&self, factory: F) -> Result<WebSocket<F>>
    where
        F: Factory,
    {
        self.settings.check()?;
        let system = Native::new(&self.settings)?;
        Ok(WebSocket { reactor: Reactor::with_system(factory, self.settings, system) })
    }

    /// Creates several loops that serve the same listeners, on as many threads.
    ///
    /// `make_factory` is called once for each loop, on its thread, when the [`Pool`] runs.
    ///
    /// # Errors
    ///
    /// `Internal` for an invalid setting, which the details name. `Io` if the system cannot create the event queues.
    ///
    /// # Examples
    ///
    /// Handlers of all workers share a counter, and those of one worker share another one without a lock.
    ///
    /// ```no_run
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// use sockeye::{Builder, Message, Sender, Workers};
    ///
    /// let total = Arc::new(AtomicU64::new(0));
    /// let pool = Builder::new().workers(Workers::PerCore, move |worker| {
    ///     let total = Arc::clone(&total);
    ///     let own = Rc::new(Cell::new(0));
    ///     move |out: Sender| {
    ///         let (total, own) = (Arc::clone(&total), Rc::clone(&own));
    ///         move |_: Message| {
    ///             own.set(own.get() + 1);
    ///             let total = total.fetch_add(1, Relaxed) + 1;
    ///             out.send(format!("message {} of worker {}, and {total} of all", own.get(), worker.index()))
    ///         }
    ///     }
    /// })?;
    /// pool.listen("127.0.0.1:3012")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn workers<M, F>(&self, workers: Workers, make_factory: M) -> Result<Pool<M>>
    where
        M: Fn(Worker) -> F + Send + Sync,
        F: Factory,
    {
        Pool::new(self.settings, workers, make_factory)
    }

    /// Replaces the settings. Loops that were built before keep theirs.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn with_settings(&mut self, settings: Settings) -> &mut Self {
        self.settings = settings;
        self
    }
}
