//! Several loops that serve the same listener.

use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::protocol::Role;
use sockeye::{
    Builder, CloseCode, Drain, Factory, Handler, Handshake, LoopStatus, Message, Pool, Result, Sender,
    Settings, Worker, Workers,
};
use sockeye_test_support::bytes::{UPGRADE, masked_close, upgrade_and};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::{LIMIT, listener, wait_until};

const TOPIC: &str = "all";

/// A member of a topic. It publishes what it receives, and answers questions about its worker.
struct Member {
    out: Sender,
    worker: Worker,
}

impl Handler for Member {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.subscribe(TOPIC)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        match msg.as_text()? {
            "worker" => self.out.send(self.worker.index().to_string()),
            "panic" => panic!("as the client wishes"),
            _ => {
                self.out.send("before")?;
                self.out.publish(TOPIC, msg)?;
                self.out.send("after")
            }
        }
    }
}

/// A pool on a thread of its own.
struct Running {
    address: SocketAddr,
    all: Sender,
    thread: JoinHandle<Result<()>>,
}

fn start(workers: usize, settings: Settings) -> Running {
    let mut builder = Builder::new();
    builder.with_settings(settings);
    let pool = builder.workers(Workers::Exactly(workers), |worker| move |out| Member { out, worker });
    Running::start(pool.unwrap())
}

impl Running {
    /// Runs the pool on a thread, with one more listener.
    fn start<M, F>(pool: Pool<M>) -> Self
    where
        M: Fn(Worker) -> F + Send + Sync + 'static,
        F: Factory + 'static,
    {
        let pool = pool.bind("127.0.0.1:0").unwrap();
        let (address, all) = (pool.local_addr().unwrap(), pool.broadcaster());
        Self { address, all, thread: thread::spawn(|| pool.run()) }
    }

    /// Returns the number of open connections.
    fn open(&self) -> u64 {
        let workers = self.all.worker_stats();
        assert_eq!(workers.len(), self.all.worker_health().len());
        workers.iter().map(|worker| worker.connections_open).sum()
    }

    fn client(&self) -> Peer {
        Peer::open(self.address)
    }

    fn stop(self) {
        self.all.shutdown().unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn connections_are_distributed_evenly() {
    let pool = start(3, Settings::default());
    let mut clients: Vec<Peer> = (0..9).map(|_| pool.client()).collect();
    let mut counts = [0; 3];
    for client in &mut clients {
        client.send_text("worker");
        counts[client.message().parse::<usize>().unwrap()] += 1;
    }
    assert_eq!(counts, [3, 3, 3]);
    drop(clients);
    pool.stop();
}

#[test]
fn publications_and_broadcasts_reach_all_workers_in_order() {
    let pool = start(2, Settings::default());
    let mut clients: Vec<Peer> = (0..6).map(|_| pool.client()).collect();
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 6);
    for number in 0..100 {
        clients[0].send_text(&number.to_string());
    }
    for number in 0..100 {
        assert_eq!([clients[0].message(), clients[0].message()], ["before", "after"]);
        for client in &mut clients[1..] {
            assert_eq!(client.message(), number.to_string());
        }
    }
    pool.all.publish(TOPIC, "from a thread").unwrap();
    pool.all.broadcast("to all").unwrap();
    for client in &mut clients {
        assert_eq!([client.message(), client.message()], ["from a thread", "to all"]);
    }
    drop(clients);
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 0);
    pool.stop();
}

/// A handler that subscribes or unsubscribes, while another thread publishes before and after the call.
fn change_between(out: &Sender, all: &Sender, change: impl Fn(&Sender) -> Result<()>) -> Result<()> {
    let publish = |text: &'static str| {
        let all = all.clone();
        thread::spawn(move || all.publish(TOPIC, text)).join().unwrap()
    };
    publish("before")?;
    change(out)?;
    publish("after")?;
    // With a command that is not for this connection, the loop does not execute the commands when the handler returns.
    out.publish("another topic", "nothing")
}

