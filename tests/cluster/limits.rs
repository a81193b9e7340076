//! Queues that are full, on both sides.

use sockeye::cluster::{Broker, Queued, Redis};

use crate::node::{Node, Report};
use crate::server::Server;

/// A pause that only `CLIENT UNPAUSE` ends. It delays PUBLISH.
const PAUSE: [&str; 4] = ["CLIENT", "PAUSE", "600000", "WRITE"];
const UNPAUSE: [&str; 2] = ["CLIENT", "UNPAUSE"];

#[test]
fn unanswered_publications_are_limited() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap().max_queued_publications(10));
    server.client().call(&PAUSE);
    for _ in 0..10 {
        node.publish("a", b"x");
    }
    assert_eq!(node.broker.publish("a", b"x"), Queued::Full);
    server.client().call(&UNPAUSE);
    node.wait_acknowledged(10);
    // The queue learns of the answers after the report.
    sockeye_test_support::wait_until("room", || node.broker.publish("a", b"x") == Queued::Accepted);
    assert_eq!(node.next(), Report::Acknowledged(11));
}

#[test]
fn unsent_bytes_are_limited() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap().max_queued_bytes(1 << 20));
    assert_eq!(node.broker.publish("a", &vec![0; 1 << 20]), Queued::Full, "longer than the limit");
    server.client().call(&PAUSE);
    let payload = vec![0; 100_000];
    let (mut accepted, mut lost) = (0, None);
    // The buffers of the system become full, and then the queue. Between them, the thread has to move what is queued. On a very busy
    // host this takes so long that the silent server counts as lost before.
    sockeye_test_support::wait_until("a full queue, or the loss of the server", || {
        let mut is_full = true;
        for _ in 0..100 {
            if node.broker.publish("a", &payload) == Queued::Accepted {
                accepted += 1;
                is_full = false;
            }
            std::thread::yield_now();
        }
        lost = node.reported_down();
        is_full || lost.is_some()
    });
    server.client().call(&UNPAUSE);
    if let Some(reason) = lost.or_else(|| node.await_acknowledged(accepted).err()) {
        assert!(reason.contains("does not answer"), "{reason}");
    }
}

#[test]
fn nothing_is_read_without_room() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.subscribe(&["a"]);
    node.set_room(false);
    node.publish("a", b"x");
    node.publish("a", b"y");
    assert_eq!(node.wait_acknowledged(2), 0);
    node.set_room(true);
    assert_eq!(node.next(), Report::Message("a".to_owned(), b"x".to_vec()));
    assert_eq!(node.next(), Report::Message("a".to_owned(), b"y".to_vec()));
}

#[test]
fn a_reply_that_is_too_long_ends_the_connection() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap().max_reply_size(1 << 20));
    node.subscribe(&["a"]);
    node.publish("a", &vec![0; 2 << 20]);
    let reason = node.wait_down();
    assert!(reason.contains("longer than 1048576 bytes"), "{reason}");
    assert_eq!(node.next(), Report::Up);
}
