//! The wheel against a sorted map, in a random walk.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Key, LEVELS, Moved, SlotTimers, TimerList, Timers, drain};
use crate::random_inputs;

/// What the wheel must do, written with a sorted map: of the timers that are pending, the deadline and the number. The value is the owner,
/// and whether the timer was postponed.
#[derive(Default)]
struct Model {
    pending: BTreeMap<(u64, u64), (usize, bool)>,
    position: u64,
    scheduled: u64,
}

impl Model {
    /// Returns the number of the timer.
    fn schedule(&mut self, at: u64, owner: usize) -> u64 {
        let number = self.scheduled;
        self.scheduled += 1;
        self.pending.insert((at.max(self.position), number), (owner, false));
        number
    }

    fn find(&self, number: u64) -> Option<(u64, u64)> {
        self.pending.keys().copied().find(|id| id.1 == number)
    }

    fn cancel(&mut self, number: u64) -> Option<u64> {
        let id = self.find(number)?;
        self.pending.remove(&id).map(|_| number)
    }

    fn postpone(&mut self, number: u64, at: u64) -> Option<Moved> {
        let id = self.find(number)?;
        let (owner, _) = self.pending.remove(&id)?;
        let at = at.max(self.position);
        self.pending.insert((at, number), (owner, true));
        Some(if at < id.0 { Moved::Earlier } else { Moved::Later })
    }

    /// Whether a timer may be the next one that fires. Those that were postponed have no order with others of the same deadline.
    fn may_be_next(&self, number: u64) -> bool {
        let Some(deadline) = self.earliest() else { return false };
        let mut due = self.pending.range((deadline, 0)..=(deadline, u64::MAX));
        let first = due.clone().find(|(_, (_, is_postponed))| !is_postponed).map(|(id, _)| id.1);
        due.any(|(id, (_, is_postponed))| id.1 == number && (*is_postponed || first == Some(number)))
    }

    fn earliest(&self) -> Option<u64> {
        self.pending.first_key_value().map(|(id, _)| id.0)
    }

    fn turn(&mut self, to: u64) {
        self.position = self.position.max(to);
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
    /// Also the n-th key.
    Postpone {
        which: usize,
        after: u64,
    },
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
    match rng.random_range(0..30) {
        0..8 => Op::Schedule { after: span(rng), owner: rng.random_range(0..OWNERS) },
        8 => Op::ScheduleAt { at: span(rng), owner: rng.random_range(0..OWNERS) },
        9..13 => Op::Cancel(rng.random_range(0..usize::MAX)),
        13 => Op::CancelAll(rng.random_range(0..OWNERS)),
        14 => Op::Forget(rng.random_range(0..OWNERS)),
        15..18 => Op::Advance(advance(rng)),
        18..20 => Op::PopOne(rng.random_range(0..100)),
        20..27 => Op::Postpone { which: rng.random_range(0..usize::MAX), after: span(rng) },
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
    timers: Timers<u64>,
    model: Model,
    owners: [TimerList; OWNERS],
    /// Every key ever given out, with the model's number of its timer.
    keys: Vec<(Key, u64)>,
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
        let number = self.model.schedule(at, owner);
        let key = self.timers.schedule(at, &mut self.owners[owner], number).expect("room");
        self.keys.push((key, number));
    }

    fn pop(&mut self) -> Option<u64> {
        let due = self.timers.pop_due(self.now);
        let earliest = self.model.earliest().filter(|at| *at <= self.now);
        assert_eq!(due.is_some(), earliest.is_some(), "early or late");
        assert!(due.is_none_or(|number| self.model.may_be_next(number)), "in the wrong order");
        self.model.turn(earliest.unwrap_or(self.now));
        due.and_then(|number| self.model.cancel(number))
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
            Op::Cancel(_) | Op::Postpone { .. } if self.keys.is_empty() => {}
            Op::Cancel(which) => {
                let (key, number) = self.keys[which % self.keys.len()];
                assert_eq!(self.timers.cancel(key), self.model.cancel(number));
            }
            Op::Postpone { which, after } => {
                let (key, number) = self.keys[which % self.keys.len()];
                let at = self.now.saturating_add(after);
                assert_eq!(self.timers.postpone(key, at), self.model.postpone(number, at));
            }
            Op::CancelAll(owner) => {
                self.timers.cancel_all(&mut self.owners[owner]);
                self.model.pending.retain(|_, (theirs, _)| *theirs != owner);
            }
            Op::Forget(owner) => {
                self.owners[owner] = TimerList::default();
                // No `CancelAll` names this owner.
                for (theirs, _) in self.model.pending.values_mut().filter(|(theirs, _)| *theirs == owner) {
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
        let earliest = self.model.earliest();
        let next = self.timers.next();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "the loop would sleep too long");
        let was_postponed = self.model.pending.values().any(|(_, is_postponed)| *is_postponed);
        if next < earliest && !was_postponed {
            assert!(next.is_some_and(|at| at % 64 == 0), "an idle turn off the grid");
        }
        // This moves timers that were postponed, so it would hide what a turn does without it.
        if self.model.scheduled.is_multiple_of(4) {
            assert_eq!(self.timers.earliest(), earliest);
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

/// The timers of slots are the same wheel, so a short walk is enough.
#[test]
fn the_timers_of_slots_behave_like_a_map() {
    const SLOTS: u32 = 20;
    random_inputs::for_each(|rng| {
        let (mut timers, mut model, mut now) = (SlotTimers::new(), BTreeMap::new(), 0_u64);
        for _ in 0..rng.random_range(1..200) {
            let slot = rng.random_range(0..SLOTS);
            match rng.random_range(0..4) {
                0 | 1 => {
                    let at = now.saturating_add(span(rng) >> 12);
                    timers.schedule(slot, at);
                    model.insert(slot, at);
                }
                2 => {
                    timers.cancel(slot);
                    model.remove(&slot);
                }
                _ => {
                    now += rng.random_range(0..300);
                    while let Some(slot) = timers.pop_due(now) {
                        let at = model.remove(&slot).expect("it is pending");
                        assert!(at <= now && model.values().all(|other| *other >= at), "in the wrong order");
                    }
                    assert!(model.values().all(|at| *at > now), "a timer is late");
                }
            }
            assert_eq!(timers.wheel.check(&mut timers.slots).len(), model.len());
            assert_eq!(timers.deadline(slot), model.get(&slot).copied());
            assert_eq!(timers.is_empty(), model.is_empty());
            assert!(timers.next() <= timers.earliest());
            assert_eq!(timers.earliest(), model.values().min().copied());
        }
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
