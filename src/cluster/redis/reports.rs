//! Reports the events of the connections to the inbox.

use std::mem;
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::session::Event;
use crate::cluster::Inbox;
use crate::error::Error;

/// The shortest time between two messages about rejected publications.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Reports {
    inbox: Inbox,
    /// The publications that the server has answered since `up`.
    answered: u64,
    /// The rejected ones that are not logged.
    unlogged: usize,
    logged_at: Option<Instant>,
}

impl Reports {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self { inbox, answered: 0, unlogged: 0, logged_at: None }
    }

    pub(super) fn has_room(&self) -> bool {
        self.inbox.has_room()
    }

    pub(super) fn on_up(&mut self) {
        self.answered = 0;
        self.inbox.up();
    }

    pub(super) fn on_down(&self, err: &Error) {
        debug!("the connection to the Redis server has ended: {err}");
        self.inbox.down(&err.to_string());
    }

    /// Reports the events of one read, in their order. Subscriptions that follow each other are reported together, messages likewise, and
    /// answered publications at the end. Returns the number of the latter.
    pub(super) fn report(&mut self, events: Vec<Event>, now: Instant) -> usize {
        let answered_before = self.answered;
        let (mut subscribed, mut messages) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Subscribed(channel) => {
                    self.report_messages(&mut messages);
                    subscribed.push(channel);
                }
                Event::Message { channel, payload } => {
                    self.report_subscribed(&mut subscribed);
                    messages.push((channel, payload));
                }
                Event::Published => self.answered += 1,
                Event::Rejected(reason) => {
                    self.answered += 1;
                    self.inbox.rejected(self.answered);
                    self.log_rejected(&reason, now);
                }
            }
        }
        self.report_subscribed(&mut subscribed);
        self.report_messages(&mut messages);
        if self.answered > answered_before {
            self.inbox.acknowledged(self.answered);
        }
        usize::try_from(self.answered - answered_before).unwrap_or(usize::MAX)
    }

    fn report_subscribed(&self, channels: &mut Vec<String>) {
        if !channels.is_empty() {
            let channels = mem::take(channels);
            self.inbox.subscribed(&channels.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    fn report_messages(&self, messages: &mut Vec<(String, Vec<u8>)>) {
        if !messages.is_empty() {
            let messages = mem::take(messages);
            let borrowed = messages.iter().map(|(channel, payload)| (&**channel, &**payload));
            self.inbox.deliver_all(&borrowed.collect::<Vec<_>>());
        }
    }

    fn log_rejected(&mut self, reason: &str, now: Instant) {
        self.unlogged += 1;
        let is_recent = |logged: Instant| now.saturating_duration_since(logged) < LOG_INTERVAL;
        if self.logged_at.is_some_and(is_recent) {
            return;
        }
        self.logged_at = Some(now);
        let count = mem::take(&mut self.unlogged);
        warn!("the Redis server has refused publications ({count} since the last message): {reason}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cluster::BrokerEvents;

    /// Records the reports as text.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Recorder {
        fn record(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }

    impl BrokerEvents for Recorder {
        fn up(&self) {
            self.record("up".to_owned());
        }
        fn down(&self, reason: &str) {
            self.record(format!("down: {reason}"));
        }
        fn subscribed(&self, channels: &[&str]) {
            self.record(format!("subscribed {}", channels.join(" ")));
        }
        fn acknowledged(&self, count: u64) {
            self.record(format!("acknowledged {count}"));
        }
        fn rejected(&self, number: u64) {
            self.record(format!("rejected {number}"));
        }
        fn deliver(&self, channel: &str, payload: &[u8]) {
            self.record(format!("{channel}: {}", payload.len()));
        }
        fn has_room(&self) -> bool {
            true
        }
    }

    #[test]
    fn reports_are_joined_and_keep_their_order() {
        let recorder = Arc::new(Recorder::default());
        let mut reports = Reports::new(Inbox::new(Arc::<Recorder>::clone(&recorder)));
        let subscribed = |channel: &str| Event::Subscribed(channel.to_owned());
        let message = Event::Message { channel: "b".to_owned(), payload: vec![0; 5] };
        let now = Instant::now();
        reports.on_up();
        let events = vec![
            subscribed("a"),
            subscribed("b"),
            message,
            Event::Published,
            subscribed("c"),
            Event::Published,
        ];
        assert_eq!(reports.report(events, now), 2);
        assert_eq!(reports.report(vec![Event::Rejected("NOPERM".to_owned()), Event::Published], now), 2);
        assert_eq!(reports.report(Vec::new(), now), 0);
        reports.on_down(&Error::new(crate::ErrorKind::Internal, "the end"));
        reports.on_up();
        assert_eq!(reports.report(vec![Event::Published], now), 1);
        let expected = [
            "up",
            "subscribed a b",
            "b: 5",
            "subscribed c",
            "acknowledged 2",
            "rejected 3",
            "acknowledged 4",
            "down: the end",
            "up",
            "acknowledged 1",
        ];
        assert_eq!(*recorder.0.lock().unwrap(), expected);
    }

    #[test]
    fn rejections_are_logged_once_per_second() {
        let mut reports = Reports::new(Inbox::new(Arc::new(Recorder::default())));
        let start = Instant::now();
        let mut unlogged_after = |now| {
            reports.report(vec![Event::Rejected("OOM".to_owned())], now);
            reports.unlogged
        };
        assert_eq!(
            [unlogged_after(start), unlogged_after(start), unlogged_after(start + LOG_INTERVAL / 2)],
            [0, 1, 2]
        );
        assert_eq!(unlogged_after(start + LOG_INTERVAL), 0);
    }
}
