//! Subscriptions and publications, in both versions of the protocol and over each kind of socket.

use std::time::Instant;

use sockeye::cluster::{Broker, Queued, Redis};

use crate::node::{Node, Report};
use crate::server::Server;

/// Subscribes, publishes, and ends a subscription.
pub(crate) fn converse(broker: Redis) {
    let mut node = Node::start(broker);
    node.subscribe(&["one", "two", "drei \u{1f41f}"]);
    node.publish("one", b"\0\xff\r\n");
    assert_eq!(node.message_and_acknowledgment(), ("one".to_owned(), b"\0\xff\r\n".to_vec(), 1));
    node.publish("drei \u{1f41f}", b"");
    assert_eq!(node.message_and_acknowledgment(), ("drei \u{1f41f}".to_owned(), Vec::new(), 2));

    node.subscribe(&["four"]);
    node.broker.unsubscribe(&["one"]);
    // Confirmed after the end of the subscription.
    node.subscribe(&["five"]);
    node.publish("one", b"unheard");
    assert_eq!(node.next(), Report::Acknowledged(3));
    let large = vec![b'x'; 3 << 20];
    node.publish("two", &large);
    let (channel, payload, count) = node.message_and_acknowledgment();
    assert!(channel == "two" && payload == large && count == 4);
    assert_eq!(node.stop(), []);
}

#[test]
fn both_versions_of_the_protocol_work() {
    let Some(server) = Server::start(&[]) else { return };
    converse(Redis::new(server.url()).unwrap());
    converse(Redis::new(server.url() + "?protocol=resp3").unwrap());
    converse(Redis::new(server.url() + "5?protocol=resp2").unwrap());
}

#[test]
#[cfg(unix)]
fn unix_sockets_work() {
    let Some(server) = Server::start(&["--requirepass", "p&ss"]) else { return };
    let path = server.unix_path();
    let path = path.display();
    converse(Redis::new(format!("unix://{path}?db=3&pass=p%26ss")).unwrap());
    converse(Redis::new(format!("redis+unix://{path}?user=default&pass=p%26ss&protocol=resp3")).unwrap());
}

#[test]
fn publications_arrive_at_other_nodes_in_order() {
    let Some(server) = Server::start(&[]) else { return };
    let mut receiver = Node::start(Redis::new(server.url()).unwrap());
    receiver.subscribe(&["a"]);
    let mut sender = Node::start(Redis::new(server.url() + "?protocol=resp3").unwrap());
    for number in 0..20_000_u32 {
        sender.publish("a", &number.to_be_bytes());
    }
    assert_eq!(sender.wait_acknowledged(20_000), 0);
    for number in 0..20_000_u32 {
        assert_eq!(receiver.next(), Report::Message("a".to_owned(), number.to_be_bytes().to_vec()));
    }
}

#[test]
fn a_stop_sends_what_is_queued() {
    let Some(server) = Server::start(&[]) else { return };
    let mut receiver = Node::start(Redis::new(server.url()).unwrap());
    receiver.subscribe(&["a"]);
    let mut sender = Node::start(Redis::new(server.url()).unwrap());
    for _ in 0..1000 {
        sender.publish("a", b"last");
    }
    sender.stop();
    for _ in 0..1000 {
        assert_eq!(receiver.next(), Report::Message("a".to_owned(), b"last".to_vec()));
    }
}

#[test]
fn after_a_stop_commands_are_forgotten() {
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    node.broker.stop();
    node.broker.subscribe(&["a"]);
    assert_eq!(node.broker.publish("a", b"x"), Queued::Accepted);
    assert_eq!(node.stop(), []);
}

#[test]
fn a_dropped_broker_closes_its_connections() {
    let Some(server) = Server::start(&[]) else { return };
    let node = Node::start(Redis::new(server.url()).unwrap());
    let mut client = server.client();
    let connected =
        |client: &mut crate::server::Client| client.call(&["CLIENT", "LIST"]).contains("sockeye-");
    assert!(connected(&mut client), "the connections have names");
    drop(node);
    sockeye_test_support::wait_until("the end of the connections", || !connected(&mut client));
}

/// Prints how long subscribing again takes. Nothing depends on it.
#[test]
fn a_hundred_thousand_channels_are_subscribed_again() {
    let Some(server) = Server::start(&[]) else { return };
    let names: Vec<_> = (0..100_000).map(|number| format!("sockeye:topic:{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for protocol in ["resp2", "resp3"] {
        let mut node = Node::start(Redis::new(format!("{}?protocol={protocol}", server.url())).unwrap());
        node.subscribe(&names);
        server.client().call(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        node.wait_down();
        assert_eq!(node.next(), Report::Up);
        let start = Instant::now();
        node.broker.subscribe(&names);
        let queued = start.elapsed();
        node.wait_subscribed(&names);
        eprintln!("{protocol}: 100,000 channels in {:?}, of which the caller {queued:?}", start.elapsed());
        node.publish("sockeye:topic:99999", b"x");
        assert_eq!(node.message_and_acknowledgment(), ("sockeye:topic:99999".to_owned(), b"x".to_vec(), 1));
    }
}
