//! `Pool`: several event loops, each on a thread of its own, that serve the same listeners.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::resume_unwind;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use url::Url;

use super::Reactor;
use super::api::factory::Factory;
use super::api::sender::Sender;
use super::api::settings::{ProxyPolicy, Settings};
use super::common::Common;
use super::queue::loop_set::MAX_LOOPS;
use super::queue::peers::{Membership, Peers};
use super::queue::{CommandQueue, node};
use super::system::{Native, System};
use super::transport::Keys;
use super::websocket::WebSocket;
use crate::cluster::Cluster;
use crate::connecting::proxy::Proxy;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::protocol::Config;
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::{ClientTls, ServerTls};

/// The most workers of a pool. The acceptor is one more loop.
const MAX_WORKERS: usize = MAX_LOOPS - 1;

/// How many event loops a [`Pool`] runs.
///
/// See the example of [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Workers {
    /// One for each processor that the program may use, as [`std::thread::available_parallelism`] returns it.
    #[default]
    PerCore,
    /// This number. Zero means one, and more than 127 mean 127.
    Exactly(usize),
}

/// The event loop of a [`Pool`] that a factory belongs to.
///
/// See the example of [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    index: usize,
    count: usize,
}

impl Worker {
    /// Returns the number of the loop: 0 for the first one.
    ///
    /// See the example of [`Pool`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns how many loops the pool has.
    ///
    /// See the example of [`Pool`].
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Several event loops, the *workers*, that serve the same listeners. Each runs on a thread of its own, so a server can use several
/// processors. [`Builder::workers`](crate::Builder::workers) creates it.
///
/// Handlers are written as for a single loop. A connection stays on its worker, which calls its handler, so handlers and factories need not be
/// `Send`. What the handlers of different workers share must be, for example an `Arc<Mutex<_>>`. `docs/cores.md` in the repository
/// describes when a pool pays off, and what it costs.
///
/// - **Connections**: the thread that calls [`run`](Self::run) accepts connections, and assigns each to the worker with the fewest. A connection
///   that a handler requests with [`Sender::connect`] is created by the handler's worker, and all others by the worker with the
///   fewest connections.
/// - **Senders**: a sender of a connection can be used by every worker. [`Sender::broadcast`] and [`Sender::publish`] reach the connections of
///   all workers, and [`Sender::shutdown`] and [`Sender::drain`] end the whole pool. Messages from one sender to one connection arrive in order,
///   whatever worker the connection belongs to.
/// - **Limits**: [`Settings::max_connections`], `max_connections_per_address`, `max_memory` and `max_topics` apply to all workers
///   together. While a worker is so busy that its queue is full, the workers that send to it do not read from their own clients.
/// - **Topics**: [`Factory::topic_opened`] and `topic_closed` are called for the first and the last subscriber of all workers. All calls for one
///   topic are made by the same worker.
/// - **Ids**: [`Sender::connection_id`] is unique in the pool.
///
/// # Examples
///
/// ```
/// use sockeye::{Builder, Message, Sender, Worker, Workers};
///
/// let pool = Builder::new()
///     .workers(Workers::Exactly(2), |worker: Worker| {
///         // This runs on the thread of the worker, and returns its factory.
///         println!("worker {} of {}", worker.index(), worker.count());
///         move |out: Sender| move |msg: Message| out.send(msg)
///     })?
///     .bind("127.0.0.1:0")?;
/// let all = pool.broadcaster();
/// // Another thread, such as one that waits for signals, ends the server.
/// std::thread::spawn(move || all.shutdown());
/// pool.run()?;
/// # sockeye::Result::Ok(())
/// ```
pub struct Pool<M> {
    settings: Settings,
    make_factory: M,
    /// Accepts connections and assigns them to the workers. It serves none, and answers only clients for which there is no room.
    acceptor: WebSocket<NoFactory>,
    workers: Vec<IdleWorker>,
}

/// A loop whose thread does not run yet.
struct IdleWorker {
    system: Native,
    queue: Arc<CommandQueue>,
}

/// What the program has configured for all loops.
#[derive(Debug, Clone)]
struct Template {
    keys: Keys,
    config: Arc<Config>,
    proxy: Option<Proxy>,
    trusted_proxies: ProxyPolicy,
    proxy_senders: ProxyPolicy,
}

/// The factory of the acceptor. It is not called: the acceptor has connections that are rejected, and these have no handlers.
#[derive(Debug)]
struct NoFactory;

impl Factory for NoFactory {
    type Handler = fn(Message) -> Result<()>;

