//! Functions that the loop calls later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{listening, open_client, run_until, run_until_idle};
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::Fake;
use crate::{Error, ErrorKind, Message, Result};

const SECOND: Duration = Duration::from_secs(1);

fn handler(_: Sender) -> impl FnMut(Message) -> Result<()> {
    |_| Ok(())
}

#[test]
fn functions_are_called_in_the_order_of_their_times() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(handler, Settings::default(), &system);
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let began = system.time();
    for seconds in [3, 1, 2] {
        let (calls, queue) = (Arc::clone(&calls), Arc::clone(&reactor.state.queue));
        all.run_after(seconds * SECOND, move |_| {
            calls.lock().unwrap().push((seconds, queue.now() - began));
            Ok(())
        })
        .unwrap();
    }
    run_until(&mut reactor, || calls.lock().unwrap().len() == 3);
    for ((seconds, time), expected) in calls.lock().unwrap().iter().zip(1..) {
        assert_eq!(*seconds, expected);
        assert!(
            *time >= *seconds * SECOND && *time < *seconds * SECOND + Duration::from_millis(3),
            "{time:?}"
        );
    }
}

#[test]
fn a_function_can_schedule_itself_again_and_send() {
    fn tick(out: &Sender) -> Result<()> {
        out.send("tick")?;
        out.run_after(SECOND, tick)
    }
    let (system, senders) = (Fake::new(), Arc::new(Mutex::new(Vec::new())));
    let made = Arc::clone(&senders);
    let factory = move |out: Sender| {
        made.lock().unwrap().push(out);
        |_: Message| Ok(())
    };
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let (first, second) = (open_client(&mut reactor, &system), open_client(&mut reactor, &system));
    senders.lock().unwrap()[0].run_after(SECOND, tick).unwrap();
    let mut received = Vec::new();
    run_until(&mut reactor, || {
        received.extend(first.take_received());
        received.len() >= 18
    });
    assert_eq!(received, b"\x81\x04tick".repeat(3));
    assert!(second.take_received().is_empty());
    // It belongs to the loop: the end of the connection does not stop it.
    first.end();
    run_until_idle(&mut reactor);
    assert_eq!(reactor.entries.len(), 1);
    let before = system.time();
    run_until(&mut reactor, || system.time() - before > 5 * SECOND);
}

#[test]
fn another_thread_schedules_a_function_and_an_error_has_no_effect() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(handler, Settings::default(), &system);
    let (all, count) = (Sender::all(Arc::clone(&reactor.state.queue)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let count = Arc::clone(&count);
            all.run_after(Duration::ZERO, move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                Err(Error::new(ErrorKind::Internal, "no price"))
            })
        });
    });
    run_until(&mut reactor, || count.load(Ordering::Relaxed) == 1);
    // A time that the clock does not have never comes.
    all.run_after(Duration::MAX, |_| unreachable!("at the end of time")).unwrap();
    run_until_idle(&mut reactor);
}

#[test]
fn the_end_of_the_loop_drops_what_is_scheduled() {
    let system = Fake::new();
    let mut reactor = crate::reactor::Reactor::with_system(handler, Settings::default(), system.clone());
    let (all, held) = (Sender::all(Arc::clone(&reactor.state.queue)), Arc::new(()));
    for delay in [SECOND, 2 * SECOND] {
        let held = Arc::clone(&held);
        all.run_after(delay, move |all| {
            let _held = held;
            all.shutdown()
        })
        .unwrap();
    }
    reactor.runs_until_shutdown = true;
    reactor.run().unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(all.run_after(SECOND, |_| Ok(())).is_err());
}
