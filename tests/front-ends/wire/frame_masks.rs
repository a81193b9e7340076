//! F9, F10: masking keys, and whose bytes are masked.

use std::collections::HashSet;

use sockeye::Message;

use sockeye_test_support::bytes::TEXT;
use sockeye_test_support::host::Host;
use sockeye_test_support::journal::Hook;
use sockeye_test_support::script::Script;

#[test]
fn f9_every_frame_has_a_fresh_masking_key() {
    let count = 2000;
    let host = Host::new();
    let _client = Script::new()
        .on(move |out, hook| match hook {
            Hook::Open(_) => (0..count).try_for_each(|_| out.send("same")),
            _ => Ok(()),
        })
        .connect(&host.url());
    let mut peer = host.open();
    let keys: Vec<u32> = (0..count)
        .map(|_| {
            let (first, key, payload) = peer.masked_frame();
            assert_eq!((first, payload.as_slice()), (TEXT, &b"same"[..]));
            u32::from_be_bytes(key)
        })
        .collect();
    // Of 2,000 keys of 32 bits two are the same once in two thousand runs, four never.
    assert!(keys.iter().collect::<HashSet<_>>().len() >= count - 2);
    // No bit can be foretold: neither from the others nor from the key before.
    let steps = keys.windows(2).map(|pair| pair[0] ^ pair[1]);
    for values in [keys.clone(), steps.collect()] {
        for bit in 0..32 {
            let ones = values.iter().filter(|value| *value >> bit & 1 == 1).count();
            assert!(ones.abs_diff(count / 2) < 200, "bit {bit} is set in {ones}");
        }
    }
}

#[test]
fn f10_every_peer_receives_the_same_broadcast_message() {
    let host = Host::new();
    let script = Script::new();
    let client = script.connect(&host.url());
    let mut peers = vec![host.open()];
    for _ in 0..3 {
        client.out.connect(host.url().parse().unwrap()).unwrap();
        peers.push(host.open());
    }
    client.journal.wait_for("open", 4);
    for len in [10, 20_000, 200_000] {
        let payload: Vec<u8> = (0..=255).cycle().take(len).collect();
        client.out.send(payload.clone()).unwrap();
        client.out.send(payload.clone()).unwrap();
        for peer in &mut peers {
            for _ in 0..2 {
                let mut whole = Vec::new();
                loop {
                    let (first, _, part) = peer.masked_frame();
                    whole.extend_from_slice(&part);
                    if first & 0x80 != 0 {
                        break;
                    }
                }
                assert!(whole == payload, "a message of {len} bytes has been changed");
            }
        }
    }
}

#[test]
fn f10_handlers_receive_unmasked_frames() {
    let server = Script::echo().serve();
    let payload: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let sent = payload.clone();
    let mut client = Script::new()
        .on(move |out, hook| match hook {
            Hook::Open(_) => out.send(sent.clone()),
            Hook::Message(message) if *message == Message::Binary(sent.clone()) => out.close(1000.into()),
            _ => Ok(()),
        })
        .connect(&server.url());
    client.wait_for_end();
    let story = client.journal.story(0);
    assert!(story.ends_with("open, message of 100000, close 1000, lost"), "{story}");
}
