//! How long a connection waits: for its handshakes, and for a peer that is silent.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::js;
use super::link::Link;
use super::state::Phase;
use super::timer::Alarm;
use crate::protocol::ProtocolError;

impl Link {
    /// The peer is not silent.
    pub(super) fn hear(&self) {
        if self.limits.idle_timeout.is_some() {
            let now = js::now();
            self.with(|state| state.heard = now);
        }
    }

    /// Calls when the opening or the closing handshake has taken too long, unless it ends before.
    pub(super) fn set_deadline(self: &Rc<Self>, patience: Duration, late: impl Fn(&Rc<Self>) + 'static) {
        let link = Rc::downgrade(self);
        let alarm = Alarm::set(patience, move || if_there(&link, &late));
        let before = self.with(|state| state.deadline.replace(alarm));
        drop(before);
    }

    /// Waits for as long as the peer may be silent.
    pub(super) fn listen(self: &Rc<Self>, patience: Duration) {
        let link = Rc::downgrade(self);
        let alarm = Alarm::set(patience, move || if_there(&link, Self::check_silence));
        let before = self.with(|state| state.idle.replace(alarm));
        drop(before);
    }

    fn check_silence(self: &Rc<Self>) {
        let Some(allowed) = self.limits.idle_timeout else { return };
        let (since, is_open, has_waiting) =
            self.with(|state| (state.heard, state.phase == Phase::Open, !state.inbox.is_empty()));
        if !is_open {
            return;
        }
        let silent = Duration::try_from_secs_f64((js::now() - since) / 1000.0).unwrap_or_default();
        match allowed.checked_sub(silent) {
            Some(rest) if !rest.is_zero() => self.listen(rest),
            // It is the program that does not listen.
            _ if has_waiting => self.listen(allowed),
            _ => self.fail(ProtocolError::IdleTimeout.into()),
        }
    }
}

fn if_there(link: &Weak<Link>, then: impl Fn(&Rc<Link>)) {
    if let Some(link) = link.upgrade() {
        then(&link);
    }
}
