//! The limits in commands and bytes, and the counts that are left when the queue is empty.

use super::{Loop, Settings, check, connection, message, spawn};

/// The queue holds two commands and ten bytes.
fn small() -> Settings {
    Settings { queue_size: 2, max_connections: 1, queue_bytes: 10, ..Settings::default() }
}

#[test]
fn w10_the_number_of_commands_stays_within_the_limit() {
    check(None, || {
        let event_loop = Loop::new(&small());
        let threads = [1, 2].map(|number| {
            spawn(&event_loop, move |event_loop| {
                let accepted = [(); 2].map(|()| event_loop.push(connection(1), message(number, 0)));
                event_loop.assert_consistent();
                accepted.map(usize::from).iter().sum::<usize>()
            })
        });
        let taken = event_loop.take(usize::MAX).0.len();
        let accepted: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert!((2..=taken + 2).contains(&accepted));
        assert_eq!(taken + event_loop.take(usize::MAX).0.len(), accepted);
    });
}

#[test]
fn w10_the_bytes_stay_within_the_limit() {
    check(None, || {
        let event_loop = Loop::new(&small());
        event_loop.queue.insert_connection(0, 1);
        let threads = [1, 2].map(|number| {
            spawn(&event_loop, move |event_loop| {
                let is_accepted = event_loop.push(connection(1), message(number, 6));
                event_loop.assert_consistent();
                usize::from(is_accepted)
            })
        });
        let taken = event_loop.take(usize::MAX).0.len();
        let accepted: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert!(accepted >= 1, "an empty queue accepts everything");
        assert_eq!(taken + event_loop.take(usize::MAX).0.len(), accepted);
        assert_eq!(event_loop.queue.buffered_amount(0, 1), 6 * accepted);
    });
}
