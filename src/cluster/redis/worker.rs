//! The thread of the broker: connects, exchanges commands and events, and connects again.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::Waker;

use super::connector::{Connector, Pair, Poller, WAKER};
use super::queue::{Backlog, CommandQueue, Limits, Request, Subscription, Work};
use super::reports::Reports;
use crate::cluster::Inbox;
use crate::connecting::backoff::Backoff;
use crate::error::{Error, Result};

/// How often the inbox is asked whether it has room again.
const PAUSE: Duration = Duration::from_millis(5);

/// The time for sending what is queued when the broker is stopped.
const FINAL_FLUSH: Duration = Duration::from_secs(1);

/// The longest wait before the first attempt to connect again.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait before any attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A connection that has lived this long resets the back-off.
const STABLE: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    connector: Connector,
    poller: Poller,
    queue: CommandQueue,
    reports: Reports,
    backoff: Backoff,
    /// The publications that were answered since the queue was asked last.
    answered: usize,
}

impl Worker {
    pub(super) fn new(connector: Connector, limits: Limits, inbox: Inbox) -> io::Result<Self> {
        let poller = Poller::new()?;
        let queue = CommandQueue::new(Waker::new(poller.poll.registry(), WAKER)?, limits);
        let reports = Reports::new(inbox);
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        Ok(Self { connector, poller, queue, reports, backoff, answered: 0 })
    }

    pub(super) fn queue(&self) -> CommandQueue {
        self.queue.clone()
    }

    /// Connects once.
    pub(super) fn connect(&mut self) -> Result<Pair> {
        let queue = &self.queue;
        self.connector.connect(&mut self.poller, &|| queue.is_stopping())
    }

    /// Runs until the broker is stopped.
    pub(super) fn run(mut self, pair: Pair) {
        let mut next = Some(pair);
        while let Some(mut pair) = next {
            let connected_at = Instant::now();
            info!("connected to the Redis server at {}", self.connector.target.address);
            self.queue.open();
            self.reports.on_up();
            let ended = self.exchange(&mut pair);
            pair.close();
            drop(pair);
            let Err(err) = ended else { return };
            // The library regards everything up to here as unacknowledged, and does not queue anything afterwards: nothing is
            // forgotten that it does not know of.
            self.reports.on_down(&err);
            self.queue.close();
            self.answered = 0;
            if connected_at.elapsed() >= STABLE {
                self.backoff.reset();
            }
            next = self.reconnect();
        }
    }

    /// Connects again. Returns `None` if the broker was stopped.
    fn reconnect(&mut self) -> Option<Pair> {
        loop {
            let wait = self.backoff.next_wait(rand::random());
            if !self.wait(wait) {
                return None;
            }
            match self.connect() {
                Ok(pair) => return Some(pair),
                Err(_) if self.queue.is_stopping() => return None,
                Err(err) => warn!("cannot connect again: {err}"),
            }
        }
    }

    /// Waits. Returns whether the broker was not stopped.
    fn wait(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.queue.is_stopping() {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            if let Err(err) = self.poller.poll(left) {
                warn!("cannot wait for events: {err}");
                thread::sleep(left);
            }
        }
    }

    /// Passes commands and events on until the broker is stopped.
    ///
    /// # Errors
    ///
    /// Why the connection has ended.
    fn exchange(&mut self, pair: &mut Pair) -> Result<()> {
        loop {
            let now = Instant::now();
            let is_paused = self.receive(pair, now)?;
            pair.flush()?;
            for connection in pair.both() {
                connection.check(now)?;
            }
            let work = self.take_work(pair);
            match work.request {
                Request::None => {}
                Request::Reconnect => {
                    return Err(Error::io("the cluster requires a new connection", stale()));
                }
                Request::Stop => {
                    self.finish(pair, work);
                    return Ok(());
                }
            }
            let is_busy = !work.is_empty()
                || pair.publisher.is_readable()
                || (pair.subscriber.is_readable() && !is_paused);
            apply(work, pair);
            pair.flush()?;
            let timeout = if is_busy { Duration::ZERO } else { timeout(pair, now, is_paused) };
            self.poller.wait(pair, timeout)?;
        }
    }

    /// Reads and reports what has arrived. Returns whether the inbox has no room.
    fn receive(&mut self, pair: &mut Pair, now: Instant) -> Result<bool> {
        let is_paused = !self.reports.has_room();
        let mut events = Vec::new();
        let mut read = Ok(());
        if is_paused {
            pair.subscriber.on_paused(now);
        } else {
            read = pair.subscriber.read(&mut self.poller.buffer, now, &mut events);
        }
        let published = pair.publisher.read(&mut self.poller.buffer, now, &mut events);
        // What has arrived before a failure is valid.
        self.answered += self.reports.report(events, now);
        read.and(published)?;
        Ok(is_paused)
    }

    fn take_work(&mut self, pair: &Pair) -> Work {
        self.queue.take(Backlog {
            unsent: pair.publisher.unsent(),
            answered: std::mem::take(&mut self.answered),
            accepts_subscriptions: pair.subscriber.unsent() == 0,
        })
    }

    /// Sends what is queued, and waits until the server has answered it: it would not execute what it has not read when the
    /// connection is closed. Reports nothing.
    fn finish(&mut self, pair: &mut Pair, mut work: Work) {
        let deadline = Instant::now() + FINAL_FLUSH;
        loop {
            let now = Instant::now();
            work.subscriptions.clear();
            apply(work, pair);
            let sent = pair.publisher.flush();
            let read = pair.publisher.read(&mut self.poller.buffer, now, &mut Vec::new());
            work = self.take_work(pair);
            let is_idle =
                work.is_empty() && pair.publisher.unsent() == 0 && pair.publisher.session().is_idle();
            let left = deadline.saturating_duration_since(now);
            if is_idle || left.is_zero() || sent.and(read).is_err() {
                return;
            }
            let is_busy = !work.is_empty() || pair.publisher.is_readable();
            if self.poller.wait(pair, if is_busy { Duration::ZERO } else { left }).is_err() {
                return;
            }
        }
    }
}

/// The reason of [`Request::Reconnect`].
fn stale() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing arrives any more")
}

/// Passes commands to the sessions. Subscriptions that follow each other are joined.
fn apply(work: Work, pair: &mut Pair) {
    let session = pair.subscriber.session();
    let (mut names, mut subscribes) = (Vec::new(), true);
    let mut send = |names: &mut Vec<String>, subscribes: bool| {
        if subscribes {
            session.subscribe(names);
        } else {
            session.unsubscribe(names);
        }
        names.clear();
    };
    for subscription in work.subscriptions {
        let (name, is_subscribe) = match subscription {
            Subscription::Subscribe(name) => (name, true),
            Subscription::Unsubscribe(name) => (name, false),
        };
        if is_subscribe != subscribes {
            send(&mut names, subscribes);
            subscribes = is_subscribe;
        }
        names.push(name);
    }
    send(&mut names, subscribes);
    if work.publication_count > 0 {
        pair.publisher.session().publish(work.publications, work.publication_count);
    }
}

/// Returns how long nothing has to be done without an event.
fn timeout(pair: &mut Pair, now: Instant, is_paused: bool) -> Duration {
    let [one, other] = pair.both().map(|connection| connection.deadline());
    let left = one.min(other).saturating_duration_since(now);
    if is_paused { left.min(PAUSE) } else { left }
}
