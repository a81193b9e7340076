//! Nodes of a cluster: event loops and pools that are connected by a broker.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::cluster::{
    Broker, BrokerState, Cluster, Inbox, MemoryBroker, Missed, NodeId, Order, Queued, SubscriberCount,
};
use sockeye::{
    Builder, Error, ErrorKind, Handler, Message, Publication, QueueError, Result, Sender, WebSocket, Workers,
};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::wait_until;

type Gaps = Arc<Mutex<Vec<(String, Missed)>>>;

/// A client that does what its messages request.
struct Member {
    out: Sender,
    gaps: Gaps,
}

impl Handler for Member {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        match msg.as_text()?.split_once(' ') {
            Some(("subscribe", topic)) => self.out.subscribe(topic),
            Some(("unsubscribe", topic)) => self.out.unsubscribe(topic),
            Some(("broadcast", text)) => self.out.broadcast(text),
            Some(("local", text)) => self.out.publish_with(Publication::new("red", text).local()),
            Some((topic, text)) => self.out.publish(topic, text),
            None => self.out.shutdown(),
        }
    }

    fn on_gap(&mut self, topic: &str, missed: Missed) -> Result<()> {
        self.gaps.lock().unwrap().push((topic.to_owned(), missed));
        Ok(())
    }
}

/// A node on a thread of its own.
struct Node {
    address: SocketAddr,
    all: Sender,
    gaps: Gaps,
    thread: JoinHandle<Result<()>>,
}

/// Runs a pool or, without workers, a single loop.
fn start(cluster: impl Into<Cluster>, workers: usize) -> Node {
    let gaps = Gaps::default();
    let log = Arc::clone(&gaps);
    let make = move |out| Member { out, gaps: Arc::clone(&log) };
    let cluster = cluster.into();
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        if workers == 0 {
            let socket = WebSocket::new(make)?.with_broker(cluster).bind("127.0.0.1:0")?;
            sender.send((socket.local_addr()?, socket.broadcaster())).unwrap();
            return socket.run().map(drop);
        }
        let pool = Builder::new().workers(Workers::Exactly(workers), |_| make.clone())?;
        let pool = pool.with_broker(cluster).bind("127.0.0.1:0")?;
        sender.send((pool.local_addr()?, pool.broadcaster())).unwrap();
        pool.run()
    });
    let (address, all) = receiver.recv().unwrap();
    let node = Node { address, all, gaps, thread };
    wait_until("the broker", || node.all.health().broker == Some(BrokerState::Up));
    node
}

impl Node {
    /// A client that subscribes to a topic.
    fn subscriber(&self, topic: &str) -> Peer {
        let before = self.all.subscriber_count(topic);
        let mut client = Peer::open(self.address);
        client.send_text(&format!("subscribe {topic}"));
        wait_until("the subscription", || self.all.subscriber_count(topic) == before + 1);
        client
    }

    /// The same for the first subscriber, which waits until the node receives the topic.
    fn first_subscriber(&self, topic: &str) -> Peer {
        let client = self.subscriber(topic);
        self.wait_for_gap(topic, Missed::Joined);
        client
    }

    fn wait_for_gap(&self, topic: &str, missed: Missed) {
        wait_until("the gap", || self.gaps.lock().unwrap().contains(&(topic.to_owned(), missed)));
    }

