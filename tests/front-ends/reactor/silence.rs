//! L2, L3 as settings, on real sockets. How many Pings are sent, and when, is tested in `src/reactor/tests/time.rs`, with a
//! clock that only the test moves.

use std::time::{Duration, Instant};

use sockeye::{Builder, CloseCode, OpCode, Settings};

use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::Probes;
use sockeye_test_support::server::Server;
use sockeye_test_support::{join, while_on_time};

const PING: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(400);

fn watchful() -> Settings {
    Settings { ping_interval: Some(PING), idle_timeout: Some(IDLE), ..Settings::default() }
}

#[test]
fn l2_a_peer_that_sends_no_pongs_times_out() {
    let (server, calls) = Probes::listen(watchful(), |_, _| Ok(()));
    let start = Instant::now();
    let mut peer = Peer::open(server.addr);
    let mut pings = 0;
    while let Some(frame) = peer.next_frame() {
        assert_eq!(frame.opcode(), OpCode::Ping);
        pings += 1;
    }
    assert!(start.elapsed() >= IDLE, "too early: {:?}", start.elapsed());
    assert!(pings <= 8, "{pings} pings");
    assert_eq!(calls.close(), CloseCode::Abnormal);
    server.stop();
}

#[test]
fn l2_no_pings_are_sent_without_a_ping_interval() {
    let (server, _ear) =
        Probes::listen(Settings { idle_timeout: Some(IDLE), ..Settings::default() }, |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    assert_eq!(peer.ending(), Ending::Cut);
    server.stop();
}

#[test]
fn l3_a_peer_that_sends_pongs_stays_connected() {
    while_on_time(IDLE / 2, |pace| {
        let (server, calls) = Probes::listen(watchful(), |_, _| Ok(()));
        // Our client answers Pings by itself.
        let (probes, client_ear) = Probes::quiet();
        let mut socket = Builder::new().build(probes).unwrap();
        socket.connect(server.url().parse().unwrap()).unwrap();
        let client = std::thread::spawn(move || socket.run().map(drop));
        let out = calls.opened();
        let mut peer = Peer::open(server.addr);
        let start = Instant::now();
        while start.elapsed() < 2 * IDLE {
            let frame = peer.next_frame().unwrap();
            pace.step();
            assert_eq!(frame.opcode(), OpCode::Ping);
            peer.send(sockeye::Frame::pong(frame.into_data()));
        }
        assert!(out.is_open());
        out.close(CloseCode::Normal).unwrap();
        assert_eq!(client_ear.close(), CloseCode::Normal);
        join(client).unwrap().unwrap();
        peer.finish();
        server.stop();
    });
}

#[test]
fn l2_a_client_drops_a_silent_server() {
    let server = Server::start(Settings::default(), |_| Mute);
    let (probes, calls) = Probes::quiet();
    let mut socket = Builder::new().with_settings(watchful()).build(probes).unwrap();
    socket.connect(server.url().parse().unwrap()).unwrap();
    socket.run().unwrap();
    assert_eq!(calls.close(), CloseCode::Abnormal);
    server.stop();
}

/// Answers no Ping.
struct Mute;

impl sockeye::Handler for Mute {
    fn on_frame(&mut self, frame: sockeye::Frame) -> sockeye::Result<Option<sockeye::Frame>> {
        Ok((frame.opcode() != OpCode::Ping).then_some(frame))
    }
}
