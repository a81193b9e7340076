//! Wake-ups: none is lost, none is superfluous, and the commands of a thread stay in order.

use std::sync::atomic::Ordering;

use super::{Loop, Settings, check, connection, message, numbers, spawn};

#[test]
fn w10_every_accepted_command_is_taken_in_order() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        let first = spawn(&event_loop, |event_loop| {
            assert!(event_loop.push(connection(1), message(1, 1)));
            assert!(event_loop.push(connection(1), message(2, 1)));
        });
        let second = spawn(&event_loop, |event_loop| assert!(event_loop.push(connection(1), message(11, 1))));
        let mut taken = numbers(&event_loop.take_all(3));
        first.join().unwrap();
        second.join().unwrap();
        taken.retain(|number| *number != 11);
        assert_eq!(taken, [1, 2]);
    });
}

/// A wake-up is a system call. There is one for each time that the queue has become empty.
#[test]
fn w10_the_loop_is_woken_once_until_it_has_emptied_the_queue() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        let threads = [1, 2].map(|number| {
            spawn(&event_loop, move |event_loop| assert!(event_loop.push(connection(1), message(number, 1))))
        });
        let (mut taken, mut has_more, mut emptied) = (0, false, 0);
        while taken < 2 {
            let (batch, more) = event_loop.turn(has_more, 1);
            has_more = more;
            emptied += usize::from(!batch.is_empty() && !more);
            taken += batch.len();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(event_loop.waker.count.load(Ordering::Relaxed), emptied);
    });
}
