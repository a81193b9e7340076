//! The timeouts of a connection: for its handshakes, and for a silent peer.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::js;
use super::link::Link;
use super::state::ReadyState;
use super::timer::DelayedCall;
use crate::protocol::ProtocolError;

impl Link {
    /// Records that the peer is not silent.
    pub(super) fn record_activity(&self) {
        if self.limits.idle_timeout.is_some() {
            let now = js::now();
            self.with(|state| state.last_activity = now);
        }
    }

    /// Calls a function when the opening or the closing handshake has taken too long, unless it ends before.
    pub(super) fn set_deadline(self: &Rc<Self>, timeout: Duration, late: impl Fn(&Rc<Self>) + 'static) {
        let link = Rc::downgrade(self);
        let call = DelayedCall::schedule(timeout, move || if_alive(&link, &late));
        let before = self.with(|state| state.deadline.replace(call));
        drop(before);
    }

    /// Checks after a duration whether the peer was silent for too long.
    pub(super) fn schedule_idle_check(self: &Rc<Self>, after: Duration) {
        let link = Rc::downgrade(self);
        let call = DelayedCall::schedule(after, move || if_alive(&link, Self::check_silence));
        let before = self.with(|state| state.idle.replace(call));
        drop(before);
    }

    fn check_silence(self: &Rc<Self>) {
        let Some(allowed) = self.limits.idle_timeout else { return };
        let (since, is_open, has_waiting) = self.with(|state| {
            (state.last_activity, state.ready_state == ReadyState::Open, !state.received.is_empty())
        });
        if !is_open {
            return;
        }
        let silent = Duration::try_from_secs_f64((js::now() - since) / 1000.0).unwrap_or_default();
        match allowed.checked_sub(silent) {
            Some(rest) if !rest.is_zero() => self.schedule_idle_check(rest),
            // The program does not receive, so the peer cannot be blamed.
            _ if has_waiting => self.schedule_idle_check(allowed),
            _ => self.fail(ProtocolError::IdleTimeout.into()),
        }
    }
}

fn if_alive(link: &Weak<Link>, then: impl Fn(&Rc<Link>)) {
    if let Some(link) = link.upgrade() {
        then(&link);
    }
}
