//! Messages and other commands that several connections receive: broadcasts, and publications to topics.
//!
//! A message to many connections takes longer than a turn. The loop therefore notes for each receiver what it has to receive, in
//! its *inbox*, and delivers the inboxes one after the other, some of them in each turn. A connection that is read from or that
//! receives a command of its own first receives its inbox, so that every connection receives everything in order.
//!
//! Consecutive messages with the same receivers are a *run*. A run needs one entry in each inbox, however many messages it
//! contains, and its messages are encoded together.

pub(super) mod delivery;
pub(crate) mod directory;
mod encodings;
mod run;
pub(super) mod topics;

use std::collections::VecDeque;

use slab::Slab;

pub(super) use self::run::{
    COPY_UP_TO, Content, EncodedFrames, Published, Run, SharedFrame, encode_for_clients,
};
use self::topics::TopicId;
use super::entries::{ConnectionId, index};

/// While this many commands wait, the loop takes no commands of other threads.
const BUSY: usize = 64;

/// The same for the bytes that several commands send to each connection.
const BUSY_BYTES: usize = 1024 * 1024;

/// While this many commands wait, nothing is read whose handler could add more.
const FULL: usize = 16 * BUSY;

/// The same for bytes.
const FULL_BYTES: usize = 16 * BUSY_BYTES;

/// The number of inboxes and of their entries whose memory is kept while nothing waits.
const MAX_KEPT: usize = 1024;

/// No entry of an inbox.
const NONE: u32 = u32::MAX;

/// What connections have not received yet.
#[derive(Debug)]
pub(super) struct Publications {
    runs: Slab<Run>,
    /// The run to which a command for the same receivers can be added: no receiver has received it, and no other run has begun.
    open: Option<(Audience, usize)>,
    /// The inboxes, by slot.
    inboxes: Vec<Inbox>,
    /// The entries of all inboxes.
    entries: Vec<InboxEntry>,
    /// The first unused entry.
    unused: u32,
    /// The slots whose inboxes are not empty, in the order in which they are delivered.
    waiting: VecDeque<u32>,
    /// How many commands wait.
    commands: usize,
    /// The bytes of their payloads.
    bytes: usize,
    /// The last receiver of a long message, which may be compressing it.
    last: Option<ConnectionId>,
}

/// The receivers of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    All,
    Topic(TopicId),
}

/// What a connection has not received yet: a list of entries.
#[derive(Debug, Clone, Copy)]
struct Inbox {
    first: u32,
    last: u32,
    /// Whether the slot is in the list of those that wait.
    is_waiting: bool,
}

#[derive(Debug, Clone, Copy)]
struct InboxEntry {
    run: u32,
    next: u32,
}

impl Default for Publications {
    fn default() -> Self {
        Self {
            runs: Slab::new(),
            open: None,
            inboxes: Vec::new(),
            entries: Vec::new(),
            unused: NONE,
            waiting: VecDeque::new(),
            commands: 0,
            bytes: 0,
            last: None,
        }
    }
}

impl Publications {
    /// Whether an inbox may contain something.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether so much waits that other threads must not add more.
    pub(super) fn is_busy(&self) -> bool {
        self.exceeds(BUSY, BUSY_BYTES)
    }

    /// Whether so much waits that nothing may be added before some of it is delivered.
    pub(super) fn is_full(&self) -> bool {
        self.exceeds(FULL, FULL_BYTES)
    }

    fn exceeds(&self, commands: usize, bytes: usize) -> bool {
        self.commands >= commands || self.commands > 1 && self.bytes >= bytes
    }

