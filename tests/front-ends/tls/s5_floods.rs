//! S5: a peer that keeps OpenSSL busy with records that hold nothing.

use std::thread;

use sockeye::{Settings, TlsEngine};

use crate::hooks::{bare_server, encrypting};
use crate::keys::Sealed;
use crate::loops::{Server, echo};
use sockeye_test_support::assert_once;
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{TlsPeer, anyone, engine, server_of};

/// Returns the number of round trips of a client while others flood.
fn flooded(server: &Server, count: usize) -> usize {
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
    let writing: Vec<_> =
        floods.iter_mut().map(|(sealed, bytes)| sealed.send_aside(std::mem::take(bytes))).collect();
    let flooding = thread::spawn(move || {
        for (sealed, _) in &mut floods {
            assert_eq!(sealed.raw.message(), "done");
        }
    });
    let mut round_trips = 0;
    while !flooding.is_finished() {
        victim.send_text("ping");
        assert_eq!(victim.message(), "ping");
        round_trips += 1;
    }
    writing.into_iter().for_each(|writing| writing.join().unwrap());
    flooding.join().unwrap();
    victim.finish_tls();
    round_trips
}

#[test]
fn s5_a_flood_of_key_updates_does_not_starve_other_connections() {
    let identity = Authority::root("root").issue(&Wish::default());
    // On a busy host, a client prepares its flood for longer than a server waits for a Pong.
    let patient = Settings { ping_interval: None, idle_timeout: None, ..Settings::default() };
    let ordinary = Server::start(echo(), patient, |socket| socket.with_server_tls(server_of(&identity)));
    let settings = Settings { max_connections: 10, ping_interval: None, idle_timeout: None, ..encrypting() };
    let by_hook = Server::start(bare_server(false), settings, |socket| socket);
    // rustls ends a connection that updates its keys without sending data.
    let servers = if engine() == TlsEngine::OpenSsl { vec![ordinary, by_hook] } else { vec![by_hook] };
    for server in servers {
        // Without turns for the others there would be one round trip in each flood, however long it is. On a busy host, the client needs
        // a longer flood for the same number of round trips.
        let mut count = 10_000;
        assert_once("round trips during a flood", || {
            let is_served = flooded(&server, count) >= 20;
            count = (count * 2).min(160_000);
            is_served
        });
        server.assert_idle();
    }
}
