//! Subscriptions of handlers, which other threads see as a cut: what they queue before the call is executed before the subscription, and what
//! they queue after the call is executed after it.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};

use super::{Batch, Loop, Settings, check, connection, message, number, numbers, spawn};
use crate::reactor::queue::SharedCommand;

/// A handler subscribes to a topic.
fn subscribe(event_loop: &Loop) {
    let command = SharedCommand::Subscribe("topic".into(), None).into();
    assert!(event_loop.push(connection(1), command));
}

/// A turn of the loop. Returns what it executes, in order.
fn turn(event_loop: &Loop) -> Batch {
    let queue = &event_loop.queue;
    let (mut local, mut executed) = (Batch::new(), Batch::new());
    if queue.is_local_first() {
        assert!(queue.swap_local(&mut local), "the order has to end");
        executed.append(&mut local);
        queue.end_order(true);
    }
    while queue.take_remote(usize::MAX, &mut executed) {}
    assert!(!queue.swap_local(&mut local));
    executed.append(&mut local);
    executed
}

#[test]
fn a_subscription_is_a_cut_through_what_another_thread_queues() {
    check(Some(3), || {
        let event_loop = Loop::new(&Settings::default());
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let shared = Arc::clone(&flags);
        let thread = spawn(&event_loop, move |event_loop| {
            let [is_first_queued, has_subscribed] = &*shared;
            assert!(event_loop.push(connection(1), message(1, 2)));
            is_first_queued.store(true, Ordering::Release);
            let is_after = has_subscribed.load(Ordering::Acquire);
            assert!(event_loop.push(connection(1), message(2, 2)));
            is_after
        });
        let _entered = event_loop.queue.enter();
        let is_before = flags[0].load(Ordering::Acquire);
        subscribe(&event_loop);
        flags[1].store(true, Ordering::Release);
        let mut executed = turn(&event_loop);
        let is_after = thread.join().unwrap();
        executed.append(&mut turn(&event_loop));

        assert_eq!(numbers(&executed), [1, 2]);
        let subscribed = executed.iter().position(|queued| queued.command.changes_subscription()).unwrap();
        let place =
            |wanted| executed.iter().position(|queued| number(&queued.command) == Some(wanted)).unwrap();
        assert!(!is_before || place(1) < subscribed, "the first message was queued before the call");
        assert!(!is_after || place(2) > subscribed, "the second message was queued after the call");
        event_loop.assert_consistent();
    });
}

/// What a subscription has moved still counts, until it is executed.
#[test]
fn moved_commands_count_towards_the_limit() {
    check(Some(3), || {
        let settings = Settings { queue_bytes: 2, ..Settings::default() };
        let event_loop = Loop::new(&settings);
        let is_executing = Arc::new(AtomicBool::new(false));
        let executing = Arc::clone(&is_executing);
        let thread = spawn(&event_loop, move |event_loop| {
            assert!(event_loop.push(connection(1), message(1, 2)));
            let is_accepted = event_loop.push(connection(1), message(2, 2));
            assert!(!is_accepted || executing.load(Ordering::Acquire), "four bytes are queued");
            is_accepted
        });
        let _entered = event_loop.queue.enter();
        subscribe(&event_loop);
        is_executing.store(true, Ordering::Release);
        let mut executed = turn(&event_loop);
        let is_accepted = thread.join().unwrap();
        executed.append(&mut turn(&event_loop));
        let expected: &[u8] = if is_accepted { &[1, 2] } else { &[1] };
        assert_eq!(numbers(&executed), expected);
        event_loop.assert_consistent();
    });
}
