//! The inner cycle of a turn: read from a batch of connections, execute commands, write output.

use super::api::factory::Factory;
use super::api::handler::Handler;
use super::entries::{Entries, Entry};
use super::fairness::CLOCK_WORK;
use super::loop_state::LoopState;
use super::phase::LoopPhase;
use super::publishing::delivery;
use super::system::{Event, System};
use super::{Backlog, Reactor, WAKER, connection};

/// A batch of connections ends at this many commands of their handlers.
const MAX_BATCH_COMMANDS: usize = 64;

/// What [`Reactor::serve`] has not read from yet.
struct Unserved<I> {
    /// Connections that were not read from in the previous turn, because it was over.
    first: std::vec::IntoIter<u32>,
    events: I,
    /// Connections that have exceeded their budget in the previous turn.
    resumed: std::vec::IntoIter<u32>,
    /// Whether connections with events may still come first.
    is_first: bool,
    /// Whether one of `resumed` has been read from.
    has_resumed: bool,
}

impl<F: Factory, S: System> Reactor<F, S> {
    /// Handles the events: reads from a batch of connections, executes the commands of their handlers, and writes the
    /// output, until every event is handled.
    ///
    /// Without batches, the replies to a thousand connections would each need a buffer, and would have left the
    /// processor's cache before they are written.
    pub(super) fn serve(&mut self) {
        let events = std::mem::replace(&mut self.events, S::new_events(0));
        let first = self.state.work.take_unserved().into_iter();
        let resumed = self.state.work.take_to_read().into_iter();
        // Commands that did not fit into the last turn come before new ones. Otherwise they would accumulate without limit.
        if self.backlog == Backlog::Postponed || self.state.publications.is_full() {
            self.execute_queued();
            self.flush();
        }
        let mut unserved =
            Unserved { first, events: S::events(&events), resumed, is_first: true, has_resumed: false };
        if self.state.publications.is_full() || self.state.is_blocked() {
            self.defer(&mut unserved);
        }
        while self.read(&mut unserved) {
            self.execute_queued();
            self.flush();
            if self.state.fairness.is_over() {
                self.defer(&mut unserved);
            }
        }
        if has_to_open(self) {
            self.state.begin(LoopPhase::Open);
            self.continue_connecting();
            self.accept_all();
        }
        if self.state.work.has_to_work() {
            work(&mut self.entries, &mut self.state);
        }
        self.execute_queued();
        self.flush();
        drop(unserved);
        self.events = events;
    }

    /// Reads from a batch of connections. Returns whether the batch is full.
    fn read(&mut self, unserved: &mut Unserved<impl Iterator<Item = Event>>) -> bool {
        self.state.begin(LoopPhase::Read);
        for slot in unserved.first.by_ref() {
            self.continue_reading(slot);
            if ends_batch(&mut self.state) {
                return true;
            }
        }
        for event in unserved.events.by_ref() {
            self.on_event(event);
            if ends_batch(&mut self.state) {
                return true;
            }
        }
        // Connections that send little receive their replies before those that send much continue.
        if std::mem::take(&mut unserved.is_first) && unserved.resumed.len() > 0 {
            return true;
        }
        for slot in unserved.resumed.by_ref() {
            unserved.has_resumed = true;
            self.continue_reading(slot);
            if ends_batch(&mut self.state) {
                return true;
            }
        }
        false
    }

    /// Leaves everything to the next turn that has not been read from. The system does not report the events again.
    ///
    /// Connections that exceed their budget wait while others have events, but not forever.
    fn defer(&mut self, unserved: &mut Unserved<impl Iterator<Item = Event>>) {
        for slot in unserved.first.as_slice().iter().chain(unserved.resumed.as_slice()) {
            if let Some(Entry::Connected(connection)) = self.entries.in_slot(*slot) {
                connection::flush_kept(connection, &mut self.state);
            }
        }
        self.state.work.put_back_unserved(unserved.first.by_ref());
        unserved.events.by_ref().for_each(|event| self.on_event(event));
        let is_skipped = !unserved.has_resumed && unserved.resumed.len() > 0;
        if self.state.fairness.must_resume(is_skipped)
            && let Some(slot) = unserved.resumed.next()
        {
            self.continue_reading(slot);
        }
        self.state.work.put_back_to_read(unserved.resumed.by_ref());
    }

    /// Continues reading from a connection where an earlier turn stopped.
    fn continue_reading(&mut self, slot: u32) {
        delivery::catch_up(slot, &mut self.entries, &mut self.state);
        if let Some(Entry::Connected(connection)) = self.entries.in_slot(slot) {
            connection.continue_reading(&mut self.buffer, &mut self.state);
        }
    }

    /// Handles one event.
    fn on_event(&mut self, event: Event) {
        let slot = u32::try_from(event.token.0).ok();
        if let Some(slot) = slot.filter(|_| event.is_readable) {
            delivery::catch_up(slot, &mut self.entries, &mut self.state);
        }
        match slot.and_then(|slot| self.entries.in_slot(slot)) {
            Some(Entry::Connected(connection)) => {
                if event.is_writable {
                    connection.on_writable(&mut self.state);
                }
                if event.is_readable {
                    connection.on_readable(event.is_read_closed, &mut self.buffer, &mut self.state);
                }
            }
            Some(Entry::Connecting(attempt)) => self.connecting.push(attempt.id),
            Some(Entry::Arriving(arrival)) => self.arrivals.on_event(arrival.id),
            // The waker has no other purpose than to end `wait`.
            Some(Entry::Vacating) | None if event.token == WAKER => {}
            Some(Entry::Vacating) | None => self.listeners.on_event(event.token),
        }
    }
}

/// Whether connection attempts may continue, or connections may wait to be accepted.
fn has_to_open<F: Factory, S: System>(reactor: &Reactor<F, S>) -> bool {
    !reactor.connecting.is_empty()
        || reactor.state.system.is_resolving()
        || reactor.arrivals.has_ready()
        || reactor.listeners.is_any_ready()
}

/// Compresses and decompresses parts of long messages, one connection after the other, until the turn is over. One connection
/// continues in any case. Everything else comes first, because a short message can cause much of this work.
fn work<H: Handler, S: System>(entries: &mut Entries<H, S>, state: &mut LoopState<S>) {
    // Handlers receive messages as in this phase.
    state.begin(LoopPhase::Read);
    while let Some(slot) = state.work.next_to_work() {
        if let Some(Entry::Connected(connection)) = entries.in_slot(slot) {
            connection::work(connection, state);
        }
        state.fairness.add_work(CLOCK_WORK);
        if state.step() {
            return;
        }
    }
}

/// Whether the batch ends after a connection: because the turn is over, or because much output waits.
fn ends_batch<S: System>(state: &mut LoopState<S>) -> bool {
    let is_over = state.step();
    is_over || is_batch_full(state)
}

/// Whether much output waits to be produced or written, or connections hold too much memory.
fn is_batch_full<S: System>(state: &LoopState<S>) -> bool {
    let (commands, queued) = state.queue.local_load();
    commands >= MAX_BATCH_COMMANDS || state.work.is_flush_due(queued) || state.memory.is_exceeded()
}
