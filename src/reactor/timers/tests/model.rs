//! The wheel against a sorted map, in a random walk.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Key, LEVELS, TimerList, Timers, drain};
use crate::random_inputs;

/// What the wheel must do, written with a sorted map.
#[derive(Default)]
struct Model {
    pending: BTreeMap<(u64, u64), usize>,
    position: u64,
    scheduled: u64,
}

impl Model {
    fn schedule(&mut self, at: u64, owner: usize) -> (u64, u64) {
        let id = (at.max(self.position), self.scheduled);
        self.scheduled += 1;
        self.pending.insert(id, owner);
        id
    }

    fn pop_due(&mut self, now: u64) -> Option<(u64, u64)> {
        let due = self.pending.first_key_value().map(|(id, _)| *id).filter(|id| id.0 <= now);
        if let Some(id) = due {
            self.pending.remove(&id);
        }
        self.position = self.position.max(due.map_or(now, |id| id.0));
        due
    }
}

#[derive(Clone, Debug)]
enum Op {
    Schedule {
        after: u64,
        owner: usize,
    },
    ScheduleAt {
        at: u64,
        owner: usize,
    },
    /// The n-th key ever given out, whether its timer is pending or not.
    Cancel(usize),
    CancelAll(usize),
    /// The owner forgets its timers; they stay.
    Forget(usize),
    Advance(u64),
    /// One timer only, and then something else: what a handler does from its callback.
    PopOne(u64),
    /// To where the wheel asks to be turned, as an idle loop does.
    Sleep,
}

const OWNERS: usize = 4;

/// Returns a number of ticks: mostly a small one, and sometimes one around a power of two, or any.
fn span(rng: &mut StdRng) -> u64 {
    match rng.random_range(0..14) {
        0..4 => rng.random_range(0..4),
        4..8 => rng.random_range(0..200),
        8..10 => rng.random_range(0..20_000),
        10..12 => (1_u64 << rng.random_range(0..64)) - rng.random_range(0..2),
        12 => rng.random(),
        _ => u64::MAX,
    }
}

fn random_op(rng: &mut StdRng) -> Op {
    match rng.random_range(0..23) {
        0..8 => Op::Schedule { after: span(rng), owner: rng.random_range(0..OWNERS) },
        8 => Op::ScheduleAt { at: span(rng), owner: rng.random_range(0..OWNERS) },
        9..13 => Op::Cancel(rng.random_range(0..usize::MAX)),
        13 => Op::CancelAll(rng.random_range(0..OWNERS)),
        14 => Op::Forget(rng.random_range(0..OWNERS)),
        15..18 => Op::Advance(advance(rng)),
        18..20 => Op::PopOne(rng.random_range(0..100)),
        _ => Op::Sleep,
    }
}

/// Returns a short step in most cases: a long one leaves no timer pending.
fn advance(rng: &mut StdRng) -> u64 {
    match rng.random_range(0..11) {
        0..8 => rng.random_range(0..300),
        8..10 => rng.random_range(0..30_000),
        _ => span(rng),
    }
}

/// The wheel and the model side by side.
struct Pair {
    timers: Timers<(u64, u64)>,
    model: Model,
    owners: [TimerList; OWNERS],
    /// Every key ever given out, with the model's name for its timer.
    keys: Vec<(Key, (u64, u64))>,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            timers: Timers::new(),
            model: Model::default(),
            owners: Default::default(),
            keys: Vec::new(),
            now: 0,
        }
    }

    fn schedule(&mut self, at: u64, owner: usize) {
        let id = self.model.schedule(at, owner);
        let key = self.timers.schedule(at, &mut self.owners[owner], id).expect("room");
        self.keys.push((key, id));
    }

    fn pop(&mut self) -> Option<(u64, u64)> {
        let due = self.timers.pop_due(self.now);
        assert_eq!(due, self.model.pop_due(self.now));
        assert!(due.is_none_or(|id| id.0 <= self.now), "early");
        due
    }

    fn advance(&mut self, to: u64) {
        self.now = to;
        while self.pop().is_some() {}
        assert!(self.timers.next().is_none_or(|at| at > self.now), "an idle loop would spin");
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Schedule { after, owner } => self.schedule(self.now.saturating_add(after), owner),
            Op::ScheduleAt { at, owner } => self.schedule(at, owner),
            Op::Cancel(_) if self.keys.is_empty() => {}
            Op::Cancel(which) => {
                let (key, id) = self.keys[which % self.keys.len()];
                let pending = self.model.pending.remove(&id).map(|_| id);
                assert_eq!(self.timers.cancel(key), pending);
            }
            Op::CancelAll(owner) => {
                self.timers.cancel_all(&mut self.owners[owner]);
                self.model.pending.retain(|_, theirs| *theirs != owner);
            }
            Op::Forget(owner) => {
                self.owners[owner] = TimerList::default();
                // No `CancelAll` names this owner.
                for theirs in self.model.pending.values_mut().filter(|theirs| **theirs == owner) {
                    *theirs = OWNERS;
                }
            }
            Op::Advance(by) => self.advance(self.now.saturating_add(by)),
            Op::PopOne(by) => {
                self.now = self.now.saturating_add(by);
                self.pop();
            }
            Op::Sleep => {
                if let Some(at) = self.timers.next() {
                    self.advance(self.now.max(at));
                }
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.timers.check(), self.model.pending.len());
        let earliest = self.model.pending.first_key_value().map(|(id, _)| id.0);
        let next = self.timers.next();
        assert_eq!(self.timers.earliest(), earliest);
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "the loop would sleep too long");
        if next < earliest {
            assert!(next.is_some_and(|at| at % 64 == 0), "an idle turn off the grid");
        }
    }
}

#[test]
fn timers_behave_like_a_sorted_map() {
    random_inputs::for_each(|rng| {
        let mut pair = Pair::new();
        for _ in 0..rng.random_range(1..200) {
            pair.apply(&random_op(rng));
            pair.check();
        }
        pair.advance(u64::MAX);
        assert!(pair.model.pending.is_empty());
        assert_eq!(pair.timers.nodes.places(), 0, "nodes leaked");
    });
}

/// An idle loop that sleeps until `next` meets a lone timer at its tick, after one idle turn a level at most.
#[test]
fn a_timer_causes_at_most_one_idle_turn_per_level() {
    random_inputs::for_each(|rng| {
        let (start, after) = (span(rng), span(rng));
        let mut timers = Timers::new();
        drain(&mut timers, start);
        let deadline = start.saturating_add(after);
        timers.schedule(deadline, &mut TimerList::default(), ()).expect("room");
        let mut turns = 0;
        while let Some(at) = timers.next() {
            assert!(at <= deadline);
            let fired = timers.pop_due(at).is_some();
            assert_eq!(fired, at == deadline);
            turns += 1;
        }
        assert!(turns <= LEVELS);
    });
}
