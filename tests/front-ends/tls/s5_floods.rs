//! S5: a peer that keeps OpenSSL busy with records that hold nothing.

use std::thread;
use std::time::{Duration, Instant};

use sockeye::Settings;

use crate::hooks::{bare_server, encrypting};
use crate::keys::Sealed;
use crate::loops::{Server, echo};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone};

/// How long the round trips of a client take while others flood, and how long the flood lasts.
fn flooded(server: &Server, count: usize) -> (Vec<Duration>, Duration) {
    let mut victim = TlsPeer::connect_tls(server.address, &anyone());
    let mut floods: Vec<(Sealed, Vec<u8>)> = (0..3)
        .map(|_| {
            let mut sealed = Sealed::connect(server.address);
            sealed.open();
            let mut bytes = Vec::new();
            (0..count).for_each(|_| bytes.extend(sealed.key_update(false)));
            bytes.extend(sealed.text("done"));
            (sealed, bytes)
        })
        .collect();
    let began = Instant::now();
    let writing: Vec<_> =
        floods.iter_mut().map(|(sealed, bytes)| sealed.send_aside(std::mem::take(bytes))).collect();
    let flooding = thread::spawn(move || {
        for (sealed, _) in &mut floods {
            assert_eq!(sealed.raw.message(), "done");
        }
        began.elapsed()
    });
    let mut round_trips = Vec::new();
    while !flooding.is_finished() {
        let sent = Instant::now();
        victim.send_text("ping");
        assert_eq!(victim.message(), "ping");
        round_trips.push(sent.elapsed());
    }
    writing.into_iter().for_each(|writing| writing.join().unwrap());
    (round_trips, flooding.join().unwrap())
}

#[test]
fn s5_a_flood_of_key_updates_leaves_the_others_their_turns() {
    let identity = Authority::root("root").issue(&Wish::default());
    let ordinary =
        Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(acceptor(&identity)));
    let settings = Settings { max_connections: 10, ..encrypting() };
    let by_hook = Server::start(bare_server(false), settings, |socket| socket);
    for server in [ordinary, by_hook] {
        let (round_trips, flood) = flooded(&server, 10_000);
        let longest = round_trips.iter().max().copied().unwrap_or(flood);
        println!("{} round trips, the longest {longest:?}, in a flood of {flood:?}", round_trips.len());
        assert!(round_trips.len() >= 20, "{} round trips in {flood:?}", round_trips.len());
        assert!(longest < flood / 4, "{longest:?} of {flood:?}");
        server.assert_idle();
    }
}
