//! Connections that end, and publications that the server refuses.

use sockeye::cluster::{Broker, Queued, Redis};
use sockeye_test_support::wait_until;

use crate::node::{Node, Report};
use crate::server::Server;

/// Waits until the broker is connected again, and checks that it works. Numbers begin again.
fn recover(node: &mut Node) {
    assert_eq!(node.next(), Report::Up);
    node.subscribe(&["a"]);
    node.publish("a", b"again");
    assert_eq!(node.message_and_acknowledgment(), ("a".to_owned(), b"again".to_vec(), 1));
}

#[test]
fn a_server_can_restart() {
    let Some(mut server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.subscribe(&["a"]);
    node.publish("a", b"first");
    node.message_and_acknowledgment();
    server.kill();
    let reason = node.wait_down();
    assert!(reason.contains("connection"), "{reason}");
    // They are forgotten, as the library would subscribe and publish again.
    node.broker.subscribe(&["b"]);
    assert_eq!(node.broker.publish("b", b"forgotten"), Queued::Accepted);
    server.restart();
    recover(&mut node);
    assert_eq!(server.client().call(&["PUBSUB", "CHANNELS"]), "a");
    assert_eq!(node.stop(), []);
}

#[test]
fn a_stop_ends_the_attempts_to_connect() {
    let Some(mut server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    server.kill();
    node.wait_down();
    assert_eq!(node.stop(), []);
    server.restart();
}

#[test]
fn either_connection_can_end() {
    let Some(server) = Server::start(&[]) else { return };
    for protocol in ["resp2", "resp3"] {
        let mut node = Node::start(Redis::new(format!("{}?protocol={protocol}", server.url())).unwrap());
        node.subscribe(&["a"]);
        for kind in ["pubsub", "normal"] {
            assert_ne!(server.client().call(&["CLIENT", "KILL", "TYPE", kind]), "0");
            let reason = node.wait_down();
            assert!(reason.contains(if kind == "pubsub" { "subscribing" } else { "publishing" }), "{reason}");
            recover(&mut node);
        }
        assert_eq!(node.stop(), []);
    }
}

#[test]
fn the_library_can_request_a_new_connection() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.broker.reconnect();
    let reason = node.wait_down();
    assert!(reason.contains("requires a new connection"), "{reason}");
    recover(&mut node);
}

#[test]
fn a_paused_server_is_no_failure() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.subscribe(&["a"]);
    server.client().call(&["CLIENT", "PAUSE", "300"]);
    node.publish("a", b"x");
    assert_eq!(node.message_and_acknowledgment(), ("a".to_owned(), b"x".to_vec(), 1));
}

#[test]
fn a_slow_subscriber_is_closed_by_the_server() {
    let Some(server) = Server::start(&["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"]) else {
        return;
    };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.subscribe(&["a"]);
    node.set_room(false);
    let (mut client, payload) = (server.client(), "x".repeat(1 << 20));
    wait_until("the end of the connection", || client.call(&["PUBLISH", "a", &payload]) == "0");
    node.set_room(true);
    let reason = node.wait_down();
    assert!(reason.contains("subscribing"), "{reason}");
    recover(&mut node);
}

#[test]
fn refused_publications_are_reported() {
    let Some(server) = Server::start(&[]) else { return };
    server.client().call(&["ACL", "SETUSER", "me", "on", ">secret", "resetchannels", "&a", "+@pubsub"]);
    for protocol in ["resp2", "resp3"] {
        let url = format!("redis://me:secret@127.0.0.1:{}/?protocol={protocol}", server.port);
        let mut node = Node::start(Redis::new(url).unwrap());
        node.subscribe(&["a"]);
        node.publish("a", b"1");
        assert_eq!(node.message_and_acknowledgment(), ("a".to_owned(), b"1".to_vec(), 1));
        node.publish("b", b"2");
        assert_eq!([node.next(), node.next()], [Report::Rejected(2), Report::Acknowledged(2)]);
        node.publish("a", b"3");
        assert_eq!(node.message_and_acknowledgment(), ("a".to_owned(), b"3".to_vec(), 3));
        node.broker.subscribe(&["b"]);
        let reason = node.wait_down();
        assert!(reason.contains("refuses a subscription: NOPERM"), "{reason}");
        recover(&mut node);
    }
}
