//! The corners that the random walk of `model` may miss.

mod model;

use super::wheel::{LEVELS, Nodes, SLOTS, Wheel};
use super::{Key, Moved, SlotTimers, TimerList, TimerNodes, Timers};

impl Wheel {
    /// Checks every invariant of the type. Returns the pending nodes.
    fn check(&self, nodes: &mut impl Nodes) -> Vec<u32> {
        let mut pending = Vec::new();
        for (level, slot) in (0..LEVELS).flat_map(|level| (0..SLOTS).map(move |slot| (level, slot))) {
            if self.occupied[level] & 1 << slot == 0 {
                continue;
            }
            let head = self.heads[level][slot];
            let mut index = head;
            loop {
                let deadline = nodes.deadline(index).expect("a node");
                assert!(deadline >= self.position, "a deadline was passed over");
                assert_eq!(nodes.place(index), Some(level * SLOTS + slot));
                assert!(deadline >= self.span_start(level, slot), "a timer hangs in a slot that is too late");
                assert!(index != head || !pending.contains(&head), "a node hangs in two slots");
                pending.push(index);
                index = nodes.next(index).expect("a node");
                if index == head {
                    break;
                }
            }
        }
        pending
    }
}

impl<T> Timers<T> {
    /// Checks every invariant that can be seen from inside; gives the number of pending timers.
    fn check(&mut self) -> usize {
        let pending = self.wheel.check(&mut self.nodes);
        // One timer of each ring follows the anchor, so these count the anchors.
        let rings = pending.iter().filter(|index| self.follows_anchor(**index)).count();
        assert_eq!(self.nodes.places(), pending.len() + rings + self.nodes.free_places());
        pending.len()
    }

    fn follows_anchor(&self, index: u32) -> bool {
        let before = self.nodes.prev(index).expect("a node");
        assert_ne!(before, index, "a timer without an anchor");
        self.nodes.is_anchor(before)
    }
}

fn drain<T>(timers: &mut Timers<T>, now: u64) -> Vec<T> {
    std::iter::from_fn(|| timers.pop_due(now)).collect()
}

#[test]
fn timers_fire_at_their_exact_tick() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    for at in (0..10_000).rev() {
        timers.schedule(at, &mut owner, at).expect("room");
    }
    for now in 0..10_000 {
        assert_eq!(drain(&mut timers, now), [now]);
    }
}

#[test]
fn past_deadlines_are_due_immediately_in_order() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    timers.schedule(0, &mut owner, "zero").expect("room");
    assert_eq!(timers.next(), Some(0));
    assert_eq!(drain(&mut timers, 0), ["zero"]);
    assert_eq!(drain(&mut timers, 1_000), [""; 0]);
    for (at, value) in [(1_001, "later"), (999, "first"), (0, "second"), (1_000, "third")] {
        timers.schedule(at, &mut owner, value).expect("room");
    }
    assert_eq!(timers.next(), Some(1_000));
    assert_eq!(drain(&mut timers, 1_000), ["first", "second", "third"]);
    assert_eq!(drain(&mut timers, 1_001), ["later"]);
}

#[test]
fn a_clock_that_moves_back_fires_no_timers() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    drain(&mut timers, 1_000);
    timers.schedule(500, &mut owner, ()).expect("room");
    assert_eq!(timers.pop_due(900), None);
    assert_eq!(timers.pop_due(1_000), Some(()));
}

#[test]
fn timers_with_equal_deadlines_fire_in_the_order_of_scheduling() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    // The same tick, seen from further and further near: each would hang in another level.
    for (value, now) in [0, 5_000_000, 9_990_000, 9_999_990, 9_999_999].into_iter().enumerate() {
        assert_eq!(timers.pop_due(now), None);
        timers.schedule(10_000_000, &mut owner, value).expect("room");
    }
    assert_eq!(drain(&mut timers, 10_000_000), [0, 1, 2, 3, 4]);
}

#[test]
fn a_timer_at_the_last_tick_fires() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    timers.schedule(u64::MAX, &mut owner, 1).expect("room");
    timers.schedule(u64::MAX - 1, &mut owner, 0).expect("room");
    assert_eq!(timers.pop_due(1 << 63), None);
    assert_eq!(timers.pop_due(u64::MAX - 2), None);
    assert_eq!(timers.next(), Some(u64::MAX - 1));
    assert_eq!(drain(&mut timers, u64::MAX), [0, 1]);
    timers.schedule(u64::MAX, &mut owner, 2).expect("room");
    assert_eq!(drain(&mut timers, u64::MAX), [2]);
}

#[test]
fn a_timer_can_be_canceled_only_once_and_only_before_it_fires() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    let cancelled = timers.schedule(10, &mut owner, "cancelled").expect("room");
    let fired = timers.schedule(10, &mut owner, "fired").expect("room");
    assert_eq!(timers.cancel(cancelled), Some("cancelled"));
    assert_eq!(timers.cancel(cancelled), None);
    assert_eq!(drain(&mut timers, 10), ["fired"]);
    assert_eq!(timers.cancel(fired), None);
    assert_eq!(timers.next(), None);
}

#[test]
fn a_postponed_timer_keeps_its_key_and_fires_at_the_last_deadline() {
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    let key = timers.schedule(10, &mut owner, "moved").expect("room");
    timers.schedule(15, &mut owner, "fixed").expect("room");
    for at in [11, 20, 5_000, 30] {
        timers.postpone(key, at).expect("it is pending");
    }
    assert_eq!(timers.deadline(key), Some(30));
    assert_eq!(drain(&mut timers, 29), ["fixed"]);
    assert_eq!(drain(&mut timers, 30), ["moved"]);
    assert_eq!(timers.postpone(key, 40), None);
    assert_eq!(timers.next(), None);
}

