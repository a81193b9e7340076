//! Circular, doubly linked chains through nodes that are stored in a vector.
//!
//! An index that does not exist is ignored, so no call can panic.

/// The neighbors of a node in its chain. A node that is alone is its own neighbor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl Links {
    pub(super) const fn alone(index: u32) -> Self {
        Self { prev: index, next: index }
    }
}

/// Nodes, each of which is in one chain.
pub(super) trait Ring {
    fn links(&mut self, index: u32) -> Option<&mut Links>;

    /// The next node in a chain, which is `index` itself if it is alone.
    fn next(&mut self, index: u32) -> Option<u32> {
        self.links(index).map(|links| links.next)
    }

    /// Adds a node before `head`, at the end of the chain that begins with `head`.
    fn join(&mut self, index: u32, head: u32) {
        let Some(links) = self.links(head) else { return };
        let tail = links.prev;
        self.link(tail, index);
        self.link(index, head);
    }

    /// Removes a node from its chain, and returns the next node, or `None` if it was alone. Its links are stale until it
    /// joins another chain or is [isolated](Self::isolate).
    fn leave(&mut self, index: u32) -> Option<u32> {
        let Links { prev, next } = *self.links(index)?;
        self.link(prev, next);
        (next != index).then_some(next)
    }

    /// Makes a node a chain of its own, whatever chain it was in.
    fn isolate(&mut self, index: u32) {
        self.link(index, index);
    }

    fn link(&mut self, left: u32, right: u32) {
        if let Some(links) = self.links(left) {
            links.next = right;
        }
        if let Some(links) = self.links(right) {
            links.prev = left;
        }
    }
}
