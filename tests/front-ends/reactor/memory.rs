//! W1 to W4: the memory of all connections together. `src/reactor/tests/bounds.rs` checks the accounted bytes.

use sockeye::{Result, Sender, Settings};

use sockeye::protocol::Role;
use sockeye_test_support::bytes::{BINARY, header_from, mask};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::Probes;
use sockeye_test_support::script::Script;

const MIB: usize = 1024 * 1024;

/// Sends the beginning of a message of this length, without its last byte.
fn begin_message(peer: &mut Peer, len: usize) {
    let bytes: Vec<u8> = mask(&vec![7; len - 1]).collect();
    peer.send(header_from(Role::Client, BINARY, u64::try_from(len).unwrap()).as_slice());
    peer.send(bytes.as_slice());
}

#[test]
fn w1_w2_w3_the_connection_that_holds_the_most_fails_and_others_lose_nothing() {
    let server = Script::echo().settings(|it| it.max_memory = 4 * MIB).serve();
    let (mut small, mut neighbor) = (server.open(), server.open());
    begin_message(&mut small, 10_000);
    let mut large: Vec<Peer> = (0..6).map(|_| server.open()).collect();
    large.iter_mut().for_each(|peer| begin_message(peer, MIB));
    server.journal.wait_for("error Capacity", 2);
    neighbor.echo("nothing is lost");
    let last: Vec<u8> = mask(&vec![7; 10_000]).skip(9_999).collect();
    small.send(last.as_slice());
    assert_eq!(small.frame().1, vec![7; 10_000]);
    drop(large);
}

#[test]
fn w4_slow_receivers_of_a_broadcast_share_its_bytes() {
    const ROUNDS: usize = 60;
    let settings = Settings { max_memory: 20 * MIB, ..Settings::default() };
    let (server, calls) = Probes::listen(settings, |_, _: &Sender| -> Result<()> { Ok(()) });
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::open(server.addr)).collect();
    let senders: Vec<Sender> = (0..10).map(|_| calls.opened()).collect();
    let payload: Vec<u8> = (0..=255).cycle().take(MIB / 4).collect();
    // Copies for each receiver would need 150 MiB, of which the systems accept a part.
    for _ in 0..ROUNDS {
        server.all.broadcast(payload.clone()).unwrap();
    }
    for peer in &mut peers {
        for _ in 0..ROUNDS {
            let mut received = Vec::new();
            while received.len() < payload.len() {
                received.extend(peer.frame().1);
            }
            assert!(received == payload);
        }
    }
    assert!(senders.iter().all(Sender::is_open));
}
