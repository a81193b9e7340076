//! Control commands: a full queue accepts them, holds one of each kind, and keeps them in order with all other commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Loop, Settings, check, connection, message, number, spawn};
use crate::close::CloseCode;
use crate::reactor::queue::{Batch, Command, Target};

fn close() -> Command {
    Command::Close(CloseCode::Away, "".into())
}

/// A queue with one place, which is taken.
fn full() -> Arc<Loop> {
    let event_loop = Loop::new(&Settings { queue_size: 1, max_connections: 1, ..Settings::default() });
    event_loop.queue.insert_connection(0, 1);
    assert!(event_loop.push(connection(1), message(1, 1)));
    event_loop
}

fn check_accepted_once(target: Target, command: fn() -> Command) {
    check(None, move || {
        let event_loop = full();
        let has_taken = Arc::new(AtomicBool::new(false));
        let threads = [(); 2].map(|()| {
            let has_taken = Arc::clone(&has_taken);
            spawn(&event_loop, move |event_loop| {
                let is_late = has_taken.load(Ordering::Relaxed);
                assert!(event_loop.push(target, command()), "a full queue accepts control commands");
                event_loop.assert_consistent();
                is_late
            })
        });
        let first = control_commands(&event_loop.take(usize::MAX).0);
        has_taken.store(true, Ordering::Relaxed);
        let is_late =
            threads.map(|thread| thread.join().expect("the thread has not panicked")).contains(&true);
        let second = control_commands(&event_loop.take(usize::MAX).0);
        assert!(first <= 1 && second <= 1, "the command is queued once");
        assert!(first + second >= 1 && (!is_late || second == 1), "the command is lost");
        // Nothing is left behind.
        assert!(event_loop.push(target, command()));
        assert_eq!(control_commands(&event_loop.take(usize::MAX).0), 1);
    });
}

fn control_commands(batch: &Batch) -> usize {
    batch.iter().filter(|queued| number(&queued.command).is_none()).count()
}

#[test]
fn w9_a_close_is_accepted_and_queued_once() {
    check_accepted_once(connection(1), close);
    check_accepted_once(Target::All, close);
}

#[test]
fn w9_a_shutdown_is_accepted_and_queued_once() {
    check_accepted_once(connection(1), || Command::Shutdown);
}

#[test]
fn w9_a_drain_is_accepted_and_queued_once() {
    check_accepted_once(connection(1), || Command::Drain(Box::default()));
    check_accepted_once(Target::All, || Command::Drain(Box::default()));
}

#[test]
fn w9_the_last_of_several_pauses_and_resumptions_counts() {
    for asked in [[true, false, true], [false, true, false]] {
        check(None, move || {
            let event_loop = full();
            let thread = spawn(&event_loop, move |event_loop| {
                for pauses in asked {
                    let command = if pauses { Command::Pause } else { Command::Resume };
                    assert!(event_loop.push(connection(1), command));
                }
            });
            let mut taken = event_loop.take(usize::MAX).0;
            taken.extend(event_loop.take(usize::MAX).0);
            thread.join().unwrap();
            taken.extend(event_loop.take(usize::MAX).0);
            let is_paused = matches!(taken.last().unwrap().command, Command::Pause);
            assert_eq!(is_paused, asked[2]);
        });
    }
}

#[test]
fn w9_control_commands_stay_in_order_with_messages() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        event_loop.queue.insert_connection(0, 1);
        let thread = spawn(&event_loop, |event_loop| {
            for command in [message(1, 1), close(), message(2, 1), close()] {
                assert!(event_loop.push(connection(1), command));
            }
        });
        let mut taken = event_loop.take(usize::MAX).0;
        thread.join().unwrap();
        taken.extend(event_loop.take(usize::MAX).0);
        let numbers: Vec<_> = taken.iter().map(|queued| number(&queued.command)).collect();
        let once = [Some(1), None, Some(2)];
        assert!(numbers == once || numbers == [&once[..], &[None]].concat(), "{numbers:?}");
    });
}