    fn connection_made(&mut self, _: Sender) -> Self::Handler {
        |_| Ok(())
    }
}

impl<M, F> Pool<M>
where
    M: Fn(Worker) -> F + Send + Sync,
    F: Factory,
{
    pub(super) fn new(settings: Settings, workers: Workers, make_factory: M) -> Result<Self> {
        settings.check()?;
        let count = match workers {
            Workers::PerCore => thread::available_parallelism().map_or(1, usize::from),
            Workers::Exactly(count) => count,
        };
        let count = count.clamp(1, MAX_WORKERS);
        let peers = Arc::new(Peers::default());
        let common = Common::new(&settings).for_loops(count);
        let create = |index| {
            let system = Native::new(&settings)?;
            let membership = Membership { peers: Arc::clone(&peers), index };
            let common = common.for_member(membership);
            let queue = Arc::new(CommandQueue::new(&settings, common, system.waker(), system.clock()));
            Ok(IdleWorker { system, queue })
        };
        let workers = (0..count).map(create).collect::<Result<Vec<IdleWorker>>>()?;
        let IdleWorker { system, queue } = create(count)?;
        // The acceptor is the last loop.
        peers.connect(workers.iter().map(|idle| &idle.queue).chain([&queue]));
        let mut acceptor = Reactor::with_queue(NoFactory, settings, system, queue);
        acceptor.state.assigns = true;
        acceptor.runs_until_shutdown = true;
        Ok(Self { settings, make_factory, acceptor: WebSocket { reactor: acceptor }, workers })
    }

    /// Applies a method of the loop that accepts connections.
    fn with(self, configure: impl FnOnce(WebSocket<NoFactory>) -> WebSocket<NoFactory>) -> Self {
        Self { acceptor: configure(self.acceptor), ..self }
    }

    /// The same for a method that can fail.
    fn try_with(
        self,
        configure: impl FnOnce(WebSocket<NoFactory>) -> Result<WebSocket<NoFactory>>,
    ) -> Result<Self> {
        Ok(Self { acceptor: configure(self.acceptor)?, ..self })
    }

    /// Sets the subprotocols of all loops. See [`WebSocket::with_subprotocols`].
    ///
    /// # Errors
    ///
    /// `Internal`, like `WebSocket::with_subprotocols`.
    ///
    /// See the example of [`with_proxy_protocol`](Self::with_proxy_protocol).
    pub fn with_subprotocols<I>(self, subprotocols: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.try_with(|acceptor| acceptor.with_subprotocols(subprotocols))
    }

    /// Sets the origins from which browsers can connect. See [`WebSocket::with_origins`].
    ///
    /// # Errors
    ///
    /// `Internal`, like `WebSocket::with_origins`.
    ///
    /// See the example of [`with_proxy_protocol`](Self::with_proxy_protocol).
    pub fn with_origins<I>(self, origins: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.try_with(|acceptor| acceptor.with_origins(origins))
    }

    /// Sets the addresses of the proxies whose headers determine the address of a client. See
    /// [`WebSocket::with_trusted_proxies`].
    ///
    /// See the example of [`with_proxy_protocol`](Self::with_proxy_protocol).
    #[must_use]
    pub fn with_trusted_proxies<I: IntoIterator<Item = IpAddr>>(self, proxies: I) -> Self {
        self.with(|acceptor| acceptor.with_trusted_proxies(proxies))
    }

    /// Sets the addresses of the peers that must send a PROXY header. See [`WebSocket::with_proxy_protocol`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::IpAddr;
    ///
    /// use sockeye::{Builder, Message, Sender, Workers};
    ///
    /// let load_balancer: IpAddr = "192.0.2.1".parse()?;
    /// let pool = Builder::new()
    ///     .workers(Workers::PerCore, |_| |out: Sender| move |msg: Message| out.send(msg))?
    ///     .with_subprotocols(["chat.v2"])?
    ///     .with_origins(["https://example.com"])?
    ///     .with_trusted_proxies([load_balancer])
    ///     .with_proxy_protocol([load_balancer])
    ///     .bind("127.0.0.1:0")?;
    /// # drop(pool);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_proxy_protocol<I: IntoIterator<Item = IpAddr>>(self, peers: I) -> Self {
        self.with(|acceptor| acceptor.with_proxy_protocol(peers))
    }

