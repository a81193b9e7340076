//! T1: what was meant for a connection that has gone never reaches the one that took its place.

use sockeye::util::Token;
use sockeye::{CloseCode, Sender, Settings};

use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::{HandlerCall, HandlerCalls, Probes};
use sockeye_test_support::server::Server;

/// A sender of a connection that has gone, and the connection that is in its place.
fn successor(server: &Server, calls: &HandlerCalls, before: impl FnOnce(&Sender)) -> (Sender, Sender, Peer) {
    let peer = Peer::open(server.addr);
    let old = calls.opened();
    before(&old);
    peer.finish();
    calls.lost();
    let peer = Peer::open(server.addr);
    let new = calls.opened();
    assert_eq!(old.token(), new.token(), "the place is used again");
    assert_ne!(old, new);
    (old, new, peer)
}

#[test]
fn t1_commands_for_a_closed_connection_do_not_affect_its_successor() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let (old, new, mut peer) = successor(&server, &calls, |_| {});
    assert_eq!((old.is_open(), old.buffered_amount()), (false, 0));
    old.send("late").unwrap();
    old.ping(b"late".to_vec()).unwrap();
    old.pong(b"late".to_vec()).unwrap();
    old.pause().unwrap();
    old.timeout(0, Token(1)).unwrap_err();
    old.close(CloseCode::Again).unwrap();
    // These come after the late ones, so that anything that got through would show before.
    new.timeout(30, Token(2)).unwrap();
    peer.send_text("hello");
    let mut messages = 0;
    calls.find(|_, call| match call {
        HandlerCall::Message(_) => {
            messages += 1;
            None
        }
        HandlerCall::NewTimeout(_) => None,
        HandlerCall::Timeout(token) => {
            assert_eq!(token, Token(2));
            Some(())
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(messages, 1);
    new.send("in time").unwrap();
    assert_eq!(peer.next_frame().unwrap().payload(), b"in time");
    assert!(new.is_open());
    peer.finish();
    server.stop();
}

#[test]
fn t1_l8_timeouts_of_a_closed_connection_do_not_affect_its_successor() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut old_timeout = None;
    let (old, new, peer) = successor(&server, &calls, |old| {
        (0..100).for_each(|number| old.timeout(50 + number, Token(1)).unwrap());
        old_timeout = Some(calls.find(|_, call| match call {
            HandlerCall::NewTimeout(timeout) => Some(timeout),
            _ => None,
        }));
    });
    new.timeout(200, Token(2)).unwrap();
    // A timeout that ended with its connection cancels no other one.
    old.cancel(old_timeout.unwrap()).unwrap();
    calls.find(|_, call| match call {
        HandlerCall::Timeout(token) => {
            assert_eq!(token, Token(2));
            Some(())
        }
        _ => None,
    });
    peer.finish();
    server.stop();
}

#[test]
fn t1_a_sender_on_another_thread_never_reaches_a_later_connection() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    for round in 0..50 {
        let mut peer = Peer::open(server.addr);
        let out = calls.opened();
        let text = round.to_string();
        let talker = std::thread::spawn({
            let text = text.clone();
            // Until some time after the end, when others have the place.
            move || (0..2000).for_each(|_| drop(out.send(text.as_str())))
        });
        (0..5).for_each(|_| assert_eq!(peer.message(), text));
        drop(peer);
        if round % 10 == 9 {
            sockeye_test_support::join(talker).unwrap();
        }
    }
    server.stop();
}
