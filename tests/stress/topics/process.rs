//! What the clients of a process have in common.

use sockeye_test_support::misbehavior::Dice;
use url::Url;

use super::tally::Tally;
use crate::crowd::print_number;

/// How many clients connect at the same time.
pub(super) const CHAINS: usize = 16;

/// What a process of clients is asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) count: usize,
    /// How many of them connect after each order.
    pub(super) batch: usize,
    pub(super) topics: u16,
    /// About how many milliseconds a client waits before it does something.
    pub(super) pause: u64,
}

/// What the clients of this process have in common.
pub(super) struct Process {
    pub(super) plan: Plan,
    pub(super) url: Url,
    pub(super) phase: Phase,
    pub(super) dice: Dice,
    /// The number of clients that have connected, and that still have to in this batch.
    started: usize,
    unopened: usize,
    /// The number of clients whose first subscription was confirmed.
    joined: usize,
    /// The numbers of clients that connect again.
    pub(super) reconnecting: Vec<usize>,
    /// The number of clients that have finished, and of those that have closed their connection at the end.
    finished: usize,
    reported: usize,
    /// The number of subscriptions of the clients that have finished.
    memberships: usize,
    pub(super) tally: Tally,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients connect, and do nothing else.
    Opening,
    Acting,
    /// Clients end what they do.
    Finishing,
}

impl Process {
    pub(super) fn new(plan: Plan, url: Url, seed: u64) -> Self {
        Self {
            plan,
            url,
            phase: Phase::Opening,
            dice: Dice(seed),
            started: 0,
            unopened: 0,
            joined: 0,
            reconnecting: Vec::new(),
            finished: 0,
            reported: 0,
            memberships: 0,
            tally: Tally::default(),
        }
    }

    /// Allows some clients to connect. Returns how many of them begin.
    pub(super) fn begin_batch(&mut self) -> usize {
        self.unopened = self.plan.batch.min(self.plan.count - self.started);
        self.started += self.unopened;
        let chains = self.unopened.min(CHAINS);
        self.unopened -= chains;
        chains
    }

    /// A client is a subscriber for the first time. Returns whether another one connects.
    pub(super) fn add_joined(&mut self) -> bool {
        self.joined += 1;
        if self.joined == self.started {
            print_number(self.joined);
        }
        let has_next = self.unopened > 0;
        self.unopened -= usize::from(has_next);
        has_next
    }

    pub(super) fn add_finished(&mut self, memberships: usize) {
        self.finished += 1;
        self.memberships += memberships;
        if self.finished == self.plan.count {
            print_number(self.memberships);
        }
    }

    pub(super) fn add_reported(&mut self) {
        self.reported += 1;
        if self.reported == self.plan.count {
            self.tally.print();
        }
    }
}