    /// Encrypts every connection that is accepted over TCP. See [`WebSocket::with_server_tls`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Builder, Message, Sender, ServerTls, Workers};
    ///
    /// Builder::new()
    ///     .workers(Workers::PerCore, |_| |out: Sender| move |msg: Message| out.send(msg))?
    ///     .with_server_tls(ServerTls::from_pem_files("chain.pem", "key.pem")?)
    ///     .listen("0.0.0.0:443")?;
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[must_use]
    pub fn with_server_tls(self, tls: impl Into<ServerTls>) -> Self {
        self.with(|acceptor| acceptor.with_server_tls(tls))
    }

    /// Encrypts connections to `wss://` URLs. See [`WebSocket::with_client_tls`], which has an example.
    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[must_use]
    pub fn with_client_tls(self, tls: impl Into<ClientTls>) -> Self {
        self.with(|acceptor| acceptor.with_client_tls(tls))
    }

    /// Connects clients through a proxy. See [`WebSocket::with_proxy`], which has an example.
    #[must_use]
    pub fn with_proxy(self, proxy: Proxy) -> Self {
        self.with(|acceptor| acceptor.with_proxy(proxy))
    }

    /// Connects the pool to those of other processes and machines. See [`WebSocket::with_broker`], which has an example.
    #[must_use]
    pub fn with_broker(self, cluster: impl Into<Cluster>) -> Self {
        self.with(|acceptor| acceptor.with_broker(cluster))
    }

    /// Listens on an address. See [`WebSocket::bind`].
    ///
    /// # Errors
    ///
    /// `Io`, like `WebSocket::bind`.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn bind<A: ToSocketAddrs>(self, addr_spec: A) -> Result<Self> {
        self.try_with(|acceptor| acceptor.bind(addr_spec))
    }

    /// Listens with a listener that the program has created. See [`WebSocket::bind_listener`].
    ///
    /// # Errors
    ///
    /// `Io`, like `WebSocket::bind_listener`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    ///
    /// use sockeye::{Builder, Message, Sender, Workers};
    ///
    /// let pool = Builder::new()
    ///     .workers(Workers::PerCore, |_| |out: Sender| move |msg: Message| out.send(msg))?
    ///     .bind_listener(TcpListener::bind("127.0.0.1:0")?)?;
    /// println!("listening on {}", pool.local_addr()?);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn bind_listener(self, listener: TcpListener) -> Result<Self> {
        self.try_with(|acceptor| acceptor.bind_listener(listener))
    }

    /// Listens on a Unix domain socket. See [`WebSocket::bind_unix`], which has an example.
    ///
    /// # Errors
    ///
    /// `Io`, like `WebSocket::bind_unix`.
    #[cfg(unix)]
    pub fn bind_unix<P: AsRef<Path>>(self, path: P) -> Result<Self> {
        self.try_with(|acceptor| acceptor.bind_unix(path))
    }

    /// Listens on the sockets that systemd has passed to this process. See [`WebSocket::bind_systemd`], which has an example.
    ///
    /// # Errors
    ///
    /// `Io`, like `WebSocket::bind_systemd`.
    #[cfg(all(feature = "systemd", unix))]
    pub fn bind_systemd(self) -> Result<Self> {
        self.try_with(WebSocket::bind_systemd)
    }

    /// Listens on an address, and runs the loops.
    ///
    /// # Errors
    ///
    /// The errors of [`bind`](Self::bind) and [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Builder, Message, Sender, Workers};
    ///
    /// Builder::new()
    ///     .workers(Workers::PerCore, |_| |out: Sender| move |msg: Message| out.send(msg))?
    ///     .listen("0.0.0.0:3012")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn listen<A: ToSocketAddrs>(self, addr_spec: A) -> Result<()> {
        self.bind(addr_spec)?.run()
    }

    /// Requests a connection to a server, from the worker with the fewest connections. It connects when the pool runs.
    ///
    /// # Errors
    ///
    /// `Queue` if 10,000 requests and more wait already. If the connection cannot be established,
    /// [`Handler::on_error`](crate::Handler::on_error) is called.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{Builder, Message, Sender, Workers};
    ///
    /// let mut pool = Builder::new().workers(Workers::PerCore, |_| {
    ///     |_: Sender| |msg: Message| {
    ///         println!("received {msg}");
    ///         Ok(())
    ///     }
    /// })?;
    /// for feed in ["ws://127.0.0.1:3012/trades", "ws://127.0.0.1:3012/prices"] {
    ///     pool.connect(feed.parse()?)?;
    /// }
    /// pool.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(&mut self, url: Url) -> Result<&mut Self> {
        self.broadcaster().connect(url)?;
        Ok(self)
    }

    /// Returns a sender for the connections of all workers, which can also end the pool.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn broadcaster(&self) -> Sender {
        Sender::all(Arc::clone(&self.acceptor.reactor.state.queue))
    }

    /// Returns the first address on which the pool listens.
    ///
    /// # Errors
    ///
    /// `NotFound` if the pool does not listen on TCP.
    ///
    /// See the example of [`bind_listener`](Self::bind_listener).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.local_addr()
    }

    /// Runs the workers on new threads, and accepts connections on this thread.
    ///
    /// This method returns when all workers have ended, after [`Sender::shutdown`] or [`Sender::drain`]. The pool runs until then, even while it
    /// has neither listeners nor connections. The threads are named `sockeye-worker-0` and so on.
    ///
    /// # Errors
    ///
    /// `Io` if a thread cannot be started, or if a loop cannot wait for events. The other loops are shut down before.
    ///
    /// # Panics
    ///
    /// If a factory or a handler panics, unless [`Settings::catch_panics`] is set, and where a `panic_on_*` setting demands it. The other workers
    /// are shut down before, and this method then panics with the same value.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn run(self) -> Result<()> {
        let Self { settings, make_factory, mut acceptor, workers } = self;
        let _node = node::start(&acceptor.reactor.state.queue)?;
        let template = Template::of(&acceptor.reactor);
        let all = Sender::all(Arc::clone(&acceptor.reactor.state.queue));
        let (count, running) = (workers.len(), AtomicUsize::new(workers.len()));
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, idle) in workers.into_iter().enumerate() {
                // If the thread cannot be started, the guard is dropped and ends the others.
                let guard = WorkerGuard { all: &all, running: &running, has_ended: false };
                let (make_factory, template) = (&make_factory, template.clone());
                let run = move || {
                    let mut guard = guard;
                    let factory = make_factory(Worker { index, count });
                    let result = idle.run(factory, settings, template);
                    guard.has_ended = result.is_ok();
                    result
                };
                let thread = thread::Builder::new().name(format!("sockeye-worker-{index}"));
                let thread = thread.spawn_scoped(scope, run);
                threads.push(thread.map_err(|err| Error::io("cannot start a worker", err))?);
            }
            let accepting = AcceptorGuard(&all);
            let mut result = acceptor.reactor.run();
            drop(accepting);
            let mut panic = None;
            for thread in threads {
                match thread.join() {
                    Ok(ended) => result = result.and(ended),
                    Err(payload) => panic = panic.or(Some(payload)),
                }
            }
            panic.map_or(result, |payload| resume_unwind(payload))
        })
    }
}

