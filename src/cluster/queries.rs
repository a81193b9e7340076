//! Questions to other nodes: how many subscribers a topic has.

use std::time::Instant;

use super::broker::NodeId;
use super::events::{Event, Events};

/// The number of questions that wait for answers at most.
pub(super) const MAX_QUERIES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Queries {
    open: Vec<Query>,
    last: u64,
}

#[derive(Debug)]
struct Query {
    id: u64,
    deadline: Instant,
    count: u64,
    /// The number of nodes that were asked.
    nodes: usize,
    /// Those that have not answered.
    waiting: Vec<NodeId>,
}

impl Queries {
    /// Begins a question to these nodes. `None` if there are too many.
    pub(super) fn begin(
        &mut self,
        nodes: Vec<NodeId>,
        deadline: Instant,
        events: &mut Events,
    ) -> Option<u64> {
        if self.open.len() >= MAX_QUERIES {
            return None;
        }
        self.last += 1;
        let query = Query { id: self.last, deadline, count: 0, nodes: nodes.len(), waiting: nodes };
        self.open.push(query);
        self.finish(events, Query::is_complete);
        Some(self.last)
    }

    pub(super) fn answer(&mut self, id: u64, node: NodeId, count: u64, events: &mut Events) {
        if let Some(query) = self.open.iter_mut().find(|query| query.id == id)
            && query.remove(node)
        {
            query.count = query.count.saturating_add(count);
            self.finish(events, Query::is_complete);
        }
    }

    /// A node has ended or is lost. It is not counted.
    pub(super) fn remove(&mut self, node: NodeId, events: &mut Events) {
        for query in &mut self.open {
            query.nodes -= usize::from(query.remove(node));
        }
        self.finish(events, Query::is_complete);
    }

    /// Ends the questions whose time is over.
    pub(super) fn tick(&mut self, now: Instant, events: &mut Events) {
        self.finish(events, |query| query.deadline <= now);
    }

    /// Ends all questions.
    pub(super) fn end(&mut self, events: &mut Events) {
        self.finish(events, |_| true);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.iter().map(|query| query.deadline).min()
    }

    fn finish(&mut self, events: &mut Events, is_over: impl Fn(&Query) -> bool) {
        self.open.retain(|query| {
            let is_over = is_over(query);
            if is_over {
                let &Query { id, count, nodes, ref waiting, .. } = query;
                events.push(Event::Counted { query: id, count, answered: nodes - waiting.len(), nodes });
            }
            !is_over
        });
    }
}

impl Query {
    fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns whether the node had not answered.
    fn remove(&mut self, node: NodeId) -> bool {
        let position = self.waiting.iter().position(|waiting| *waiting == node);
        position.map(|position| self.waiting.swap_remove(position)).is_some()
    }
}
