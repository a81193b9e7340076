//! What the loop counts and measures, for [`Stats`](crate::Stats) and [`Health`](crate::Health).
//!
//! - Messages and bytes are counted in plain integers, [`Traffic`], and published at the end of each turn.
//! - Turns are measured by [`TurnMeter`], which publishes when a turn begins and ends.
//! - Connections open and close rarely in comparison. They are counted behind a lock, so that the numbers of a snapshot match.
//! - Messages that are dropped are counted on the thread that drops them.
//!
//! [`Monitor`] contains what is published. Every thread can read it.

mod connections;
mod traffic;
mod turns;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) use self::connections::ConnectionCounts;
pub(crate) use self::traffic::PublishedTraffic;
pub(super) use self::traffic::{Traffic, is_message};
pub(crate) use self::turns::PublishedTurns;
pub(super) use self::turns::TurnMeter;
use super::api::health::LoopStatus;

/// What a loop has counted and measured.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(crate) traffic: PublishedTraffic,
    pub(crate) turns: PublishedTurns,
    connections: Mutex<ConnectionCounts>,
    /// Messages that were dropped because too much output was queued for their receiver.
    pub(crate) dropped: AtomicU64,
    /// Volatile publications that were left out for a receiver with unsent output.
    pub(crate) left_out: AtomicU64,
    status: AtomicU8,
}

impl Monitor {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            traffic: PublishedTraffic::default(),
            turns: PublishedTurns::new(now),
            connections: Mutex::default(),
            dropped: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            status: AtomicU8::new(LoopStatus::Idle as u8),
        }
    }

    /// What has happened to connections. Ignores poisoning: the counts are numbers.
    pub(crate) fn connections(&self) -> MutexGuard<'_, ConnectionCounts> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message that is dropped, or volatile publications that are left out.
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }

    pub(super) fn set_status(&self, status: LoopStatus) {
        self.status.store(status as u8, Relaxed);
    }

    pub(crate) fn status(&self) -> LoopStatus {
        match self.status.load(Relaxed) {
            status if status == LoopStatus::Running as u8 => LoopStatus::Running,
            status if status == LoopStatus::Draining as u8 => LoopStatus::Draining,
            status if status == LoopStatus::ShuttingDown as u8 => LoopStatus::ShuttingDown,
            status if status == LoopStatus::Ended as u8 => LoopStatus::Ended,
            _ => LoopStatus::Idle,
        }
    }

    /// The loop has ended. Connections are left only after a panic.
    pub(super) fn end(&self) {
        self.set_status(LoopStatus::Ended);
        self.turns.end();
        self.connections().abandon();
    }
}
