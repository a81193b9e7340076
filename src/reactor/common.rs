//! What the loops of a pool share. A loop that runs alone has it for itself.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::accepting::addresses::SiteCounts;
use super::api::settings::Settings;
use super::memory::MemoryBudget;
use super::publishing::directory::TopicDirectory;
use super::queue::peers::Membership;
use crate::cluster::{Cluster, Hub};

#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// The memory that all connections hold.
    pub(crate) memory: MemoryBudget,
    pub(crate) topics: Arc<TopicDirectory>,
    pub(super) sites: Arc<SiteCounts>,
    next_serial: Arc<AtomicU32>,
    /// The node of the process, if it belongs to a cluster.
    node: Arc<OnceLock<Arc<Hub>>>,
    /// The place of the loop in its pool, if it is in one.
    pub(super) membership: Option<Membership>,
}

impl Common {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            memory: MemoryBudget::new(settings.max_memory),
            topics: Arc::new(TopicDirectory::new(1, settings.max_topics)),
            sites: Arc::default(),
            next_serial: Arc::default(),
            node: Arc::default(),
            membership: None,
        }
    }

    /// The same for a pool with this number of loops.
    pub(super) fn for_loops(self, count: usize) -> Self {
        Self { memory: self.memory.for_loops(count), topics: Arc::new(self.topics.for_loops(count)), ..self }
    }

    /// The same for one loop of the pool.
    pub(super) fn for_member(&self, membership: Membership) -> Self {
        let memory = self.memory.for_member(membership.index);
        Self { memory, membership: Some(membership), ..self.clone() }
    }

    /// Makes the loops a node of a cluster. Only the first call has an effect.
    pub(super) fn join_cluster(&self, cluster: Cluster) {
        let node = Arc::new(Hub::new(cluster));
        self.topics.join_cluster(Arc::clone(&node));
        let _ = self.node.set(node);
    }

    /// The node of the process, if it belongs to a cluster.
    #[inline]
    pub(crate) fn node(&self) -> Option<&Arc<Hub>> {
        self.node.get()
    }

    /// The number of the loop in its pool.
    pub(super) fn loop_index(&self) -> usize {
        self.membership.as_ref().map_or(0, |own| own.index)
    }

    /// Returns the serial number of the next connection. After four billion connections, the numbers begin again.
    pub(super) fn next_serial(&self) -> u32 {
        self.next_serial.fetch_add(1, Relaxed)
    }

    /// Returns the serial number that the next connection of the pool receives.
    pub(super) fn peek_serial(&self) -> u32 {
        self.next_serial.load(Relaxed)
    }
}
