//! O1, O2, O3: what the system does to a loop, in a process of its own.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use sockeye::{Builder, Message, Sender, Settings};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::child::{self, Child, is_child, print_line};
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::wait_until;

const SERVER: &str = "system::server_process";

/// Prints log records for the parent.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            print_line(&format!("log: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Not a test: an echo server for the tests below. It prints its address, and runs until it receives "quit".
#[test]
fn server_process() {
    if !is_child(SERVER) {
        return;
    }
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let shutdown_on_interrupt = std::env::var_os("ON_INTERRUPT").is_some();
    let settings = Settings { shutdown_on_interrupt, ..Settings::default() };
    let factory = |out: Sender| {
        move |msg: Message| match msg.as_text()? {
            "quit" => out.shutdown(),
            _ => out.send(msg),
        }
    };
    let socket = Builder::new().with_settings(settings).build(factory).unwrap().bind("127.0.0.1:0").unwrap();
    print_line(&socket.local_addr().unwrap().to_string());
    socket.run().unwrap();
}

fn start(limits: &str, variables: &[(&str, &str)]) -> (Child, SocketAddr) {
    let child = child::start(SERVER, limits, variables);
    let address = child.line().parse().unwrap();
    (child, address)
}

fn quit(child: Child, mut peer: Peer) {
    peer.send_text("quit");
    assert!(matches!(peer.ending(), Ending::Close(_)));
    drop(peer);
    child.finish();
}

#[test]
fn o1_a_server_without_free_descriptors_recovers() {
    let (child, address) = start("ulimit -n 40", &[]);
    let mut first = Peer::open(address);
    let mut others: Vec<Peer> = (0..60)
        .map(|_| {
            let mut peer = Peer::connect(address);
            peer.send(UPGRADE);
            peer
        })
        .collect();
    let complaint = child.line();
    assert!(complaint.starts_with("log: cannot accept connections"), "{complaint}");

    // It does not spin, it logs once, and open connections are served.
    wait_until("the loop comes to rest", || {
        let before = child.time();
        thread::sleep(Duration::from_millis(500));
        child.time() - before < Duration::from_millis(100)
    });
    assert!(!child.lines().iter().any(|line| line.contains("cannot accept")));
    first.echo("still there?");

    // It recovers by itself.
    others.drain(..40);
    for peer in &mut others {
        assert!(peer.head().text.starts_with("HTTP/1.1 101 "));
        peer.echo("at last");
    }
    Peer::open(address).finish();
    drop(others);
    assert!(!child.lines().iter().any(|line| line.contains("cannot accept")));
    quit(child, first);
}

#[test]
fn o2_an_interrupt_has_no_effect_by_default() {
    let (child, address) = start("", &[]);
    let mut peer = Peer::open(address);
    for round in 0..20 {
        child.interrupt();
        peer.echo(&round.to_string());
    }
    assert_eq!(child.lines(), [""; 0]);
    quit(child, peer);
}

#[test]
fn o2_an_interrupt_shuts_down_the_loop_with_shutdown_on_interrupt() {
    let (child, address) = start("", &[("ON_INTERRUPT", "1")]);
    let mut peer = Peer::open(address);
    peer.echo("hello");
    // Only a wait can be interrupted, and the loop may be between two of them.
    peer.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while peer.stream.peek(&mut [0]).is_err() {
        child.interrupt();
    }
    peer.stream.set_read_timeout(Some(sockeye_test_support::LIMIT)).unwrap();
    assert_eq!(peer.ending(), Ending::Close(sockeye::CloseCode::Away));
    drop(peer);
    child.finish();
}

#[test]
fn o3_writes_to_closed_connections_do_not_end_the_process() {
    let (child, address) = start("", &[]);
    let mut witness = Peer::open(address);
    for round in 0..50 {
        let mut peer = Peer::open(address);
        // The echo of one is small, that of the other is written in several pieces; both meet with a reset.
        (0..20).for_each(|_| peer.send_text("echo"));
        peer.send_text(&"x".repeat(200_000));
        socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        witness.echo(&round.to_string());
    }
    quit(child, witness);
}
