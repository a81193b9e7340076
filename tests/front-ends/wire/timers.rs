//! L7, L8, T1: timeouts, and connections that reuse a slot.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sockeye::util::Token;
use sockeye::{CloseCode, Sender};

use sockeye_test_support::bytes::{TEXT, masked};
use sockeye_test_support::host::Host;
use sockeye_test_support::journal::Hook;
use sockeye_test_support::script::Script;

#[test]
fn l7_each_timeout_fires_once_and_never_early() {
    let set_at = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&set_at);
    let count = 3000;
    let millis = |number: usize| number * 7919 % 250;
    let server = Script::new()
        .on(move |out, hook| match hook {
            Hook::Open(_) => (0..count).try_for_each(|number| {
                noted.lock().unwrap().push(Instant::now());
                out.timeout(millis(number) as u64, Token(number))
            }),
            _ => Ok(()),
        })
        .serve();
    let mut peer = server.open();
    let is_timeout = |hook: &Hook| matches!(hook, Hook::Timeout(_));
    server.journal.wait("all timeouts", |entries| {
        (entries.iter().filter(|it| is_timeout(&it.hook)).count() >= count).then_some(())
    });
    let set_at = set_at.lock().unwrap();
    let mut fired = vec![0; count];
    for entry in server.journal.all() {
        if let Hook::Timeout(number) = entry.hook {
            fired[number] += 1;
            let waited = entry.at - set_at[number];
            let wanted = Duration::from_millis(millis(number) as u64);
            assert!(waited >= wanted, "{number} fired after {waited:?} and not {wanted:?}");
        }
    }
    assert_eq!(fired, vec![1; count]);
    peer.close(1000);
}

#[test]
fn l7_a_zero_timeout_fires_after_on_new_timeout_and_does_not_block_the_loop() {
    let server = Script::echo().serve();
    let rearms = Script::new()
        .on(|out, hook| match hook {
            Hook::Open(_) | Hook::Timeout(_) => out.timeout(0, Token(7)),
            _ => Ok(()),
        })
        .serve();
    let mut peer = rearms.open();
    rearms.journal.wait_for("timeout 7", 20);
    // Others are served by the loop that does nothing else.
    rearms.assert_serves();
    let story = rearms.journal.story(0);
    assert!(story.contains("open, new timeout 7, timeout 7, new timeout 7, timeout 7"), "{story}");
    peer.close(1000);
    server.assert_serves();
}

#[test]
fn l7_distant_timeouts_do_not_fire_and_keep_the_loop_idle() {
    let far = [u64::MAX, u64::MAX - 1, u64::MAX / 1000, 1 << 53, 1 << 41, 1 << 32, (1 << 31) + 5, 1 << 31];
    let server = Script::new()
        .on(move |out, hook| match hook {
            Hook::Open(_) => {
                far.iter().enumerate().try_for_each(|(number, ms)| out.timeout(*ms, Token(number)))?;
                out.timeout(50, Token(100))
            }
            _ => Ok(()),
        })
        .serve();
    let mut peer = server.open();
    server.journal.wait_for("timeout 100", 1);
    server.assert_idle();
    assert_eq!(server.journal.all().iter().filter(|it| matches!(it.hook, Hook::Timeout(_))).count(), 1);
    peer.close(1000);
    server.journal.story_of_lost(0);
}

#[test]
fn l7_timeouts_canceled_repeatedly_do_not_fire() {
    let fired = Arc::new(Mutex::new(Vec::new()));
    let handles = Arc::clone(&fired);
    let server = Script::new()
        .on(move |out, hook| match hook {
            Hook::Open(_) => (0..10).try_for_each(|number| out.timeout(50, Token(number))),
            // The odd ones are cancelled, twice; the even ones after they have fired.
            Hook::NewTimeout(number, timeout) if number % 2 == 1 => {
                out.cancel(timeout.clone())?;
                out.cancel(timeout.clone())
            }
            Hook::NewTimeout(number, timeout) if *number < 10 => {
                handles.lock().unwrap().push(timeout.clone());
                Ok(())
            }
            Hook::Timeout(8) => {
                // These take the places of those that have fired, and must not be hit by what is cancelled late.
                (10..15).try_for_each(|number| out.timeout(50, Token(2 * number)))?;
                handles.lock().unwrap().iter().try_for_each(|timeout| out.cancel(timeout.clone()))
            }
            _ => Ok(()),
        })
        .serve();
    let mut peer = server.open();
    server.journal.wait_for("timeout 28", 1);
    let mut fired: Vec<usize> = (server.journal.all().iter())
        .filter_map(|it| match it.hook {
            Hook::Timeout(number) => Some(number),
            _ => None,
        })
        .collect();
    fired.sort_unstable();
    assert_eq!(fired, [0, 2, 4, 6, 8, 20, 22, 24, 26, 28]);
    server.journal.stays_silent(Duration::from_millis(100));
    peer.close(1000);
}

