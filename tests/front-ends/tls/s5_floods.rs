//! S5: a peer that keeps OpenSSL busy with records that hold nothing.

use sockeye::{Settings, TlsEngine};

use crate::hooks::{bare_server, encrypting};
use crate::keys::Sealed;
use crate::loops::{Server, echo};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{engine, server_of};

/// The most bytes of records without data that are processed for one connection in one turn: the rest of the last read, and as much of
/// the next one as the longest record has.
const MAX_PER_TURN: u64 = 2 * (5 + 16 * 1024 + 256);

#[test]
fn s5_a_flood_of_key_updates_does_not_starve_other_connections() {
    let identity = Authority::root("root").issue(&Wish::default());
    let ordinary =
        Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(server_of(&identity)));
    let settings = Settings { max_connections: 10, ..encrypting() };
    let by_hook = Server::start(bare_server(false), settings, |socket| socket);
    // rustls ends a connection that updates its keys without sending data.
    let servers = if engine() == TlsEngine::OpenSsl { vec![ordinary, by_hook] } else { vec![by_hook] };
    for server in servers {
        let mut sealed = Sealed::connect(server.address);
        sealed.open();
        let mut flood: Vec<u8> = (0..10_000).flat_map(|_| sealed.key_update(false)).collect();
        let least = flood.len() as u64 / MAX_PER_TURN;
        flood.extend(sealed.text("done"));
        // Each turn serves all connections.
        let turns = || server.everyone().stats().turns;
        let before = turns();
        let writing = sealed.send_aside(flood);
        assert_eq!(sealed.raw.message(), "done");
        let taken = turns() - before;
        assert!(taken >= least, "{taken} turns instead of {least}");
        writing.join().unwrap();
        sealed.check_answers();
        server.assert_idle();
    }
}