/// A program that subscribes under a lock, and publishes under the same lock, misses nothing.
#[test]
fn subscriptions_take_effect_in_the_order_of_the_calls_of_all_threads() {
    for workers in 1..=2 {
        let (started, start) = channel::<Sender>();
        let start = Arc::new(Mutex::new(start));
        let pool = Builder::new().workers(Workers::Exactly(workers), move |_| {
            let start = Arc::clone(&start);
            move |out: Sender| {
                let start = Arc::clone(&start);
                move |msg: Message| {
                    let all = start.lock().unwrap().recv().unwrap();
                    match msg.as_text()? {
                        "subscribe" => change_between(&out, &all, |out| out.subscribe(TOPIC)),
                        _ => change_between(&out, &all, |out| out.unsubscribe(TOPIC)),
                    }
                }
            }
        });
        let pool = Running::start(pool.unwrap());
        let mut clients: Vec<Peer> = (0..2).map(|_| pool.client()).collect();
        for client in &mut clients {
            client.send_text("subscribe");
            started.send(pool.all.clone()).unwrap();
            assert_eq!(client.message(), "after", "{workers} workers");
        }
        // The first client has received what the second one caused.
        assert_eq!([clients[0].message(), clients[0].message()], ["before", "after"]);
        clients[0].send_text("unsubscribe");
        started.send(pool.all.clone()).unwrap();
        assert_eq!(clients[0].message(), "before");
        assert_eq!([clients[1].message(), clients[1].message()], ["before", "after"]);
        pool.all.broadcast("the end").unwrap();
        assert_eq!(clients[0].message(), "the end", "{workers} workers");
        drop(clients);
        pool.stop();
    }
}

#[test]
fn max_connections_applies_to_the_pool() {
    let pool = start(2, Settings { max_connections: 3, ..Settings::default() });
    let clients: Vec<Peer> = (0..3).map(|_| pool.client()).collect();
    let mut rejected = Peer::connect(pool.address);
    rejected.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(rejected.rest_text().starts_with("HTTP/1.1 503 "));
    drop(clients);
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 0);
    pool.stop();
}

#[test]
fn a_panic_of_a_worker_ends_the_pool() {
    let settings = Settings { catch_panics: false, ..Settings::default() };
    let pool = start(2, settings);
    let mut clients: Vec<Peer> = (0..2).map(|_| pool.client()).collect();
    clients[0].send_text("panic");
    drop(clients);
    let payload = pool.thread.join().unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"as the client wishes"));
}

/// Factories are created on the threads of their workers, and need not be `Send`.
#[test]
fn each_factory_belongs_to_its_thread() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let created = AtomicUsize::new(0);
    let pool = Builder::new()
        .workers(Workers::Exactly(3), |worker| {
            names.lock().unwrap().push(thread::current().name().unwrap_or_default().to_owned());
            created.fetch_add(1, Ordering::Relaxed);
            let shared = std::rc::Rc::new(worker.index());
            move |out: Sender| {
                let shared = std::rc::Rc::clone(&shared);
                move |_| out.send(shared.to_string())
            }
        })
        .unwrap();
    let all = pool.broadcaster();
    let stopper = thread::spawn({
        let names = Arc::clone(&names);
        move || {
            wait_until("the factories", || names.lock().unwrap().len() == 3);
            all.shutdown().unwrap();
        }
    });
    pool.run().unwrap();
    stopper.join().unwrap();
    let mut names = names.lock().unwrap().clone();
    names.sort();
    assert_eq!(names, ["sockeye-worker-0", "sockeye-worker-1", "sockeye-worker-2"]);
    assert_eq!(created.into_inner(), 3);
}

/// Handlers of all workers answer each other without limit. Both loops stay below their limits, and nothing is lost.
#[test]
fn workers_that_flood_each_other_lose_nothing() {
    const MESSAGES: usize = 2000;
    let settings = Settings { queue_size: 1, max_connections: 8, ..Settings::default() };
    let pool = start(2, settings);
    let mut clients: Vec<Peer> = (0..4).map(|_| pool.client()).collect();
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 4);
    let requests = MESSAGES / 4;
    let senders: Vec<JoinHandle<Vec<String>>> = clients
        .drain(..)
        .enumerate()
        .map(|(own, mut client)| {
            thread::spawn(move || {
                (0..requests).for_each(|number| client.send_text(&format!("{own} {number}")));
                // Two answers for each own message, and the messages of the three others.
                (0..requests * 5).map(|_| client.message()).collect()
            })
        })
        .collect();
    for (own, sender) in senders.into_iter().enumerate() {
        let received = sender.join().unwrap();
        for other in (0..4).filter(|other| *other != own) {
            let of_other = received.iter().filter(|text| text.starts_with(&format!("{other} ")));
            let expected = (0..requests).map(|number| format!("{other} {number}"));
            assert!(of_other.cloned().eq(expected), "client {own} misses messages of client {other}");
        }
        assert_eq!(received.iter().filter(|text| *text == "before").count(), requests);
    }
    pool.stop();
}

