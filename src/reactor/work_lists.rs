//! Which connections need the loop's attention without a new event.

use std::collections::VecDeque;

/// A batch of connections ends at this many connections to flush, which the processor's cache can hold.
const MAX_BATCH: usize = 64;

/// A batch of connections ends at this much output, in bytes.
const MAX_BATCH_BYTES: usize = 128 * 1024;

/// A batch of connections ends at a connection that has this much output and no more input, in bytes. To write more at once would not
/// save a system call, and the memory of its messages would be out of the processor's cache before it is used again.
const FLUSH_FROM: usize = 16 * 1024;

/// The connections that wait to be flushed, read from, or removed, by slot.
///
/// A slot can remain in a list after its connection has ended, so every phase checks what the slot contains.
#[derive(Debug, Default)]
pub(super) struct WorkLists {
    to_flush: Vec<u32>,
    to_read: Vec<u32>,
    /// Connections that were not read from because a turn was over. They come first in the next one.
    unserved: Vec<u32>,
    to_close: Vec<u32>,
    /// Connections that compress or decompress long messages, in the order in which they continue.
    to_work: VecDeque<u32>,
    /// The approximate output of the connections in `to_flush`, in bytes, or more if it should be written now.
    unflushed: usize,
    /// A connection that waits to be read from has output that [`keep_output`](Self::keep_output) has kept.
    keeps_output: bool,
}

/// The lists that a connection is in. It is never in one list twice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listed(u8);

const TO_FLUSH: u8 = 1;
const TO_READ: u8 = 1 << 1;
const TO_CLOSE: u8 = 1 << 2;
const TO_WORK: u8 = 1 << 3;
const KEEPS_OUTPUT: u8 = 1 << 4;

impl WorkLists {
    /// Adds a connection that has `bytes` of output.
    #[inline]
    pub(super) fn flush_later(&mut self, slot: u32, listed: &mut Listed, bytes: usize) {
        if listed.add(TO_FLUSH) {
            self.to_flush.push(slot);
            let is_large = bytes >= FLUSH_FROM && !listed.is_to_read();
            self.unflushed += if is_large { bytes.max(MAX_BATCH_BYTES) } else { bytes };
        }
    }

    /// A flush has kept the end of the output of a connection. If the connection waits to be read from, the output is flushed after
    /// the read, or at the end of the next turn if that is sooner.
    pub(super) fn keep_output(&mut self, slot: u32, listed: &mut Listed) {
        if listed.is_to_read() {
            listed.add(KEEPS_OUTPUT);
            self.keeps_output = true;
        } else {
            self.flush_later(slot, listed, 0);
        }
    }

    /// Adds a connection whose socket or whose buffer may contain more input.
    #[inline]
    pub(super) fn read_later(&mut self, slot: u32, listed: &mut Listed) {
        if listed.add(TO_READ) {
            self.to_read.push(slot);
        }
    }

    /// Adds a connection that has ended.
    pub(super) fn close_later(&mut self, slot: u32, listed: &mut Listed) {
        if listed.add(TO_CLOSE) {
            self.to_close.push(slot);
        }
    }

    /// Adds a connection attempt that has failed.
    pub(super) fn close_attempt_later(&mut self, slot: u32) {
        self.to_close.push(slot);
    }

    /// Whether there are connections to flush.
    #[inline]
    pub(super) fn has_to_flush(&self) -> bool {
        !self.to_flush.is_empty()
    }

    /// Takes the list of connections to flush.
    pub(super) fn take_to_flush(&mut self) -> Vec<u32> {
        self.unflushed = 0;
        std::mem::take(&mut self.to_flush)
    }

    /// Takes the list of connections to read from.
    pub(super) fn take_to_read(&mut self) -> Vec<u32> {
        self.keeps_output = false;
        std::mem::take(&mut self.to_read)
    }

    /// Adds a connection that has an event in a turn that is over.
    pub(super) fn serve_later(&mut self, slot: u32, listed: &mut Listed) {
        if listed.add(TO_READ) {
            self.unserved.push(slot);
        }
    }