#[test]
fn a_later_deadline_is_only_stored() {
    let mut timers = Timers::new();
    let key = timers.schedule(100, &mut TimerList::default(), ()).expect("room");
    let next = timers.next();
    for at in 101..10_000 {
        assert_eq!(timers.postpone(key, at), Some(Moved::Later));
    }
    assert_eq!(timers.next(), next, "the timer has not moved");
    assert_eq!(timers.postpone(key, 50), Some(Moved::Earlier));
    assert_eq!(timers.next(), Some(50));
    assert_eq!(timers.pop_due(49), None);
    assert_eq!(timers.pop_due(50), Some(()));
}

#[test]
fn each_slot_has_one_timer_which_can_be_replaced() {
    let mut timers = SlotTimers::new();
    for (slot, at) in [(3, 20), (0, 10), (3, 5_000), (7, 10), (3, 10)] {
        timers.schedule(slot, at);
    }
    assert_eq!((timers.deadline(3), timers.deadline(4)), (Some(10), None));
    assert_eq!(timers.wheel.check(&mut timers.slots).len(), 3);
    timers.cancel(7);
    timers.cancel(7);
    assert_eq!((timers.next(), timers.pop_due(9)), (Some(10), None));
    assert_eq!([0; 3].map(|_| timers.pop_due(10)), [Some(0), Some(3), None]);
    assert!(timers.is_empty());
    timers.schedule(3, u64::MAX);
    assert_eq!(timers.pop_due(1 << 53), None);
    assert!(!timers.is_empty(), "it is due in half a million years");
}

#[test]
fn stale_keys_and_owners_do_not_cancel_a_timer_that_reuses_their_slot() {
    let mut timers = Timers::new();
    let mut to_close = TimerList::default();
    let stale = timers.schedule(10, &mut to_close, "to_close").expect("room");
    assert_eq!(drain(&mut timers, 10), ["to_close"]);
    // Timer and anchor are gone, so the next timer has the first place again.
    let mut alive = TimerList::default();
    let key = timers.schedule(20, &mut alive, "alive").expect("room");
    assert_eq!(key.index, stale.index);
    assert_eq!(timers.cancel(stale), None);
    timers.cancel_all(&mut to_close);
    timers.cancel_all(&mut to_close);
    assert_eq!(drain(&mut timers, 20), ["alive"]);
}

#[test]
fn cancel_all_cancels_only_the_timers_of_its_owner() {
    let mut timers = Timers::new();
    let mut owners = [TimerList::default(), TimerList::default()];
    for (at, owner) in (0..77_000).step_by(77).zip([0, 1].into_iter().cycle()) {
        timers.schedule(at, &mut owners[owner], owner).expect("room");
    }
    timers.cancel_all(&mut owners[0]);
    assert_eq!(timers.check(), 500);
    timers.schedule(5, &mut owners[0], 2).expect("room");
    let fired = drain(&mut timers, 77_000);
    assert_eq!((fired.len(), fired[0]), (501, 2));
    assert!(fired[1..].iter().all(|owner| *owner == 1));
}

#[test]
fn values_are_dropped_with_their_timers() {
    let value = std::rc::Rc::new(());
    let mut timers = Timers::new();
    let mut owner = TimerList::default();
    let key = timers.schedule(1, &mut owner, value.clone()).expect("room");
    timers.schedule(2, &mut owner, value.clone()).expect("room");
    timers.schedule(3, &mut owner, value.clone()).expect("room");
    drop(timers.cancel(key));
    assert_eq!(std::rc::Rc::strong_count(&value), 3);
    timers.cancel_all(&mut owner);
    assert_eq!(std::rc::Rc::strong_count(&value), 1);
}

#[test]
fn a_million_pending_timers_fire_in_order() {
    const COUNT: usize = 1_000_000;
    let mut timers = Timers::new();
    let mut owners: Vec<TimerList> = (0..1_000).map(|_| TimerList::default()).collect();
    // An odd multiplier visits every residue: deadlines in no order, up to 2^20 ms, none twice.
    let deadline = |n: usize| (n as u64).wrapping_mul(0x9E37_79B1) % (1 << 20);
    let keys: Vec<Key> =
        (0..COUNT).map(|n| timers.schedule(deadline(n), &mut owners[n % 1_000], n).expect("room")).collect();
    for n in (0..COUNT).step_by(4) {
        assert_eq!(timers.cancel(keys[n]), Some(n));
    }
    owners.iter_mut().skip(1).step_by(4).for_each(|owner| timers.cancel_all(owner));
    assert_eq!(timers.check(), 500_000);
    let mut fired = 0;
    let mut last = 0;
    for now in (0..=1 << 20).step_by(50) {
        while let Some(n) = timers.pop_due(now) {
            assert!((last..=now).contains(&deadline(n)));
            assert!(n % 4 > 1);
            last = deadline(n);
            fired += 1;
        }
    }
    assert_eq!(fired + drain(&mut timers, u64::MAX).len(), 500_000);
    assert_eq!(timers.nodes.places(), 0);
    assert!(timers.nodes.capacity() <= 64, "memory is given back");
}

#[test]
fn timer_entries_are_small() {
    // A value with a niche costs nothing on top of 32 bytes for itself.
    assert_eq!(TimerNodes::<Box<u8>>::NODE, 40);
    assert_eq!(TimerNodes::<(u32, u32)>::NODE, 32 + 16);
    assert_eq!(size_of::<Option<Key>>(), 16);
    assert_eq!(size_of::<TimerList>(), 16);
}