#[test]
fn the_statistics_are_those_of_all_workers_and_survive_them() {
    let pool = start(2, Settings::default());
    assert_eq!(pool.all.worker_stats().len(), 2);
    let mut clients: Vec<Peer> = (0..5).map(|_| pool.client()).collect();
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 5);
    assert_eq!(pool.open(), 5);
    let mut counts: Vec<u64> = pool.all.worker_stats().iter().map(|worker| worker.connections_open).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
    clients[0].send_text("1");
    assert_eq!(clients[4].message(), "1");
    let running =
        |all: &Sender| all.worker_health().iter().all(|worker| worker.status == LoopStatus::Running);
    assert!(running(&pool.all) && pool.all.health().status == LoopStatus::Running);
    let all = pool.all.clone();
    drop(clients);
    pool.stop();
    let stats = all.stats();
    assert_eq!((stats.connections_open, stats.opened_as_server, stats.messages_received), (0, 5, 1));
    assert_eq!((stats.topics, stats.subscriptions, stats.held_by_commands), (0, 0, 0));
    assert_eq!((all.health().status, all.is_draining()), (LoopStatus::Ended, true));
}

#[test]
fn l5_a_drain_ends_the_whole_pool() {
    let pool = start(2, Settings::default());
    let mut clients: Vec<Peer> = (0..5).map(|_| pool.client()).collect();
    wait_until("the subscriptions", || pool.all.subscriber_count(TOPIC) == 5);
    let drain = Drain::new().code(CloseCode::Restart).over(Duration::from_millis(100)).deadline(LIMIT);
    pool.all.drain(drain).unwrap();
    clients[0].expect_close(1012);
    // The first connection is still open, so the pool drains, and answers new clients.
    let mut late = Peer::connect(pool.address);
    late.send(UPGRADE);
    let answer = late.answer();
    assert_eq!((answer.status(), answer.head.header("Retry-After").is_some()), (503, true));
    assert!(pool.all.is_draining());
    assert_eq!(pool.all.health().status, LoopStatus::Draining);
    for client in &mut clients[1..] {
        client.expect_close(1012);
    }
    clients.into_iter().for_each(|mut client| client.send(&masked_close(1012, "")));
    pool.thread.join().unwrap().unwrap();
    assert_eq!(pool.all.stats().closed_by_code, [(CloseCode::Restart, 5)]);
}

/// The program can keep senders of connections that have ended, so the queue of their worker exists longer than the worker.
#[test]
fn l5_a_pool_ends_although_the_program_keeps_senders_of_its_workers() {
    let (opened, senders) = channel();
    let pool = Builder::new().workers(Workers::Exactly(2), move |_| {
        let opened = opened.clone();
        move |out: Sender| {
            opened.send(out).unwrap();
            |_: Message| Ok(())
        }
    });
    let pool = Running::start(pool.unwrap());
    let clients = [pool.client(), pool.client()];
    let kept: Vec<Sender> = senders.iter().take(2).collect();
    pool.all.drain(Drain::new().over(Duration::ZERO)).unwrap();
    for mut client in clients {
        client.expect_close(1001);
        client.send(&masked_close(1001, ""));
    }
    wait_until("the pool has ended", || pool.thread.is_finished());
    pool.thread.join().unwrap().unwrap();
    assert!(pool.all.shutdown().is_err() && kept.iter().all(|out| out.publish(TOPIC, "too late").is_err()));
}

#[test]
fn w5_the_limit_for_an_address_applies_to_the_pool() {
    let settings = Settings { max_connections_per_address: Some(3), ..Settings::default() };
    let pool = start(2, settings);
    let mut clients: Vec<Peer> = (0..3).map(|_| pool.client()).collect();
    for _ in 0..3 {
        let mut rejected = Peer::connect(pool.address);
        rejected.send(UPGRADE);
        assert_eq!(rejected.answer().status(), 503);
    }
    clients.remove(0).finish();
    // The address has room again once the connection has been removed, after `on_close`.
    wait_until("room for a connection", || {
        let mut client = Peer::connect(pool.address);
        client.send(UPGRADE);
        client.head().status() == 101
    });
    drop(clients);
    pool.stop();
}

