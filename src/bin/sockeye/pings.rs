//! Pings that were sent, for the round-trip times of their Pongs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The oldest Pings are forgotten, because a peer need not answer each one (§5.5.3).
const MAX_PENDING: usize = 64;

/// The payload of a Ping that only checks whether the peer is there. Its Pong is not shown.
const KEEPALIVE: &str = "keepalive";

#[derive(Debug, Default)]
pub(crate) struct Pings {
    pending: VecDeque<(Vec<u8>, Instant)>,
    number: u64,
}

impl Pings {
    /// Returns the payload for the next Ping of a timer.
    pub(crate) fn next_payload(&mut self, is_keepalive: bool) -> Vec<u8> {
        self.number += 1;
        let kind = if is_keepalive { KEEPALIVE } else { "ping" };
        format!("{kind} {}", self.number).into_bytes()
    }

    pub(crate) fn sent(&mut self, payload: &[u8], now: Instant) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back((payload.to_vec(), now));
    }

    /// Returns the round-trip time if a Ping had this payload. Earlier Pings will not be answered any more.
    pub(crate) fn returned(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let index = self.pending.iter().position(|(sent, _)| sent == payload)?;
        let (_, sent) = self.pending.drain(..=index).next_back()?;
        Some(now.saturating_duration_since(sent))
    }
}

pub(crate) fn is_keepalive(payload: &[u8]) -> bool {
    payload.starts_with(KEEPALIVE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_belongs_to_the_ping_with_its_payload() {
        let (mut pings, start) = (Pings::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        pings.sent(b"a", at(0));
        pings.sent(b"b", at(10));
        pings.sent(b"c", at(20));
        assert_eq!(pings.returned(b"b", at(25)), Some(Duration::from_millis(15)));
        assert_eq!(pings.returned(b"a", at(26)), None);
        assert_eq!(pings.returned(b"c", at(27)), Some(Duration::from_millis(7)));
        assert_eq!(pings.returned(b"c", at(28)), None);
    }

    #[test]
    fn the_oldest_pings_are_forgotten() {
        let (mut pings, now) = (Pings::default(), Instant::now());
        for number in 0..=MAX_PENDING {
            pings.sent(&number.to_be_bytes(), now);
        }
        assert_eq!(pings.returned(&0_usize.to_be_bytes(), now), None);
        assert!(pings.returned(&1_usize.to_be_bytes(), now).is_some());
    }

    #[test]
    fn payloads_differ() {
        let mut pings = Pings::default();
        assert_ne!(pings.next_payload(false), pings.next_payload(false));
        assert!(is_keepalive(&pings.next_payload(true)) && !is_keepalive(&pings.next_payload(false)));
    }
}
