//! Resolves host names on separate threads, because the system's resolver blocks.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::reactor::entries::ConnectionId;

/// The most names that are resolved at the same time. Further names wait.
const MAX_RUNNING: usize = 8;

/// The addresses of a host, and the connection that needs them.
pub(in crate::reactor) type Resolved = (ConnectionId, io::Result<Vec<SocketAddr>>);

/// Resolves each name on a thread of its own.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    results: Receiver<Resolved>,
    sender: Sender<Resolved>,
    running: usize,
    waiting: VecDeque<(ConnectionId, String, u16)>,
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
        Self { waker, results, sender, running: 0, waiting: VecDeque::new(), lookup }
    }

    /// Begins to resolve a name. [`next`](Self::next) returns the result, and the loop is woken when it is there.
    pub(super) fn resolve(&mut self, id: ConnectionId, host: String, port: u16) {
        self.waiting.push_back((id, host, port));
        self.start_waiting();
    }

    /// Returns a finished resolution.
    pub(super) fn next(&mut self) -> Option<Resolved> {
        let resolved = self.results.try_recv().ok()?;
        self.running -= 1;
        self.start_waiting();
        Some(resolved)
    }

    fn start_waiting(&mut self) {
        while self.running < MAX_RUNNING {
            let Some((id, host, port)) = self.waiting.pop_front() else { return };
            self.running += 1;
            self.start(id, host, port);
        }
    }

    fn start(&self, id: ConnectionId, host: String, port: u16) {
        let (sender, waker, lookup) = (self.sender.clone(), Arc::clone(&self.waker), self.lookup);
        let resolve = move || {
            let addresses = lookup(&host, port);
            // Both fail only after the loop has been dropped, and then the result is not needed.
            let _ = sender.send((id, addresses));
            let _ = waker.wake();
        };
        if let Err(err) = thread::Builder::new().name("sockeye-resolver".to_owned()).spawn(resolve) {
            let _ = self.sender.send((id, Err(err)));
            let _ = self.waker.wake();
        }
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
            resolver.resolve(id, format!("name{number}.example"), 80);
        }
        assert!(resolver.next().is_none());
        assert_eq!((resolver.running, resolver.waiting.len()), (MAX_RUNNING, count - MAX_RUNNING));
        drop(blocked);
        let mut events = mio::Events::with_capacity(1);
        let mut finished = Vec::new();
        while finished.len() < count {
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            assert!(!events.is_empty(), "a finished lookup wakes the loop");
            finished
                .extend(std::iter::from_fn(|| resolver.next()).map(|(id, found)| (id.slot, found.unwrap())));
        }
        finished.sort_unstable();
        let expected = (0..).map(|slot| (slot, vec![SocketAddr::from(([127, 0, 0, 1], 80))])).take(count);
        assert!(finished.into_iter().eq(expected));
        assert_eq!((resolver.running, resolver.waiting.len()), (0, 0));
    }
}
