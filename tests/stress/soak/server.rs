//! The servers of the soak test, and the threads that send to their connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sockeye::util::Token;
use sockeye::{
    Builder, CloseCode, Deflate, Error, Factory, Handler, Handshake, Message, Overflow, Result, Sender,
    ServerTls, Settings,
};
use sockeye_test_support::counting::{CountingFactory, CountingHandler, Counts};
use sockeye_test_support::listener;
use sockeye_test_support::misbehavior::Dice;
use sockeye_test_support::nuisance::Nuisance;
use sockeye_test_support::server::Server;

use crate::handlers::AnyFactory;
use crate::options::Options;

/// The resource of the clients that must lose nothing.
pub(super) const WELL_BEHAVED: &str = "/well-behaved";

/// The resource of the connections that the server closes at some time.
pub(super) const CLOSED_BY_SERVER: &str = "/closed-by-server";

/// The timeout that fires. Those of [`CountingHandler`] do not.
const SOON: Token = Token(2);

/// The largest message that the servers accept.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;

/// The connections of all servers that other threads use, by server and identifier.
type Registry = Arc<Mutex<BTreeMap<(usize, u32), Member>>>;

/// A connection that is open.
#[derive(Clone)]
struct Member {
    out: Sender,
    resource: String,
}

/// Two servers, without and with TLS, and the threads that send to their connections.
pub(super) struct Servers {
    servers: Vec<Server>,
    counts: Vec<Arc<Counts>>,
    senders: Vec<Nuisance>,
}

impl Servers {
    pub(super) fn start(options: &Options) -> Self {
        let registry = Registry::default();
        let counting = [CountingFactory::default(), CountingFactory::default()];
        let counts = counting.iter().map(|factory| Arc::clone(&factory.counts)).collect();
        let factories = counting.into_iter().enumerate();
        let factories = factories.map(|(number, counting)| factory(number, counting, &registry));
        let settings = settings(options);
        let servers: Vec<_> = [false, true]
            .into_iter()
            .zip(factories)
            .map(|(uses_tls, factory)| start(settings, uses_tls, factory))
            .collect();
        let broadcasts = servers.iter().map(|server| broadcast(server.all.clone()));
        let senders = broadcasts.chain([use_senders(&registry)]).collect();
        Self { servers, counts, senders }
    }

    pub(super) fn plain(&self) -> SocketAddr {
        self.servers[0].addr
    }

    pub(super) fn tls(&self) -> SocketAddr {
        self.servers[1].addr
    }

    /// Waits until no connection is left.
    pub(super) fn wait_for_balance(&self) {
        self.counts.iter().for_each(|counts| counts.wait_for_balance());
    }

    /// Returns the number of connections that were opened and not closed.
    pub(super) fn unbalanced(&self) -> usize {
        self.sum(|counts| &counts.opened) - self.sum(|counts| &counts.closed)
    }

    pub(super) fn errors(&self) -> usize {
        self.sum(|counts| &counts.errors)
    }

    fn sum(&self, count: fn(&Counts) -> &AtomicUsize) -> usize {
        self.counts.iter().map(|counts| count(counts).load(SeqCst)).sum()
    }

    pub(super) fn stop(self) {
        self.senders.into_iter().for_each(Nuisance::end);
        self.servers.into_iter().for_each(Server::stop);
    }
}

/// Short timeouts, so that they fire in each round, and small limits. Without protection, messages are lost.
fn settings(options: &Options) -> Settings {
    Settings {
        handshake_timeout: Duration::from_secs(1),
        close_timeout: Duration::from_secs(1),
        write_timeout: Some(Duration::from_secs(2)),
        ping_interval: Some(Duration::from_secs(1)),
        idle_timeout: Some(Duration::from_secs(3)),
        max_message_size: MAX_MESSAGE,
        max_memory: 32 * MAX_MESSAGE,
        max_buffered: options.protected(Settings::default().max_buffered, 4 * 1024),
        overflow: options.protected(Overflow::Fail, Overflow::Drop),
        deflate: Some(Deflate::default()),
        ..Settings::default()
    }
}

fn start(settings: Settings, uses_tls: bool, factory: AnyFactory) -> Server {
    Server::spawn(move || {
        let socket = Builder::new().with_settings(settings).build(factory)?;
        let socket = if uses_tls { socket.with_server_tls(certificate()?) } else { socket };
        socket.bind_listener(listener())
    })
}

fn certificate() -> Result<ServerTls> {
    let chain = include_str!("../../../examples/tls/localhost.pem");
    let key = include_str!("../../../examples/tls/localhost.key");
    ServerTls::builder_from_pem(chain, key).build()
}

/// Broadcasts consecutive numbers.
fn broadcast(all: Sender) -> Nuisance {
    let mut number = 0;
    Nuisance::start(move || {
        if all.broadcast(format!("broadcast {number}")).is_ok() {
            number += 1;
        }
        thread::sleep(Duration::from_millis(3));
    })
}

/// Does something with one connection after the other.
fn use_senders(registry: &Registry) -> Nuisance {
    let registry = Arc::clone(registry);
    let mut dice = Dice(0x5eed_0003);
    Nuisance::start(move || {
        if let Some(Member { out, resource }) = choose(&registry, &mut dice) {
            // The connection may be closed at any time.
            let _ = match (dice.roll(4), resource.as_str()) {
                (0, CLOSED_BY_SERVER) => out.close(CloseCode::Away),
                // Not the others, because reading that is paused extends the time of silent peers.
                (0, WELL_BEHAVED) => out.pause().and_then(|()| out.resume()),
                (1, _) => out.ping(b"ping".to_vec()),
                (2, _) => out.send(dice.bytes(2000)),
                _ => out.timeout(1, SOON),
            };
        }
        thread::sleep(Duration::from_millis(1));
    })
}

/// Returns one of the connections.
fn choose(registry: &Registry, dice: &mut Dice) -> Option<Member> {
    let members = registry.lock().unwrap();
    let at = dice.roll(members.len().max(1));
    members.values().nth(at).cloned()
}

/// Returns the factory of a server.
fn factory(server: usize, mut counting: CountingFactory, registry: &Registry) -> AnyFactory {
    let registry = Arc::clone(registry);
    AnyFactory::new(move |out| Visited {
        counting: counting.connection_made(out.clone()),
        out,
        server,
        registry: Arc::clone(&registry),
    })
}

/// A handler that counts and echoes, sets a timeout, and can be used by other threads.
struct Visited {
    counting: CountingHandler,
    out: Sender,
    server: usize,
    registry: Registry,
}

impl Visited {
    fn members(&self) -> MutexGuard<'_, BTreeMap<(usize, u32), Member>> {
        self.registry.lock().unwrap()
    }
}

impl Handler for Visited {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let id = (self.server, self.out.connection_id());
        let resource = shake.request.resource().to_owned();
        self.members().insert(id, Member { out: self.out.clone(), resource });
        self.out.timeout(5, SOON)?;
        self.counting.on_open(shake)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.counting.on_message(msg)
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        if event == SOON { self.out.send("timeout") } else { self.counting.on_timeout(event) }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.members().remove(&(self.server, self.out.connection_id()));
        self.counting.on_close(code, reason);
    }

    fn on_error(&mut self, err: Error) {
        self.counting.on_error(err);
    }
}
