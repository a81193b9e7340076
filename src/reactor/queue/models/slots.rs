//! Slots that are used again: commands for a connection that has gone, and what its senders see.

use super::{Loop, Settings, check, connection, message, spawn};
use crate::close::CloseCode;
use crate::reactor::queue::{Command, Phase};

/// Gives the slot to connection 2, as the loop does.
fn replace_connection(event_loop: &Loop) {
    event_loop.advance(Phase::Closed);
    event_loop.queue.remove_connection(0);
    event_loop.queue.insert_connection(0, 2);
    event_loop.advance(Phase::Open);
}

#[test]
fn t1_late_commands_do_not_affect_the_next_connection() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        event_loop.queue.insert_connection(0, 1);
        let thread = spawn(&event_loop, |event_loop| {
            assert!(event_loop.push(connection(1), message(1, 3)));
            assert!(event_loop.push(connection(1), Command::Close(CloseCode::Away, "".into())));
            event_loop.queue.push_overflow(connection(1)).unwrap();
        });
        replace_connection(&event_loop);
        let taken = event_loop.take(usize::MAX).0;
        assert!(taken.iter().all(|queued| queued.target == connection(1)));
        thread.join().unwrap();
        assert!(event_loop.queue.is_open(0, 2));
        assert!(event_loop.push(connection(2), Command::Close(CloseCode::Away, "".into())));
        let taken = event_loop.take(usize::MAX).0;
        assert!(taken.last().is_some_and(|queued| queued.target == connection(2)), "the command is lost");
        assert_eq!(event_loop.queue.buffered_amount(0, 2), 0);
    });
}

#[test]
fn t1_a_connection_that_has_ended_is_never_open_again() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        event_loop.queue.insert_connection(0, 1);
        event_loop.advance(Phase::Open);
        let thread = spawn(&event_loop, |event_loop| {
            let has_ended = event_loop.queue.has_ended(0, 1);
            let is_open = event_loop.queue.is_open(0, 1);
            assert!(!(has_ended && is_open));
        });
        replace_connection(&event_loop);
        thread.join().unwrap();
    });
}

#[test]
fn t1_an_overflow_does_not_reopen_a_connection() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        event_loop.queue.insert_connection(0, 1);
        event_loop.advance(Phase::Open);
        let thread = spawn(&event_loop, |event_loop| {
            event_loop.queue.push_overflow(connection(1)).unwrap();
            assert!(!event_loop.queue.is_open(0, 1));
        });
        event_loop.advance(Phase::Closed);
        thread.join().unwrap();
        assert!(event_loop.queue.has_ended(0, 1));
    });
}