impl IdleWorker {
    /// Runs the loop on this thread.
    fn run<F: Factory>(self, factory: F, settings: Settings, template: Template) -> Result<()> {
        let mut reactor = Reactor::with_queue(factory, settings, self.system, self.queue);
        reactor.runs_until_shutdown = true;
        template.apply(&mut reactor);
        reactor.run()
    }
}

impl Template {
    fn of<F: Factory, S: System>(reactor: &Reactor<F, S>) -> Self {
        Self {
            keys: reactor.state.keys.clone(),
            config: Arc::clone(&reactor.state.config),
            proxy: reactor.state.proxy.clone(),
            trusted_proxies: reactor.state.trusted_proxies.clone(),
            proxy_senders: reactor.arrivals.senders.clone(),
        }
    }

    fn apply<F: Factory, S: System>(self, reactor: &mut Reactor<F, S>) {
        reactor.state.keys = self.keys;
        reactor.state.config = self.config;
        reactor.state.proxy = self.proxy;
        reactor.state.trusted_proxies = self.trusted_proxies;
        reactor.arrivals.senders = self.proxy_senders;
    }
}

/// Ends the other loops if a worker fails or panics, and the acceptor when the last worker has ended.
struct WorkerGuard<'r> {
    all: &'r Sender,
    running: &'r AtomicUsize,
    has_ended: bool,
}

impl Drop for WorkerGuard<'_> {
    fn drop(&mut self) {
        let is_last = self.running.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last || !self.has_ended {
            let _ = self.all.shutdown();
        }
    }
}

/// Ends the workers when the acceptor has ended or panics.
struct AcceptorGuard<'r>(&'r Sender);

impl Drop for AcceptorGuard<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

impl<M> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}
