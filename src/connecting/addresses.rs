//! In which order, and when, the addresses of a host are tried (RFC 8305, "happy eyeballs").
//!
//! The addresses of both families alternate, and the next attempt begins while earlier ones are still under way. §3 does not
//! apply: the resolver of the system returns the addresses of both families with one call, in the order of RFC 6724.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The time after which the next attempt begins, although the last one has not failed: the Connection Attempt Delay (§5).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most attempts at the same time. Each needs a socket, and in `blocking` a thread.
const MAX_ATTEMPTS: usize = 8;

/// The attempts to connect to the addresses of one host.
///
/// [`next`](Self::next) returns the address to connect to, [`failed`](Self::failed) and [`expire`](Self::expire) end attempts,
/// and [`deadline`](Self::deadline) is the time of the next call.
#[derive(Debug)]
pub(crate) struct Addresses {
    waiting: VecDeque<SocketAddr>,
    /// The attempts under way, and when each of them has taken too long.
    running: Vec<(SocketAddr, Option<Instant>)>,
    /// When the next attempt begins. `None` means at once.
    next_at: Option<Instant>,
    /// How long an attempt may take.
    limit: Duration,
}

impl Addresses {
    /// Sorts the addresses of a host. `limit` is how long the attempt for one of them may take.
    pub(crate) fn new(resolved: Vec<SocketAddr>, limit: Duration) -> Self {
        Self { waiting: interleaved(resolved), running: Vec::new(), next_at: None, limit }
    }

    /// Returns the address to which an attempt begins now, if there is one. Call this until it returns `None`.
    pub(crate) fn next(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.running.len() >= MAX_ATTEMPTS || self.next_at.is_some_and(|at| at > now) {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.running.push((address, now.checked_add(self.limit)));
        self.next_at = now.checked_add(ATTEMPT_DELAY);
        Some(address)
    }

    /// Whether the attempt that was returned last is the only one, and no other follows.
    pub(crate) fn is_last(&self) -> bool {
        self.waiting.is_empty() && self.running.len() <= 1
    }

    /// The attempt for an address has failed. The next one begins at once.
    pub(crate) fn failed(&mut self, address: SocketAddr) {
        if let Some(at) = self.running.iter().position(|(running, _)| *running == address) {
            self.running.remove(at);
            self.next_at = None;
        }
    }

    /// Ends an attempt that has taken too long, and returns its address. Call this until it returns `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<SocketAddr> {
        let is_late = |end: Option<Instant>| end.is_some_and(|end| end <= now);
        let (address, _) = *self.running.iter().find(|(_, end)| is_late(*end))?;
        self.failed(address);
        Some(address)
    }

    /// Returns when the attempt for an address has taken too long.
    pub(crate) fn end_of(&self, address: SocketAddr) -> Option<Instant> {
        self.running.iter().find(|(running, _)| *running == address).and_then(|(_, end)| *end)
    }

    /// Returns when the next attempt begins or one of them has taken too long, whichever is first.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let can_start = !self.waiting.is_empty() && self.running.len() < MAX_ATTEMPTS;
        let ends = self.running.iter().filter_map(|(_, end)| *end);
        ends.chain(self.next_at.filter(|_| can_start)).min()
    }

    /// Whether all attempts have failed.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

/// Sorts addresses so that the families alternate (§4). The first address keeps its place, and the order within a family stays:
/// the First Address Family Count is 1. An address that is repeated is left out.
fn interleaved(resolved: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(resolved.len());
    for address in resolved {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_ipv6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut sorted = VecDeque::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        sorted.extend(first.next());
        sorted.extend(second.next());
    }
    sorted
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
