//! The wheel against a sorted map, in a random walk.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Key, LEVELS, Owned, Timers, drain};

/// What the wheel should do, said with a sorted map.
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
    Cancel(prop::sample::Index),
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

fn spans() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..4_u64,
        4 => 0..200_u64,
        2 => 0..20_000_u64,
        2 => (0..64_u32).prop_flat_map(|bits| (1_u64 << bits) - 1..=1 << bits),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (spans(), 0..OWNERS).prop_map(|(after, owner)| Op::Schedule { after, owner }),
        1 => (spans(), 0..OWNERS).prop_map(|(at, owner)| Op::ScheduleAt { at, owner }),
        4 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        1 => (0..OWNERS).prop_map(Op::CancelAll),
        1 => (0..OWNERS).prop_map(Op::Forget),
        // Short steps mostly: one long one leaves nothing to look at.
        3 => prop_oneof![8 => 0..300_u64, 2 => 0..30_000_u64, 1 => spans()].prop_map(Op::Advance),
        2 => (0..100_u64).prop_map(Op::PopOne),
        3 => Just(Op::Sleep),
    ]
}

/// The wheel and the model side by side.
struct Pair {
    timers: Timers<(u64, u64)>,
    model: Model,
    owners: [Owned; OWNERS],
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
                let (key, id) = *which.get(&self.keys);
                let pending = self.model.pending.remove(&id).map(|_| id);
                assert_eq!(self.timers.cancel(key), pending);
            }
            Op::CancelAll(owner) => {
                self.timers.cancel_all(&mut self.owners[owner]);
                self.model.pending.retain(|_, theirs| *theirs != owner);
            }
            Op::Forget(owner) => {
                self.owners[owner] = Owned::default();
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
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "the loop would sleep too long");
        if next < earliest {
            assert!(next.is_some_and(|at| at % 64 == 0), "an idle turn off the grid");
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_map(script in prop::collection::vec(ops(), 1..200)) {
        let mut pair = Pair::new();
        for op in &script {
            pair.apply(op);
            pair.check();
        }
        pair.advance(u64::MAX);
        prop_assert!(pair.model.pending.is_empty());
        prop_assert_eq!(pair.timers.nodes.places(), 0, "nodes leaked");
    }

    /// An idle loop that sleeps until `next` meets a lone timer at its tick, after one idle turn a level at most.
    #[test]
    fn idle_turns_are_few(start in spans(), after in spans()) {
        let mut timers = Timers::new();
        drain(&mut timers, start);
        let deadline = start.saturating_add(after);
        timers.schedule(deadline, &mut Owned::default(), ()).expect("room");
        let mut turns = 0;
        while let Some(at) = timers.next() {
            prop_assert!(at <= deadline);
            let fired = timers.pop_due(at).is_some();
            prop_assert_eq!(fired, at == deadline);
            turns += 1;
        }
        prop_assert!(turns <= LEVELS);
    }
}
