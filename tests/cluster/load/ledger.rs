//! The next number of each publisher on each topic, in a file that all processes read. It remains when a node is killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::topics::Topics;

/// The workers of a node. The handlers of each are a publisher.
pub(crate) const WORKERS: usize = 2;

/// The threads of a node that publish.
pub(crate) const THREADS: usize = 2;

/// The publishers of a node.
pub(crate) const PER_NODE: usize = WORKERS + THREADS;

/// The most nodes of a row. A node that was started again counts as another one.
pub(crate) const MAX_NODES: usize = 16;

/// The publishers of all nodes.
pub(crate) const PUBLISHERS: usize = PER_NODE * MAX_NODES;

const NUMBER: usize = size_of::<u32>();

/// The next numbers on a topic, by publisher.
pub(crate) type Next = [u32; PUBLISHERS];

/// The publisher with this index on a node: the handlers of the workers, then the threads.
pub(crate) fn publisher(node: usize, index: usize) -> usize {
    node * PER_NODE + index
}

/// The node of a publisher.
pub(crate) fn node_of(publisher: usize) -> usize {
    publisher / PER_NODE
}

#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    pub(crate) fn create(path: &Path, topics: Topics) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len((topics.all().count() * PUBLISHERS * NUMBER) as u64)?;
        Ok(Self(file))
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// Sets the number that comes next. Called before a message is published, so a publisher has published lower numbers only.
    pub(crate) fn set_next(&self, topic: u16, publisher: usize, next: u32) {
        let offset = (usize::from(topic) * PUBLISHERS + publisher) * NUMBER;
        self.0.write_all_at(&next.to_le_bytes(), offset as u64).unwrap();
    }

    pub(crate) fn next(&self, topic: u16) -> Next {
        let mut bytes = [0; PUBLISHERS * NUMBER];
        let offset = usize::from(topic) * bytes.len();
        self.0.read_exact_at(&mut bytes, offset as u64).unwrap();
        let mut numbers = bytes.chunks_exact(NUMBER);
        std::array::from_fn(|_| u32::from_le_bytes(numbers.next().unwrap().try_into().unwrap()))
    }

    /// The number of messages that were published on all topics.
    pub(crate) fn published(&self, topics: Topics) -> u64 {
        topics.all().flat_map(|topic| self.next(topic)).map(u64::from).sum()
    }
}
