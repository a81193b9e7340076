//! Clients that do anything to our server.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sockeye::{Builder, Settings};

use super::alone;
use sockeye_test_support::counting::CountingFactory;
use sockeye_test_support::misbehavior::{Dice, misbehave};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::system;

/// How many peers that have stopped talking are kept at the same time.
const SILENT: usize = 40;

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
    let factory = CountingFactory::default();
    let counts = factory.counts.clone();
    let before = system::descriptors();
    let socket = Builder::new().with_settings(settings).build(factory).unwrap().bind("127.0.0.1:0").unwrap();
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
        counts.wait_for_balance();
        system::wait_for_descriptors(running);
        assert_eq!(system::sockets_at(address), 0);
        memory_after.push(system::resident());
        assert!(counts.opened.load(SeqCst) > 200 * (round + 1), "{counts:?}");
    }
    // The first two rounds fill the pools; then nothing grows any more.
    let grown = memory_after[3].saturating_sub(memory_after[1]);
    assert!(grown < 2 * 1024 * 1024, "the memory grows: {memory_after:?}");
    // Slots are used again: never more of them than a third of one round.
    assert!(counts.highest.load(SeqCst) < 200, "{counts:?}");

    out.shutdown().unwrap();
    thread.join().unwrap().unwrap();
    counts.wait_for_balance();
    drop(out);
    system::wait_for_descriptors(before);
}
