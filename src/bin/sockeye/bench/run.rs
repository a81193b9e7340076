//! What all connections of a measurement share: the plan, and what has been measured.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sockeye::{Message, Response, Sender};

use super::progress::Progress;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::options::{BenchOptions, Load, RequestOptions};
use crate::settings::keepalive;

/// Latencies are recorded with three significant digits.
const DIGITS: u8 = 3;
/// An hour in nanoseconds. A longer latency is recorded as this one.
const LONGEST: u64 = 3_600_000_000_000;

pub(super) struct Run {
    pub(super) load: Load,
    pub(super) request: RequestOptions,
    pub(super) message: Message,
    pub(super) keepalive: Duration,
    pub(super) progress: Progress,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) connected: Connected,
    pub(super) phase: Phase,
    /// The number of messages that have been sent, and that have returned.
    pub(super) sent: u64,
    pub(super) returned: u64,
    started: Option<Instant>,
    ended: Option<Instant>,
    error: Option<Failure>,
}

/// How many attempts to connect have ended.
#[derive(Debug, Default)]
pub(super) struct Connected {
    pub(super) waiting: Vec<Sender>,
    pub(super) opened: u32,
    pub(super) failed: u32,
    pub(super) lost: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Sending,
    /// What has been sent can still return.
    Draining,
}

impl Run {
    pub(super) fn new(options: &BenchOptions) -> Result<Rc<RefCell<Self>>, Failure> {
        let latencies =
            Histogram::new_with_bounds(1, LONGEST, DIGITS).map_err(|err| Failure::failed(err.to_string()))?;
        let bytes = vec![b'x'; options.load.size.0];
        let message = if options.load.binary {
            Message::binary(bytes)
        } else {
            Message::text(String::from_utf8_lossy(&bytes))
        };
        Ok(Rc::new(RefCell::new(Self {
            progress: Progress::new(&options.load, options.quiet || options.json),
            load: options.load.clone(),
            request: options.request.clone(),
            message,
            keepalive: keepalive(&options.timing),
            latencies,
            connected: Connected::default(),
            phase: Phase::Connecting,
            sent: 0,
            returned: 0,
            started: None,
            ended: None,
            error: None,
        })))
    }

    /// Returns the senders of all connections once each one is open or has failed. The measurement begins then.
    pub(super) fn start_if_ready(&mut self, now: Instant) -> Vec<Sender> {
        let Connected { opened, failed, .. } = self.connected;
        if self.phase != Phase::Connecting || opened == 0 || opened + failed < self.load.connections {
            return Vec::new();
        }
        self.phase = Phase::Sending;
        self.started = Some(now);
        self.progress.start();
        std::mem::take(&mut self.connected.waiting)
    }

    pub(super) fn started(&self) -> Instant {
        self.started.unwrap_or_else(Instant::now)
    }

    /// Whether further messages are to be sent.
    pub(super) fn has_messages(&self, now: Instant) -> bool {
        let is_over = self.load.duration().is_some_and(|limit| now.duration_since(self.started()) >= limit);
        self.phase == Phase::Sending && !is_over && self.load.count.is_none_or(|count| self.sent < count)
    }

    /// A message has returned that was due, or was sent, at `since`.
    pub(super) fn record(&mut self, since: Instant, now: Instant) {
        let nanos = u64::try_from(now.saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(nanos.max(1));
        self.returned += 1;
        self.ended = Some(now);
        self.progress.update(self.returned, now.duration_since(self.started()));
    }

    pub(super) fn rejected(&mut self, response: &Response) {
        let text =
            format!("the server answered {} {}", response.status(), crate::escape::line(response.reason()));
        self.failed(Failure { exit: Exit::Rejected, text });
    }

    /// Records the first error of a connection.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.error.get_or_insert(failure);
    }

    pub(super) fn finish(&mut self) {
        self.progress.finish();
    }

    /// How long the measurement took, until the last message returned.
    pub(super) fn elapsed(&self) -> Duration {
        match (self.started, self.ended) {
            (Some(started), Some(ended)) => ended.duration_since(started),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn error(&self) -> Option<&Failure> {
        self.error.as_ref()
    }

    /// Why there is no result.
    pub(super) fn failure(&self) -> Option<Failure> {
        if self.connected.opened > 0 || interrupt::has_happened() {
            return None;
        }
        self.error.as_ref().map(|error| Failure { exit: error.exit, text: error.text.clone() })
    }

    pub(super) fn exit(&self) -> Exit {
        match &self.error {
            _ if interrupt::has_happened() => Exit::Interrupted,
            Some(error) => error.exit,
            None if self.returned < self.sent => Exit::Lost,
            None => Exit::Success,
        }
    }
}
