//! Clients that do anything to our server.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sockeye::{Builder, Settings};

use super::books::{Bookkeeper, Dice, alone, memory, wait_for_descriptors};
use sockeye_test_support::bytes::{BINARY, PING, TEXT, TEXT_START, UPGRADE, header, masked, masked_close};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::system;

/// How many peers that have stopped talking are kept at the same time.
const SILENT: usize = 40;

/// What a client does with its connection, once or at every stage of it.
fn misbehave(address: SocketAddr, dice: &mut Dice) -> Option<Peer> {
    let mut peer = Peer::connect(address);
    match dice.roll(10) {
        0 => {}
        1 => drop(peer.try_send(&dice.bytes(200))),
        2 => drop(peer.try_send(&UPGRADE.as_bytes()[..dice.roll(UPGRADE.len())])),
        3 => drop(peer.try_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nand more")),
        // Some do not wait for the answer.
        4 => drop(peer.try_send(UPGRADE.as_bytes())),
        _ => {
            peer.upgrade();
            for _ in 0..dice.roll(4) {
                talk(&mut peer, dice);
            }
        }
    }
    end(peer, dice)
}

fn talk(peer: &mut Peer, dice: &mut Dice) {
    let said = match dice.roll(9) {
        0 => dice.bytes(200),
        1 => masked(TEXT, b"close"),
        2 => masked_close(1000, "bye"),
        3 => masked_close(999, ""),
        4 => masked(TEXT_START, b"begun"),
        5 => header(BINARY, 100_000, true),
        6 => masked(BINARY, &[7; 50_000]),
        7 => masked(PING, b"ping"),
        _ => masked(TEXT, b"hello"),
    };
    peer.try_send(&said);
}

/// The end: in order, with a reset, of one side only, after all has been read, or none.
fn end(mut peer: Peer, dice: &mut Dice) -> Option<Peer> {
    match dice.roll(6) {
        0 => drop(peer),
        1 => peer.reset(),
        2 => {
            peer.try_end_writing();
            peer.drain();
        }
        3 => {
            peer.try_send(&masked_close(1001, ""));
            peer.drain();
        }
        4 => {
            peer.try_end_writing();
            return Some(peer);
        }
        _ => return Some(peer),
    }
    None
}

#[test]
fn l6_m14_servers_leak_nothing_with_misbehaving_clients() {
    let _alone = alone();
    let short = Duration::from_secs(2);
    let settings = Settings {
        handshake_timeout: short,
        close_timeout: short,
        write_timeout: Some(short),
        idle_timeout: Some(short),
        ..Settings::default()
    };
    let keeper = Bookkeeper::default();
    let books = keeper.books.clone();
    let before = system::descriptors();
    let socket = Builder::new().with_settings(settings).build(keeper).unwrap().bind("127.0.0.1:0").unwrap();
    let (address, out) = (socket.local_addr().unwrap(), socket.broadcaster());
    let running = system::descriptors();
    let thread = std::thread::spawn(move || socket.run().map(drop));

    let mut dice = Dice(0x5eed_0001);
    let mut silent: Vec<Peer> = Vec::new();
    let mut memory_after = Vec::new();
    for round in 0..4 {
        for _ in 0..600 {
            silent.extend(misbehave(address, &mut dice));
            if silent.len() > SILENT {
                silent.swap_remove(dice.roll(SILENT));
            }
        }
        silent.clear();
        // Who comes last is served last.
        let mut last = Peer::connect(address);
        last.upgrade();
        last.close(1000);
        drop(last);
        books.wait_for_balance();
        wait_for_descriptors(running);
        assert_eq!(system::sockets_at(address), 0);
        memory_after.push(memory());
        assert!(books.opened.load(SeqCst) > 200 * (round + 1), "{books:?}");
    }
    // The first two rounds fill the pools; then nothing grows any more.
    let grown = memory_after[3].saturating_sub(memory_after[1]);
    assert!(grown < 2 * 1024 * 1024, "the memory grows: {memory_after:?}");
    // Slots are used again: never more of them than a third of one round.
    assert!(books.highest.load(SeqCst) < 200, "{books:?}");

    out.shutdown().unwrap();
    thread.join().unwrap().unwrap();
    books.wait_for_balance();
    drop(out);
    wait_for_descriptors(before);
}