    fn stop(self) {
        self.all.shutdown().unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn publications_reach_the_subscribers_of_all_nodes_once_and_in_order() {
    let broker = MemoryBroker::new();
    let [single, pool] = [0, 2].map(|workers| start(broker.clone(), workers));
    let mut publisher = single.first_subscriber("red");
    let mut others = [pool.first_subscriber("red"), pool.subscriber("red"), single.subscriber("red")];
    for number in 0..100 {
        publisher.send_text(&format!("red {number}"));
    }
    for client in &mut others {
        (0..100).for_each(|number| assert_eq!(client.message(), number.to_string()));
    }
    pool.all.publish("red", "from a thread").unwrap();
    for client in others.iter_mut().chain([&mut publisher]) {
        assert_eq!(client.message(), "from a thread");
    }
    // The two gaps are those of the beginning: of the topic, and of broadcasts.
    let stats = single.all.stats().cluster.unwrap();
    assert_eq!((stats.state, stats.gaps, stats.lost, stats.malformed), (BrokerState::Up, 2, 0, 0));
    drop((publisher, others));
    single.stop();
    pool.stop();
}

#[test]
fn broadcasts_reach_all_nodes_and_local_publications_only_one() {
    let broker = MemoryBroker::new();
    let [first, second] = [1, 0].map(|workers| start(broker.clone(), workers));
    let (mut here, mut there) = (first.first_subscriber("red"), second.first_subscriber("red"));
    let mut publisher = Peer::open(first.address);
    publisher.send_text("local for this node");
    publisher.send_text("broadcast to all");
    assert_eq!([here.message(), here.message()], ["for this node", "to all"]);
    assert_eq!((there.message(), publisher.message()), ("to all".to_owned(), "to all".to_owned()));
    // Other methods of a sender for all connections do not leave the process.
    first.all.send("here").unwrap();
    first.all.broadcast("the end").unwrap();
    assert_eq!([here.message(), here.message()], ["here", "the end"]);
    assert_eq!(there.message(), "the end");
    drop((here, there, publisher));
    first.stop();
    second.stop();
}

#[test]
fn subscribers_learn_that_a_connection_to_the_broker_was_interrupted() {
    let broker = MemoryBroker::new();
    let [first, second] = [0, 2].map(|workers| start(broker.clone(), workers));
    let (mut here, mut there) = (first.first_subscriber("red"), second.first_subscriber("red"));
    broker.interrupt();
    first.wait_for_gap("red", Missed::Reconnected);
    second.wait_for_gap("red", Missed::Reconnected);
    second.wait_for_gap("", Missed::Reconnected);
    here.send_text("red again");
    assert_eq!(there.message(), "again");
    there.send_text("red and back");
    assert_eq!(here.message(), "and back");
    assert_eq!(first.all.stats().cluster.unwrap().reconnects, 1);
    drop((here, there));
    first.stop();
    second.stop();
}

/// Two publishers on two nodes: all subscribers receive the messages in the same order.
#[test]
fn a_topic_with_a_total_order_has_one_for_all_nodes() {
    let broker = MemoryBroker::new();
    let cluster = || Cluster::new(broker.clone()).order(|_| Order::Total);
    let [first, second] = [0, 2].map(|workers| start(cluster(), workers));
    let mut clients = [first.first_subscriber("red"), second.first_subscriber("red")];
    let publishers = [&first, &second].map(|node| {
        let all = node.all.clone();
        thread::spawn(move || (0..200).for_each(|number| all.publish("red", number.to_string()).unwrap()))
    });
    let [one, other] =
        clients.each_mut().map(|client| (0..400).map(|_| client.message()).collect::<Vec<_>>());
    assert_eq!(one, other);
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    // The publisher does not receive its own message.
    clients[0].send_text("red from a client");
    clients[1].send_text("red from another");
    assert_eq!((clients[1].message(), clients[0].message()), ("from a client".into(), "from another".into()));
    drop(clients);
    first.stop();
    second.stop();
}

#[test]
fn subscribers_of_all_nodes_are_counted() {
    let broker = MemoryBroker::new();
    let [first, second] = [0, 2].map(|workers| start(broker.clone(), workers));
    let clients = [first.first_subscriber("red"), second.first_subscriber("red"), second.subscriber("red")];
    let count = |all: &Sender, topic: &str| -> SubscriberCount {
        let (sender, receiver) = channel();
        let long = Duration::from_secs(60);
        all.count_subscribers(topic, long, move |count| sender.send(count).unwrap()).unwrap();
        receiver.recv().unwrap()
    };
    // The nodes know each other after the first heartbeats.
    wait_until("the other node", || count(&first.all, "red").nodes == 2);
    let red = count(&first.all, "red");
    assert_eq!((red.subscribers, red.answered, red.nodes), (3, 2, 2));
    assert_eq!(count(&second.all, "blue").subscribers, 0);
    let alone = WebSocket::new(|_| |_| Ok(())).unwrap();
    let own = count(&alone.broadcaster(), "red");
    assert_eq!((own.subscribers, own.answered, own.nodes), (0, 1, 1));
    drop(clients);
    first.stop();
    second.stop();
}

/// Receives nothing from other nodes, so that their questions have no answer.
struct Deaf(MemoryBroker);

impl Broker for Deaf {
    fn start(&mut self, node: NodeId, inbox: Inbox) -> Result<()> {
        self.0.start(node, inbox)
    }

    fn subscribe(&mut self, _: &[&str]) {}

    fn unsubscribe(&mut self, _: &[&str]) {}

    fn publish(&mut self, channel: &str, payload: &[u8]) -> Queued {
        self.0.publish(channel, payload)
    }

    fn reconnect(&mut self) {}

    fn stop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn open_counts_are_answered_when_the_loop_ends() {
    let broker = MemoryBroker::new();
    let first = start(broker.clone(), 0);
    let second = start(Deaf(broker), 0);
    let (all, (sender, receiver)) = (first.all.clone(), channel());
    let count = |within| {
        let sender = sender.clone();
        all.count_subscribers("red", within, move |count| sender.send((count.answered, count.nodes)).unwrap())
    };
    wait_until("the other node", || {
        count(Duration::ZERO).unwrap();
        receiver.recv() == Ok((1, 2))
    });
    count(Duration::from_secs(3600)).unwrap();
    first.stop();
    assert_eq!(receiver.recv(), Ok((1, 2)));
    let err = count(Duration::ZERO).unwrap_err();
    assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected)), "{err}");
    second.stop();
}

