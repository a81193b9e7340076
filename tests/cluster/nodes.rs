//! Event loops that are connected by a real server: every message arrives once and in order, or a gap is reported in its place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::cluster::{BrokerState, Cluster, Missed, Redis};
use sockeye::{Builder, Frame, Handler, Handshake, Message, OpCode, Result, Sender, Workers};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::wait_until;

use super::server::Server;

const TOPIC: &str = "red";

/// A subscriber that records what its client receives, and the gaps in between.
struct Subscriber {
    out: Sender,
    log: Log,
}

type Log = mpsc::Sender<String>;

impl Handler for Subscriber {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.subscribe(TOPIC)
    }

    fn on_message(&mut self, _: Message) -> Result<()> {
        Ok(())
    }

    fn on_gap(&mut self, topic: &str, missed: Missed) -> Result<()> {
        if topic == TOPIC {
            let _ = self.log.send(format!("gap {missed:?}"));
        }
        Ok(())
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Text {
            let _ = self.log.send(String::from_utf8(frame.payload().to_vec()).unwrap());
        }
        Ok(Some(frame))
    }
}

/// A pool of two workers on a thread of its own.
struct Node {
    address: SocketAddr,
    log: Receiver<String>,
    all: Sender,
    thread: JoinHandle<Result<()>>,
}

impl Node {
    fn start(server: &Server) -> Self {
        let cluster = Cluster::new(Redis::new(server.url()).unwrap()).heartbeat(Duration::from_millis(200));
        let (sender, receiver) = channel();
        let (events, log) = channel::<String>();
        let thread = thread::spawn(move || {
            let pool = Builder::new().workers(Workers::Exactly(2), |_| {
                let log = events.clone();
                move |out| Subscriber { out, log: log.clone() }
            })?;
            let pool = pool.with_broker(cluster).bind("127.0.0.1:0")?;
            sender.send((pool.local_addr()?, pool.broadcaster())).unwrap();
            pool.run()
        });
        let (address, all) = receiver.recv().unwrap();
        let node = Self { address, log, all, thread };
        node.wait_until_up();
        node
    }

    fn wait_until_up(&self) {
        wait_until("the broker", || self.all.health().broker == Some(BrokerState::Up));
    }

    /// The only client. Its subscription is effective.
    fn subscriber(&self) -> Peer {
        let client = Peer::open(self.address);
        assert_eq!(self.log.recv().unwrap(), "gap Joined");
        client
    }

    fn stop(self) {
        self.all.shutdown().unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

/// A thread that publishes numbers on a node, without a pause.
struct Publisher {
    all: Sender,
    published: Arc<AtomicU64>,
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Publisher {
    fn start(node: &Node) -> Self {
        let (published, is_ending) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let all = node.all.clone();
        let (count, end) = (Arc::clone(&published), Arc::clone(&is_ending));
        let thread = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                while all.publish(TOPIC, number.to_string()).is_err() {
                    thread::yield_now();
                }
                // The clients of this test read slowly on a busy machine.
                thread::sleep(Duration::from_micros(200));
            }
        });
        Self { all: node.all.clone(), published, is_ending, thread }
    }

    fn wait_for(&self, more: u64) {
        let target = self.published.load(Ordering::Relaxed) + more;
        wait_until("publications", || self.published.load(Ordering::Relaxed) >= target);
    }

    /// Publishes one more number, and returns it.
    fn finish(self) -> u64 {
        self.is_ending.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let last = self.published.load(Ordering::Relaxed);
        self.all.publish(TOPIC, last.to_string()).unwrap();
        last
    }
}

/// Reads up to the last number. Every number comes after the previous one, or a gap is between them. Returns how many are missing.
fn check(client: &mut Peer, log: &Receiver<String>, last: u64) -> u64 {
    let (mut next, mut has_gap, mut missing) = (0, false, 0);
    while next <= last {
        let text = log.recv().unwrap();
        let Ok(number) = text.parse::<u64>() else {
            assert!(text.starts_with("gap "), "{text}");
            has_gap = true;
            continue;
        };
        assert!(number == next || number > next && has_gap, "{number} after {next}, gap: {has_gap}");
        assert_eq!(client.message(), text, "the client receives the same");
        missing += number - next;
        (next, has_gap) = (number + 1, false);
    }
    missing
}

/// Runs a publisher on one node and subscribers on two, while something fails. Returns how many messages the other node has missed.
fn run(fail: impl FnOnce(&mut Server, &Publisher)) -> Option<u64> {
    let mut server = Server::start(&[])?;
    let [first, second] = [(); 2].map(|()| Node::start(&server));
    let (mut here, mut there) = (first.subscriber(), second.subscriber());
    let publisher = Publisher::start(&first);
    publisher.wait_for(200);
    fail(&mut server, &publisher);
    [&first, &second].iter().for_each(|node| node.wait_until_up());
    publisher.wait_for(200);
    let last = publisher.finish();
    assert_eq!(check(&mut here, &first.log, last), 0, "subscribers of the own node miss nothing");
    let missing = check(&mut there, &second.log, last);
    drop((here, there));
    first.stop();
    second.stop();
    Some(missing)
}

#[test]
fn nothing_is_missing_while_nothing_fails() {
    let missing = run(|_, publisher| publisher.wait_for(1000));
    assert_eq!(missing.unwrap_or(0), 0);
}

#[test]
fn every_loss_is_reported_when_the_server_is_killed() {
    run(|server, publisher| {
        for _ in 0..3 {
            server.kill();
            publisher.wait_for(200);
            server.restart();
            publisher.wait_for(500);
        }
    });
}

#[test]
fn every_loss_is_reported_when_the_server_closes_the_connections() {
    run(|server, publisher| {
        for kind in ["pubsub", "normal", "pubsub"] {
            server.client().call(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
            publisher.wait_for(500);
        }
    });
}

/// What the publisher could not send is sent when the server answers again.
#[test]
fn nothing_is_lost_while_the_server_pauses() {
    let missing = run(|server, publisher| {
        server.client().call(&["CLIENT", "PAUSE", "300", "ALL"]);
        publisher.wait_for(500);
    });
    assert_eq!(missing.unwrap_or(0), 0);
}
