//! The end of the loop: later commands are refused, and no earlier one is counted as pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Loop, Settings, check, connection, message, spawn};
use crate::close::CloseCode;
use crate::reactor::queue::{Command, Target};

#[test]
fn l5_after_the_end_commands_are_refused_and_nothing_is_pending() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        event_loop.queue.insert_connection(0, 1);
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        let thread = spawn(&event_loop, move |event_loop| {
            for command in [message(1, 3), Command::Close(CloseCode::Away, "".into()), message(2, 3)] {
                let must_refuse = ended.load(Ordering::Relaxed);
                assert!(!(event_loop.push(connection(1), command) && must_refuse));
            }
        });
        event_loop.take(usize::MAX);
        event_loop.queue.remove_connection(0);
        event_loop.queue.remote.close();
        has_ended.store(true, Ordering::Relaxed);
        event_loop.queue.clear();
        event_loop.assert_consistent();
        thread.join().unwrap();
        assert!(!event_loop.queue.remote.has_commands());
        assert_eq!(event_loop.queue.memory().held(), 0);
        assert_eq!(event_loop.queue.status(0).unwrap().buffered(), 0);
        for target in [connection(1), Target::All] {
            for command in [message(1, 1), Command::Shutdown, Command::Pause] {
                assert!(!event_loop.push(target, command));
            }
        }
    });
}

/// A loop can run again. A command that was queued before the end must not suppress the wake-up for a later one.
#[test]
fn l5_a_loop_that_runs_again_is_woken() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        let runs_again = Arc::new(AtomicBool::new(false));
        let again = Arc::clone(&runs_again);
        let thread = spawn(&event_loop, move |event_loop| {
            event_loop.push(Target::All, message(1, 1));
            // Of the second command, the thread knows in which run of the loop it was queued.
            let is_again = again.load(Ordering::Relaxed);
            event_loop.push(Target::All, message(2, 1)) && is_again
        });
        event_loop.take(usize::MAX);
        event_loop.queue.remote.close();
        event_loop.queue.clear();
        event_loop.queue.remote.reopen();
        runs_again.store(true, Ordering::Relaxed);
        if thread.join().unwrap() {
            let taken = event_loop.turn(false, usize::MAX).0;
            assert_eq!(super::numbers(&taken).last(), Some(&2));
        }
    });
}

/// A loop that has nothing left to do ends, unless a command arrives at the same time.
#[test]
fn l5_a_command_at_the_end_is_refused_or_taken() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        let threads = [1, 2].map(|number| {
            spawn(&event_loop, move |event_loop| {
                usize::from(event_loop.push(Target::All, message(number, 1)))
            })
        });
        let mut taken = 0;
        while !event_loop.queue.remote.close_if_empty() {
            taken += event_loop.take(usize::MAX).0.len();
        }
        let accepted: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(taken, accepted);
    });
}
