//! The loops of a pool, and how many connections each of them has.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use super::{CommandQueue, local};
use crate::reactor::monitoring::Monitor;

/// The loops of a pool. The last one only accepts connections; the others are the workers.
#[derive(Debug, Default)]
pub(crate) struct Peers(OnceLock<Box<[Peer]>>);

/// A loop of a pool.
#[derive(Debug)]
pub(super) struct Peer {
    queue: Weak<CommandQueue>,
    /// Identifies the loop among all of the program.
    pub(super) number: u64,
    /// Senders can read it after the loop has ended.
    monitor: Arc<Monitor>,
    /// The number of its connections, including those that it has not created yet.
    connections: AtomicUsize,
}

/// The place of a loop in its pool.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) peers: Arc<Peers>,
    pub(crate) index: usize,
}

/// A connection that a loop is going to create. It counts as one of the loop's until this is dropped.
#[derive(Debug)]
pub(crate) struct LoopPlace {
    peers: Arc<Peers>,
    index: usize,
    is_kept: bool,
}

impl Peers {
    /// Connects the queues of all loops. Until then, every command is executed by the loop of its sender.
    pub(crate) fn connect<'q>(&self, queues: impl IntoIterator<Item = &'q Arc<CommandQueue>>) {
        let peer = |queue: &Arc<CommandQueue>| Peer {
            queue: Arc::downgrade(queue),
            number: queue.number,
            monitor: Arc::clone(&queue.monitor),
            connections: AtomicUsize::new(0),
        };
        let _ = self.0.set(queues.into_iter().map(peer).collect());
    }

    /// Whether this thread runs one of the loops.
    pub(super) fn is_running_here(&self) -> bool {
        self.all().iter().any(|peer| local::is_current(peer.number))
    }

    pub(super) fn all(&self) -> &[Peer] {
        self.0.get().map_or(&[], |peers| peers)
    }

    pub(super) fn queue(&self, index: usize) -> Option<Arc<CommandQueue>> {
        self.all().get(index)?.queue.upgrade()
    }

    pub(super) fn workers(&self) -> &[Peer] {
        self.all().split_last().map_or(&[], |(_, workers)| workers)
    }

    /// Returns what each loop has counted, the workers first, and how many commands of other threads wait for it.
    pub(crate) fn monitors(&self) -> Vec<(&Monitor, usize)> {
        let queued = |peer: &Peer| peer.queue.upgrade().map_or(0, |queue| queue.remote.len());
        self.all().iter().map(|peer| (&*peer.monitor, queued(peer))).collect()
    }

    /// Returns the running worker with the fewest connections.
    pub(crate) fn least_loaded(&self) -> Option<usize> {
        let running = |peer: &Peer| peer.queue.upgrade().is_some_and(|queue| !queue.remote.is_closed());
        let loads = self.workers().iter().enumerate().filter(|(_, peer)| running(peer));
        loads.min_by_key(|(_, peer)| peer.connections.load(Relaxed)).map(|(index, _)| index)
    }

    /// The number of connections of all workers.
    pub(crate) fn connections(&self) -> usize {
        self.workers().iter().map(|peer| peer.connections.load(Relaxed)).sum()
    }

    /// A loop has lost a connection, or could not create it.
    pub(super) fn remove_connection(&self, index: usize) {
        if let Some(peer) = self.all().get(index) {
            peer.connections.fetch_sub(1, Relaxed);
        }
    }
}

impl Membership {
    /// The number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.peers.workers().len()
    }

    /// Counts a connection that this loop creates.
    pub(super) fn take_place(&self) -> LoopPlace {
        LoopPlace::take(&self.peers, self.index)
    }
}

impl LoopPlace {
    pub(super) fn take(peers: &Arc<Peers>, index: usize) -> Self {
        if let Some(peer) = peers.all().get(index) {
            peer.connections.fetch_add(1, Relaxed);
        }
        Self { peers: Arc::clone(peers), index, is_kept: false }
    }

    /// The connection has been created, and counts until it is removed from the queue.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for LoopPlace {
    fn drop(&mut self) {
        if !self.is_kept {
            self.peers.remove_connection(self.index);
        }
    }
}