/// What `WebSocket` can do before it runs, a pool can do as well.
#[test]
fn a_pool_applies_its_configuration_to_all_workers() {
    let load_balancer: IpAddr = "127.0.0.1".parse().unwrap();
    let pool = Builder::new()
        .workers(Workers::Exactly(2), |_| |out: Sender| Reporter { out })
        .unwrap()
        .with_subprotocols(["chat"])
        .unwrap()
        .with_origins(["https://example.com"])
        .unwrap()
        .with_trusted_proxies([load_balancer])
        .with_proxy_protocol([load_balancer])
        .bind_listener(listener())
        .unwrap();
    let pool = Running::start(pool);
    for number in 1..=4 {
        let mut client = Peer::connect(pool.address);
        client.send(&*format!("PROXY TCP4 192.0.2.{number} 198.51.100.1 5000 443\r\n"));
        client.send(&*upgrade_and("Origin: https://example.com\r\nSec-WebSocket-Protocol: other, chat\r\n"));
        assert_eq!(client.head().header("Sec-WebSocket-Protocol"), Some("chat"));
        assert_eq!(client.message(), format!("192.0.2.{number}:5000"));
    }
    let mut foreign = Peer::connect(pool.address);
    foreign.send(b"PROXY UNKNOWN\r\n");
    foreign.send(&*upgrade_and("Origin: https://example.org\r\n"));
    assert_eq!(foreign.answer().status(), 403);
    pool.stop();
}

/// Sends the address of its peer.
struct Reporter {
    out: Sender,
}

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.out.send(shake.peer_addr.map_or_else(String::new, |peer| peer.to_string()))
    }
}

#[cfg(unix)]
#[test]
fn a_pool_serves_unix_sockets() {
    let path = std::env::temp_dir().join(format!("sockeye-{}-pool.sock", std::process::id()));
    let pool = Builder::new().workers(Workers::Exactly(2), |worker| move |out| Member { out, worker });
    let pool = Running::start(pool.unwrap().bind_unix(&path).unwrap());
    let mut clients: Vec<Peer<UnixStream>> =
        (0..2).map(|_| Peer::over(UnixStream::connect(&path).unwrap(), Role::Client)).collect();
    let mut workers: Vec<String> = clients
        .iter_mut()
        .map(|client| {
            client.upgrade();
            client.send_text("worker");
            client.message()
        })
        .collect();
    workers.sort();
    assert_eq!(workers, ["0", "1"]);
    drop(clients);
    pool.stop();
    assert!(!path.exists());
}

/// Clients of the pool are distributed like the connections that it accepts.
#[test]
fn a_pool_connects_from_the_worker_with_the_fewest_connections() {
    let server = start(1, Settings::default());
    let url = format!("ws://{}/", server.address);
    let opened = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&opened);
    let mut clients = Builder::new()
        .workers(Workers::Exactly(2), move |worker| {
            let opened = Arc::clone(&names);
            move |_: Sender| {
                let opened = Arc::clone(&opened);
                Opened { opened, worker: worker.index() }
            }
        })
        .unwrap();
    for _ in 0..4 {
        clients.connect(url.parse().unwrap()).unwrap();
    }
    let clients = Running::start(clients);
    wait_until("the connections", || opened.lock().unwrap().len() == 4);
    let mut workers = opened.lock().unwrap().clone();
    workers.sort_unstable();
    assert_eq!(workers, [0, 0, 1, 1]);
    assert_eq!(clients.all.stats().opened_as_client, 4);
    clients.stop();
    server.stop();
}

/// Records the worker of each connection that opens.
struct Opened {
    opened: Arc<Mutex<Vec<usize>>>,
    worker: usize,
}

impl Handler for Opened {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened.lock().unwrap().push(self.worker);
        Ok(())
    }
}

/// A stream that the program has accepted is served by the worker with the fewest connections.
#[test]
fn a_pool_serves_streams_that_were_accepted_elsewhere() {
    let pool = start(2, Settings::default());
    let listener = listener();
    let mut clients: Vec<Peer> = (0..4)
        .map(|_| {
            let mut client = Peer::connect(listener.local_addr().unwrap());
            pool.all.accept(listener.accept().unwrap().0).unwrap();
            client.upgrade();
            client
        })
        .collect();
    let mut workers: Vec<String> = clients
        .iter_mut()
        .map(|client| {
            client.send_text("worker");
            client.message()
        })
        .collect();
    workers.sort();
    assert_eq!(workers, ["0", "0", "1", "1"]);
    drop(clients);
    pool.stop();
}

/// A factory that panics ends the pool, although no loop has begun.
#[test]
fn a_panic_of_a_factory_ends_the_pool() {
    let pool = Builder::new().workers(Workers::Exactly(2), |worker| {
        assert_ne!(worker.index(), 1, "no factory");
        |_: Sender| |_: Message| Ok(())
    });
    let pool = Running::start(pool.unwrap());
    assert!(pool.thread.join().is_err());
}