    /// The number of commands that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.commands
    }

    /// Adds a command for the connections in these slots. They must be the same as those of the open run if that has the same
    /// audience.
    pub(super) fn publish(
        &mut self,
        audience: Audience,
        command: Published,
        receivers: impl Iterator<Item = u32>,
    ) {
        let len = command.len();
        let open = self.open.filter(|(open, _)| *open == audience).map(|(_, run)| run);
        let run = match open.and_then(|run| self.runs.get_mut(run)) {
            Some(run) if run.has_room(len) => run,
            _ => match self.begin_run(audience, receivers) {
                Some(run) => run,
                None => return,
            },
        };
        run.push(command);
        self.commands += 1;
        self.bytes += len;
    }

    /// Begins a run. `None` if it has no receivers.
    fn begin_run(&mut self, audience: Audience, receivers: impl Iterator<Item = u32>) -> Option<&mut Run> {
        let run = self.runs.vacant_entry().key();
        let number = u32::try_from(run).ok()?;
        let mut count = 0;
        for slot in receivers {
            self.append(slot, number);
            count += 1;
        }
        if count == 0 {
            return None;
        }
        self.runs.insert(Run::new(count));
        self.open = Some((audience, run));
        self.runs.get_mut(run)
    }

    /// Adds an entry to an inbox.
    #[inline]
    fn append(&mut self, slot: u32, run: u32) {
        let entry = self.new_entry(run);
        let slot_index = index(slot);
        if slot_index >= self.inboxes.len() {
            let empty = Inbox { first: NONE, last: NONE, is_waiting: false };
            self.inboxes.resize(slot_index + 1, empty);
        }
        let Some(inbox) = self.inboxes.get_mut(slot_index) else { return };
        let last = std::mem::replace(&mut inbox.last, entry);
        if last == NONE {
            inbox.first = entry;
        }
        if !std::mem::replace(&mut inbox.is_waiting, true) {
            self.waiting.push_back(slot);
        }
        if let Some(last) = self.entries.get_mut(index(last)) {
            last.next = entry;
        }
    }

    #[inline]
    fn new_entry(&mut self, run: u32) -> u32 {
        let entry = InboxEntry { run, next: NONE };
        let unused = self.unused;
        match self.entries.get_mut(index(unused)) {
            Some(known) => {
                self.unused = known.next;
                *known = entry;
                unused
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(NONE)
            }
        }
    }

    /// Returns the next slot whose inbox is delivered.
    #[inline]
    fn next_waiting(&mut self) -> Option<u32> {
        let slot = self.waiting.pop_front()?;
        if let Some(inbox) = self.inboxes.get_mut(index(slot)) {
            inbox.is_waiting = false;
        }
        Some(slot)
    }

    /// Empties an inbox, and passes each run to `receive`. Returns the bytes of all payloads.
    #[inline]
    fn empty_inbox(&mut self, slot: u32, mut receive: impl FnMut(&Run)) -> usize {
        let mut bytes = 0;
        while let Some(number) = self.take_from(slot) {
            if let Some(run) = self.runs.get(number) {
                bytes += run.len();
                receive(run);
            }
            self.finish(number);
        }
        bytes
    }

    /// Removes the first run of an inbox. [`finish`](Self::finish) must follow.
    #[inline]
    fn take_from(&mut self, slot: u32) -> Option<usize> {
        let inbox = self.inboxes.get_mut(index(slot))?;
        let first = inbox.first;
        let entry = self.entries.get_mut(index(first))?;
        inbox.first = entry.next;
        if entry.next == NONE {
            inbox.last = NONE;
        }
        entry.next = self.unused;
        self.unused = first;
        let run = index(entry.run);
        self.open.take_if(|(_, open)| *open == run);
        Some(run)
    }

    /// A receiver has received a run, or has gone.
    #[inline]
    fn finish(&mut self, run: usize) {
        if self.runs.get_mut(run).is_some_and(Run::is_received) {
            self.remove_run(run);
        }
    }

    /// All receivers have received a run.
    fn remove_run(&mut self, run: usize) {
        let Run { bytes, commands, .. } = self.runs.remove(run);
        self.commands -= commands.len();
        self.bytes -= bytes;
        if self.runs.is_empty() {
            self.entries.clear();
            self.entries.shrink_to(MAX_KEPT);
            self.unused = NONE;
        }
    }

    /// The receivers of an audience change. A later command needs another run.
    pub(super) fn change(&mut self, audience: Audience) {
        self.open.take_if(|(open, _)| *open == audience);
    }

    /// A connection has ended, and receives nothing more.
    pub(super) fn remove(&mut self, slot: u32) {
        self.change(Audience::All);
        self.empty_inbox(slot, |_| {});
    }
}
