//! §5.1 and §5.3: masking.

use std::collections::HashSet;

use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, BINARY, TEXT};
use sockeye_test_support::pair::{End, Pair, Seen};

#[test]
fn f2_s5_1_a_server_rejects_an_unmasked_frame() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::frame_from(Role::Server, TEXT, b"as a server would"));
    assert_eq!(seen, [Seen::Failed(ProtocolError::UnmaskedFrame)]);
    assert!(bytes::only(&server.out).is(bytes::CLOSE, &1002_u16.to_be_bytes()));
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn f2_s5_1_a_client_rejects_a_masked_frame() {
    let mut client = End::open(Role::Client, Config::default());
    let seen = client.feed(&bytes::frame_from(Role::Client, TEXT, b"as a client would"));
    assert_eq!(seen, [Seen::Failed(ProtocolError::MaskedFrame)]);
    assert!(bytes::only(&client.out).is(bytes::CLOSE, &1002_u16.to_be_bytes()));
    assert_eq!(client.state(), State::Closing);
}

#[test]
fn s5_1_lenient_ends_accept_masked_and_unmasked_frames() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config { masking_strict: false, ..Config::default() });
        for sender in [Role::Client, Role::Server] {
            let seen = end.feed(&bytes::frame_from(sender, TEXT, b"either way"));
            assert_eq!(seen, [Seen::text("either way")]);
        }
    }
}

#[test]
fn f9_s5_3_a_client_uses_a_fresh_masking_key_for_every_frame() {
    let mut client = End::open(Role::Client, Config { fragment_size: 10, ..Config::default() });
    client.send("thirty bytes in three fragments");
    client.core.ping("ping", client.now, &mut client.out).unwrap();
    client.core.pong("pong", client.now, &mut client.out).unwrap();
    client.close(sockeye::CloseCode::Normal, "").unwrap();
    let keys: HashSet<_> = bytes::frames(&client.out).iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!(keys.len(), 4 + 3);
}

#[test]
fn s5_1_server_never_masks() {
    let mut server = End::open(Role::Server, Config::default());
    server.send("plain");
    server.feed(&bytes::frame_from(Role::Client, bytes::PING, b"ping"));
    server.close(sockeye::CloseCode::Normal, "bye").unwrap();
    assert!(bytes::frames(&server.out).iter().all(|frame| frame.key.is_none()));
}

#[test]
fn s5_3_payloads_of_0_to_100_bytes_are_received() {
    let mut pair = Pair::open();
    for len in 0..=100 {
        let payload: Vec<u8> = (0..len).map(|i| i ^ 0x5a).collect();
        pair.client.send(payload.as_slice());
        pair.server.send(payload.as_slice());
        let expected = vec![Seen::binary(payload)];
        assert_eq!(pair.run(), (expected.clone(), expected));
    }
}

#[test]
fn s5_3_a_masking_key_of_zeros_is_accepted() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&[BINARY, 0x83, 0, 0, 0, 0, 1, 2, 3]);
    assert_eq!(seen, [Seen::binary([1, 2, 3])]);
}