#[test]
fn a_node_that_leaves_causes_no_gap() {
    let broker = MemoryBroker::new();
    let [first, second] = [0, 2].map(|workers| start(broker.clone(), workers));
    let mut client = first.first_subscriber("red");
    second.all.publish("red", "bye").unwrap();
    second.stop();
    assert_eq!(client.message(), "bye");
    assert_eq!(*first.gaps.lock().unwrap(), [("red".to_owned(), Missed::Joined)]);
    drop(client);
    first.stop();
}

/// The broker of a node whose server cannot be reached. It counts how often it was stopped.
struct Unreachable(Arc<Mutex<usize>>);

impl Broker for Unreachable {
    fn start(&mut self, _: NodeId, _: Inbox) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "no such server"))
    }

    fn subscribe(&mut self, _: &[&str]) {}

    fn unsubscribe(&mut self, _: &[&str]) {}

    fn publish(&mut self, _: &str, _: &[u8]) -> Queued {
        Queued::Accepted
    }

    fn reconnect(&mut self) {}

    fn stop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

#[test]
fn a_broker_that_cannot_start_ends_the_loop_with_its_error() {
    let stopped = Arc::default();
    let socket = WebSocket::new(|_| |_| Ok(())).unwrap().with_broker(Unreachable(Arc::clone(&stopped)));
    assert_eq!(socket.run().unwrap_err().to_string(), "no such server");
    let pool = Builder::new().workers(Workers::Exactly(2), |_| |_| |_| Ok(())).unwrap();
    let pool = pool.with_broker(Unreachable(Arc::clone(&stopped)));
    assert_eq!(pool.run().unwrap_err().to_string(), "no such server");
    assert_eq!(*stopped.lock().unwrap(), 0, "a broker that has not started");
}

/// A message of a total order waits for the broker. When too many wait, the publisher gets an error, and no subscriber a gap.
#[test]
fn a_total_order_without_a_server_limits_what_waits() {
    struct Silent;

    impl Broker for Silent {
        fn start(&mut self, _: NodeId, _: Inbox) -> Result<()> {
            Ok(())
        }

        fn subscribe(&mut self, _: &[&str]) {}

        fn unsubscribe(&mut self, _: &[&str]) {}

        fn publish(&mut self, _: &str, _: &[u8]) -> Queued {
            Queued::Accepted
        }

        fn reconnect(&mut self) {}

        fn stop(&mut self) {}
    }

    let order = |topic: &str| if topic == "total" { Order::Total } else { Order::PerPublisher };
    let cluster = Cluster::new(Silent).unacknowledged(3, 1024).order(order);
    let socket = WebSocket::new(|_| |_| Ok(())).unwrap().with_broker(cluster);
    let all = socket.broadcaster();
    let results: Vec<bool> = (0..5).map(|_| all.publish("total", "text").is_ok()).collect();
    assert_eq!(results, [true, true, true, false, false]);
    let err = all.publish("total", "text").unwrap_err();
    assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Full)), "{err}");
    all.publish("other", "local subscribers receive it").unwrap();
    assert_eq!(all.health().broker, Some(BrokerState::Down));
    assert_eq!(all.stats().cluster.unwrap().lost, 1, "the last one did not fit");
}
