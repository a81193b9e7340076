//! Servers that do anything to our clients.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use sockeye::{Builder, Settings};

use super::alone;
use sockeye_test_support::bytes::{BINARY, CLOSE, PING, TEXT, TEXT_START, close_payload, frame, header};
use sockeye_test_support::counting::CountingFactory;
use sockeye_test_support::host::{Host, answer_to};
use sockeye_test_support::misbehavior::Dice;
use sockeye_test_support::peer::Peer;
use sockeye_test_support::{LIMIT, system};

/// How many peers that have stopped talking are kept at the same time.
const SILENT: usize = 20;

/// What a server does with a client that has connected.
fn misbehave(mut peer: Peer, dice: &mut Dice) -> Option<Peer> {
    match dice.roll(10) {
        0 => {}
        1 => drop(peer.try_send(&dice.bytes(200))),
        2 => drop(peer.try_send(b"HTTP/1.1 403 Forbidden\r\n\r\n")),
        3 => drop(peer.try_send(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")),
        4 => {
            let answer = answer_to(&peer.head(), "");
            peer.try_send(&answer.as_bytes()[..dice.roll(answer.len())]);
        }
        _ => {
            let answer = answer_to(&peer.head(), "");
            peer.try_send(answer.as_bytes());
            for _ in 0..dice.roll(4) {
                talk(&mut peer, dice);
            }
        }
    }
    match dice.roll(4) {
        0 => drop(peer),
        1 => peer.reset(),
        2 => {
            peer.try_end_writing();
            peer.drain();
        }
        _ => return Some(peer),
    }
    None
}

fn talk(peer: &mut Peer, dice: &mut Dice) {
    let said = match dice.roll(8) {
        0 => dice.bytes(200),
        1 => frame(TEXT, b"close"),
        2 => frame(CLOSE, &close_payload(1000, "bye")),
        3 => frame(CLOSE, &close_payload(999, "")),
        4 => frame(TEXT_START, b"begun"),
        5 => header(BINARY, 100_000, false),
        6 => frame(PING, b"ping"),
        _ => frame(TEXT, b"hello"),
    };
    peer.try_send(&said);
}

#[test]
fn l6_m14_clients_leak_nothing_with_misbehaving_servers() {
    let _alone = alone();
    let short = Duration::from_secs(2);
    let settings = Settings {
        connect_timeout: short,
        handshake_timeout: short,
        close_timeout: short,
        write_timeout: Some(short),
        idle_timeout: Some(short),
        max_redirects: 1,
        ..Settings::default()
    };
    let factory = CountingFactory::default();
    let counts = factory.counts.clone();
    let host = Host::new();
    let url: url::Url = host.url().parse().unwrap();
    let before = system::descriptors();
    // It listens only so that it does not end with its last client.
    let socket = Builder::new().with_settings(settings).build(factory).unwrap().bind("127.0.0.1:0").unwrap();
    let out = socket.broadcaster();
    let running = system::descriptors();
    let thread = std::thread::spawn(move || socket.run().map(drop));

    let mut dice = Dice(0x5eed_0002);
    let mut silent: Vec<Peer> = Vec::new();
    let mut memory_after = Vec::new();
    for round in 1..=4 {
        for _ in 0..200 {
            out.connect(url.clone()).unwrap();
            // A client that was sent elsewhere comes back, and is taken for the next.
            silent.extend(misbehave(host.accept(), &mut dice));
            if silent.len() > SILENT {
                silent.swap_remove(dice.roll(SILENT));
            }
        }
        silent.clear();
        // Clients that are redirected come back, and are rejected again.
        let end = Instant::now() + LIMIT;
        while counts.lost.load(SeqCst) < 200 * round {
            assert!(Instant::now() < end, "not everyone has gone: {counts:?}");
            drop(host.try_accept());
            std::thread::park_timeout(Duration::from_millis(2));
        }
        counts.wait_for_balance();
        system::wait_for_descriptors(running);
        assert_eq!(system::sockets_to(host.address()), 0);
        memory_after.push(system::resident());
    }
    // On a busy machine many run into a timeout instead, which is one more way to end.
    assert!(counts.opened.load(SeqCst) > 50 && counts.errors.load(SeqCst) > 50, "{counts:?}");
    // Slots are used again: never more of them than clients in one round.
    assert!(counts.highest.load(SeqCst) < 200, "{counts:?}");
    let grown = memory_after[3].saturating_sub(memory_after[1]);
    assert!(grown < 2 * 1024 * 1024, "the memory grows: {memory_after:?}");

    out.shutdown().unwrap();
    thread.join().unwrap().unwrap();
    counts.wait_for_balance();
    drop(out);
    system::wait_for_descriptors(before);
}
