//! When to ask a silent server whether it still exists.

use std::time::{Duration, Instant};

/// The silence after which a PING is sent, and then after which the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

/// When something was received last, and whether a PING is unanswered.
#[derive(Debug)]
pub(super) struct Liveness {
    since: Instant,
    has_pinged: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Wait,
    Ping,
    Lost,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, has_pinged: false }
    }

    /// Something was received, or nothing could be, because reading is paused.
    pub(super) fn on_alive(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    pub(super) fn check(&mut self, now: Instant) -> Check {
        if now < self.deadline() {
            return Check::Wait;
        }
        if self.has_pinged {
            return Check::Lost;
        }
        (self.since, self.has_pinged) = (now, true);
        Check::Ping
    }

    /// Returns when to check again.
    pub(super) fn deadline(&self) -> Instant {
        self.since + SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_is_pinged_and_then_lost() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        let almost = SILENCE.saturating_sub(Duration::from_millis(1));
        assert_eq!(liveness.check(start + almost), Check::Wait);
        assert_eq!(liveness.deadline(), start + SILENCE);
        assert_eq!(liveness.check(start + SILENCE), Check::Ping);
        assert_eq!(liveness.check(start + SILENCE + almost), Check::Wait);
        assert_eq!(liveness.check(start + SILENCE * 2), Check::Lost);
    }

    #[test]
    fn anything_received_is_an_answer() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert_eq!(liveness.check(start + SILENCE), Check::Ping);
        liveness.on_alive(start + SILENCE * 3 / 2);
        assert_eq!(liveness.check(start + SILENCE * 2), Check::Wait);
        assert_eq!(liveness.check(start + SILENCE * 5 / 2), Check::Ping);
    }
}
