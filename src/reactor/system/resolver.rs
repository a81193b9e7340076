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
}

impl Resolver {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, results) = channel();
        Self { waker, results, sender, running: 0, waiting: VecDeque::new() }
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
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let resolve = move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
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
