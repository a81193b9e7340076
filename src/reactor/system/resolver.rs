//! Resolves host names on separate threads, because the system's resolver blocks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::reactor::entries::ConnectionId;

/// The most names that are resolved at the same time. Further names wait.
const MAX_RUNNING: usize = 8;

/// A host and a port.
pub(in crate::reactor) type Name = (String, u16);

/// A connection, the name that it needed, and the addresses of the name. The connection may need another name by now, or none.
pub(in crate::reactor) type Resolved = (ConnectionId, Name, io::Result<Vec<SocketAddr>>);

/// Resolves each name on a thread of its own. Connections that need the same name share its lookup, so that there are never more
/// lookups than names, however often clients try to connect.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    results: Receiver<(Name, io::Result<Vec<SocketAddr>>)>,
    sender: Sender<(Name, io::Result<Vec<SocketAddr>>)>,
    running: usize,
    waiting: VecDeque<Name>,
    /// The connections that need each name which is being resolved or waits for that.
    needed_by: HashMap<Name, HashSet<ConnectionId>>,
    found: VecDeque<Resolved>,
    lookup: Lookup,
}

/// Returns the addresses of a host and port. Blocks.
type Lookup = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

impl Resolver {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self::with_lookup(waker, |host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    fn with_lookup(waker: Arc<Waker>, lookup: Lookup) -> Self {
        let (sender, results) = channel();
        let (waiting, found) = (VecDeque::new(), VecDeque::new());
        Self { waker, results, sender, running: 0, waiting, needed_by: HashMap::new(), found, lookup }
    }

    /// Begins to resolve a name. [`next`](Self::next) returns the result, and the loop is woken when it is there.
    pub(super) fn resolve(&mut self, id: ConnectionId, name: Name) {
        if let Some(connections) = self.needed_by.get_mut(&name) {
            connections.insert(id);
            return;
        }
        self.needed_by.insert(name.clone(), HashSet::from([id]));
        self.waiting.push_back(name);
        self.start_waiting();
    }

    /// Whether a name is being resolved, or a result has not been returned.
    pub(super) fn is_active(&self) -> bool {
        self.running > 0 || !self.found.is_empty()
    }

    /// Returns a finished resolution.
    pub(super) fn next(&mut self) -> Option<Resolved> {
        if self.found.is_empty() && self.running > 0 {
            let (name, addresses) = self.results.try_recv().ok()?;
            self.running -= 1;
            self.start_waiting();
            let connections = self.needed_by.remove(&name).unwrap_or_default();
            self.found.extend(connections.into_iter().map(|id| (id, name.clone(), copy_of(&addresses))));
        }
        self.found.pop_front()
    }

    fn start_waiting(&mut self) {
        while self.running < MAX_RUNNING {
            let Some(name) = self.waiting.pop_front() else { return };
            self.running += 1;
            self.start(name);
        }
    }

    fn start(&self, name: Name) {
        let (sender, waker, lookup) = (self.sender.clone(), Arc::clone(&self.waker), self.lookup);
        let failed = name.clone();
        let resolve = move || {
            let addresses = lookup(&name.0, name.1);
            // Both fail only after the loop has been dropped, and then the result is not needed.
            let _ = sender.send((name, addresses));
            let _ = waker.wake();
        };
        if let Err(err) = thread::Builder::new().name("sockeye-resolver".to_owned()).spawn(resolve) {
            let _ = self.sender.send((failed, Err(err)));
            let _ = self.waker.wake();
        }
    }
}

/// Copies a result. An error keeps its kind and its text.
fn copy_of(addresses: &io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    match addresses {
        Ok(addresses) => Ok(addresses.clone()),
        Err(err) => Err(io::Error::new(err.kind(), err.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;
    use crate::reactor::WAKER;

    /// Lookups block while the test holds this lock.
    static GATE: Mutex<()> = Mutex::new(());

    fn blocked_lookup(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // The test holds the lock: on its own thread, this would never return.
        assert_eq!(thread::current().name(), Some("sockeye-resolver"));
        drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(vec![([127, 0, 0, 1], port).into()])
    }

    #[test]
    fn k7_lookups_do_not_run_on_the_thread_of_the_loop() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let mut resolver = Resolver::with_lookup(waker, blocked_lookup);
        let blocked = GATE.lock().unwrap();
        let count = 3 * MAX_RUNNING;
        for number in 0..count {
            let id = ConnectionId { slot: u32::try_from(number).unwrap(), serial: 0 };
            resolver.resolve(id, (format!("name{number}.example"), 80));
        }
        assert!(resolver.next().is_none());
        assert_eq!((resolver.running, resolver.waiting.len()), (MAX_RUNNING, count - MAX_RUNNING));
        drop(blocked);
        let mut events = mio::Events::with_capacity(1);
        let mut finished = Vec::new();
        while finished.len() < count {
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            assert!(!events.is_empty(), "a finished lookup wakes the loop");
            finished.extend(
                std::iter::from_fn(|| resolver.next()).map(|(id, _, found)| (id.slot, found.unwrap())),
            );
        }
        finished.sort_unstable();
        let expected = (0..).map(|slot| (slot, vec![SocketAddr::from(([127, 0, 0, 1], 80))])).take(count);
        assert!(finished.into_iter().eq(expected));
        assert_eq!((resolver.running, resolver.waiting.len()), (0, 0));
    }

    #[test]
    fn connections_share_the_lookup_of_a_name() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let mut resolver = Resolver::with_lookup(waker, |_, _| Err(io::ErrorKind::NotFound.into()));
        let id = |slot| ConnectionId { slot, serial: slot };
        // A client that tries again and again, and others.
        for slot in [1, 1, 2, 1, 3] {
            resolver.resolve(id(slot), ("host.example".to_owned(), 80));
        }
        assert_eq!((resolver.running, resolver.waiting.len()), (1, 0));
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
        let mut found: Vec<_> = std::iter::from_fn(|| resolver.next()).collect();
        found.sort_unstable_by_key(|(id, ..)| id.slot);
        assert_eq!(found.iter().map(|(id, ..)| id.slot).collect::<Vec<_>>(), [1, 2, 3]);
        for (_, name, found) in found {
            assert_eq!((&*name.0, found.unwrap_err().kind()), ("host.example", io::ErrorKind::NotFound));
        }
        assert!(resolver.needed_by.is_empty() && resolver.running == 0);
    }
}
