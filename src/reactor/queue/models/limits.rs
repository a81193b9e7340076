//! The limits in commands and bytes, and the counts that are left when the queue is empty.

use super::{Loop, Settings, check, connection, message, spawn};
use crate::reactor::api::settings::Overflow;
use crate::reactor::queue::{Batch, Phase};

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

/// A thread checks the output of a connection before it queues a message. Meanwhile, another one can do the same.
#[test]
fn m1_each_thread_can_exceed_the_output_limit_of_a_connection_by_one_message() {
    check(None, || {
        let settings = Settings { max_buffered: 10, overflow: Overflow::Drop, ..Settings::default() };
        let event_loop = Loop::new(&settings);
        open_connection(&event_loop);
        let entered = event_loop.queue.enter();
        let other = spawn(&event_loop, |event_loop| {
            for _ in 0..3 {
                event_loop.queue.send(connection(1), message(1, 6)).unwrap();
            }
        });
        event_loop.queue.send(connection(1), message(2, 6)).unwrap();
        let mut taken = event_loop.take(usize::MAX).0;
        taken.extend(event_loop.take(usize::MAX).0);
        other.join().unwrap();
        taken.extend(event_loop.take(usize::MAX).0);
        let mut own = Batch::new();
        event_loop.queue.swap_local(&mut own);
        drop(entered);
        // Every accepted byte is counted, and nothing else.
        let buffered = event_loop.queue.buffered_amount(0, 1);
        assert_eq!(buffered, 6 * (taken.len() + own.len()));
        assert!((6..=12).contains(&buffered));
    });
}

#[test]
fn m1_queued_bytes_are_counted_until_they_are_sent() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        open_connection(&event_loop);
        let sender = spawn(&event_loop, |event_loop| {
            assert!(event_loop.push(connection(1), message(1, 6)));
            assert!([6, 16, 10].contains(&event_loop.queue.buffered_amount(0, 1)));
        });
        let observer = spawn(&event_loop, |event_loop| {
            assert!([0, 6, 16, 10].contains(&event_loop.queue.buffered_amount(0, 1)));
        });
        event_loop.take_all(1);
        // The loop queues a reply of ten bytes, and sends the message.
        let status = event_loop.queue.status(0).unwrap();
        status.add_local(10);
        status.replace_local(16, 10);
        sender.join().unwrap();
        observer.join().unwrap();
        assert_eq!(event_loop.queue.buffered_amount(0, 1), 10);
    });
}

/// The counts are reset one after the other when the connection is removed.
#[test]
fn m1_bytes_that_have_been_sent_do_not_count_again_at_the_end() {
    check(None, || {
        let event_loop = Loop::new(&Settings::default());
        open_connection(&event_loop);
        assert!(event_loop.push(connection(1), message(1, 6)));
        event_loop.take_all(1);
        event_loop.queue.status(0).unwrap().sub_local(6);
        let observer = spawn(&event_loop, |event_loop| event_loop.queue.buffered_amount(0, 1));
        event_loop.queue.remove_connection(0);
        assert_eq!(observer.join().unwrap(), 0);
    });
}

fn open_connection(event_loop: &Loop) {
    event_loop.queue.insert_connection(0, 1);
    event_loop.advance(Phase::Open);
}
