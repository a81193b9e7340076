//! Names to addresses, off the thread of the loop: the system's resolver blocks.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::reactor::loop_state::ConnectionId;

/// The most names that are looked up at the same time; more wait their turn.
const MAX_LOOKUPS: usize = 8;

/// What a look-up has found, and for whom.
pub(crate) type Found = (ConnectionId, io::Result<Vec<SocketAddr>>);

/// Looks names up, each on a thread of its own.
#[derive(Debug)]
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    found: Receiver<Found>,
    finder: Sender<Found>,
    running: usize,
    waiting: VecDeque<(ConnectionId, String, u16)>,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        let (finder, found) = channel();
        Self { waker, found, finder, running: 0, waiting: VecDeque::new() }
    }

    /// Looks a host up; what is found comes out of [`next`](Self::next), and the loop is woken for it.
    pub(crate) fn look_up(&mut self, id: ConnectionId, host: String, port: u16) {
        self.waiting.push_back((id, host, port));
        self.start_waiting();
    }

    /// Takes what has been found.
    pub(crate) fn next(&mut self) -> Option<Found> {
        let found = self.found.try_recv().ok()?;
        self.running -= 1;
        self.start_waiting();
        Some(found)
    }

    fn start_waiting(&mut self) {
        while self.running < MAX_LOOKUPS {
            let Some((id, host, port)) = self.waiting.pop_front() else { return };
            self.running += 1;
            self.start(id, host, port);
        }
    }

    fn start(&self, id: ConnectionId, host: String, port: u16) {
        let (finder, waker) = (self.finder.clone(), Arc::clone(&self.waker));
        let look_up = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Either fails only when the loop is gone, and then nobody waits.
            let _ = finder.send((id, found));
            let _ = waker.wake();
        };
        if let Err(err) = thread::Builder::new().name("sockeye-resolver".to_owned()).spawn(look_up) {
            let _ = self.finder.send((id, Err(err)));
            let _ = self.waker.wake();
        }
    }
}