#[test]
fn l7_timeouts_of_a_broadcaster_fire_for_each_connection() {
    let server = Script::new().serve();
    let mut peers = [server.open(), server.open(), server.open()];
    server.journal.wait_for("open", 3);
    server.out.timeout(20, Token(5)).unwrap();
    server.journal.wait_for("timeout 5", 3);
    assert_eq!(server.journal.count("new timeout 5"), 3);
    peers.iter_mut().for_each(|peer| peer.close(1000));
}

#[test]
fn l7_timeouts_work_before_the_connection_is_open() {
    let host = Host::new();
    let mut client = Script::new()
        .on(|out, hook| match hook {
            Hook::Made => out.timeout(20, Token(1)),
            Hook::Timeout(1) => out.timeout(20, Token(2)),
            _ => Ok(()),
        })
        .connect(&host.url());
    let peer = host.accept();
    client.journal.wait_for("timeout 2", 1);
    drop(peer);
    client.wait_for_end();
    assert_eq!(client.journal.count("open"), 0);
}

/// A server that keeps the senders of its connections, and schedules a timeout for the first of them.
fn keeping_senders(script: Script, ms: u64) -> (Script, Arc<Mutex<Vec<Sender>>>) {
    let senders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&senders);
    let script = script.on(move |out, hook| match hook {
        Hook::Made => {
            kept.lock().unwrap().push(out.clone());
            Ok(())
        }
        Hook::Open(_) if out.connection_id() == 0 => out.timeout(ms, Token(1)),
        _ => Ok(()),
    });
    (script, senders)
}

#[test]
fn l8_the_timeout_of_a_closed_connection_does_not_fire_on_its_successor() {
    let (script, senders) = keeping_senders(Script::new(), 150);
    // Its own deadlines die with it, too.
    let server = script.settings(|it| it.idle_timeout = Some(Duration::from_secs(60))).serve();
    let first = server.open();
    server.journal.wait_for("new timeout 1", 1);
    drop(first);
    server.journal.story_of_lost(0);
    let mut second = server.open();
    {
        let senders = senders.lock().unwrap();
        assert_eq!(senders[0].token(), senders[1].token(), "the second has not taken the place of the first");
        assert_ne!(senders[0].connection_id(), senders[1].connection_id());
    }
    server.journal.wait_for("open", 2);
    server.journal.stays_silent(Duration::from_millis(300));
    second.close(1000);
    assert_eq!(server.journal.story_of_lost(1), "made, request GET /chat, open, close 1000, lost");
}

#[test]
fn t1_a_message_for_a_closed_connection_does_not_reach_its_successor() {
    let (script, senders) = keeping_senders(Script::new(), 60_000);
    let server = script.serve();
    drop(server.open());
    server.journal.story_of_lost(0);
    let mut second = server.open();
    server.journal.wait_for("open", 2);
    let (dead, alive) = {
        let senders = senders.lock().unwrap();
        assert_eq!(senders[0].token(), senders[1].token());
        (senders[0].clone(), senders[1].clone())
    };
    assert!(!dead.is_open() && alive.is_open());
    assert!(dead.try_send("this is not received").is_err());
    dead.send("nor this").unwrap();
    dead.ping(vec![1]).unwrap();
    dead.pong(vec![1]).unwrap();
    dead.pause().unwrap();
    assert!(dead.timeout(0, Token(9)).is_err());
    dead.close(CloseCode::Error).unwrap();
    alive.send("but this").unwrap();
    assert_eq!(second.frame(), (TEXT, b"but this".to_vec()));
    second.send(&masked(TEXT, b"still read"));
    server.journal.wait_for("message still read", 1);
    second.close(1000);
    let story = "made, request GET /chat, open, message still read, close 1000, lost";
    assert_eq!(server.journal.story_of_lost(1), story);
}