    /// Takes the list of connections to read from first.
    pub(super) fn take_unserved(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unserved)
    }

    /// Puts back connections that were taken from a list and not read from.
    pub(super) fn put_back_unserved(&mut self, slots: impl Iterator<Item = u32>) {
        self.unserved.extend(slots);
    }

    /// Adds a connection that compresses or decompresses a long message.
    pub(super) fn work_later(&mut self, slot: u32, listed: &mut Listed) {
        if listed.add(TO_WORK) {
            self.to_work.push_back(slot);
        }
    }

    /// Whether a connection compresses or decompresses a long message.
    #[inline]
    pub(super) fn has_to_work(&self) -> bool {
        !self.to_work.is_empty()
    }

    /// Takes the next connection that compresses or decompresses a long message.
    pub(super) fn next_to_work(&mut self) -> Option<u32> {
        self.to_work.pop_front()
    }

    /// Puts connections back to the front that were taken from the list to read from.
    pub(super) fn put_back_to_read(&mut self, slots: impl Iterator<Item = u32>) {
        self.to_read.splice(0..0, slots);
    }

    /// Takes the list of connections to remove.
    pub(super) fn take_to_close(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.to_close)
    }

    /// Keeps the memory of an empty list, unless the list in use has entries already.
    pub(super) fn recycle_to_flush(&mut self, list: Vec<u32>) {
        recycle(&mut self.to_flush, list);
    }

    /// Keeps the memory of an empty list, unless the list in use has entries already.
    pub(super) fn recycle_to_close(&mut self, list: Vec<u32>) {
        recycle(&mut self.to_close, list);
    }

    /// Whether so much output waits that it should be written before more is produced. `queued` bytes will be added.
    #[inline]
    pub(super) fn is_flush_due(&self, queued: usize) -> bool {
        self.to_flush.len() >= MAX_BATCH || self.unflushed + queued >= MAX_BATCH_BYTES
    }

    /// Whether there is nothing to do. While reading is paused, what has to be read does not count.
    pub(super) fn is_empty(&self, is_reading_paused: bool) -> bool {
        let has_to_read = !self.to_read.is_empty() || !self.unserved.is_empty();
        self.to_flush.is_empty()
            && self.to_close.is_empty()
            && self.to_work.is_empty()
            && (!has_to_read || (is_reading_paused && !self.keeps_output))
    }
}

impl Listed {
    /// Adds the connection to a list. Returns whether it was not in the list.
    #[inline]
    fn add(&mut self, list: u8) -> bool {
        let was_listed = self.0 & list != 0;
        self.0 |= list;
        !was_listed
    }

    pub(super) fn is_to_read(self) -> bool {
        self.0 & TO_READ != 0
    }

    /// Whether the connection has ended and waits to be removed.
    #[inline]
    pub(super) fn is_to_close(self) -> bool {
        self.0 & TO_CLOSE != 0
    }

    /// The flush of the connection begins.
    #[inline]
    pub(super) fn begin_flush(&mut self) {
        self.0 &= !(TO_FLUSH | KEEPS_OUTPUT);
    }

    /// Whether the output is flushed after the read of the connection.
    #[inline]
    pub(super) fn keeps_output(self) -> bool {
        self.0 & KEEPS_OUTPUT != 0
    }

    /// Returns whether the output is flushed after a read, which has begun or does not take place.
    #[inline]
    pub(super) fn take_keeps_output(&mut self) -> bool {
        let keeps = self.keeps_output();
        self.0 &= !KEEPS_OUTPUT;
        keeps
    }

    /// The read of the connection begins.
    pub(super) fn begin_read(&mut self) {
        self.0 &= !TO_READ;
    }

    /// The work of the connection begins.
    pub(super) fn begin_work(&mut self) {
        self.0 &= !TO_WORK;
    }
}

fn recycle(current: &mut Vec<u32>, list: Vec<u32>) {
    debug_assert!(list.is_empty());
    if current.is_empty() {
        *current = list;
    }
}
