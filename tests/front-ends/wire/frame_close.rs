//! F7, F8: close codes and reasons, and what comes after a Close.

use sockeye::{CloseCode, ErrorKind};

use sockeye_test_support::bytes::{CLOSE, PING, TEXT, close_payload, frame, masked, masked_close};
use sockeye_test_support::host::Host;
use sockeye_test_support::journal::Hook;
use sockeye_test_support::peer::End;
use sockeye_test_support::script::Script;

const OPENED: &str = "made, request GET /chat, open";

/// Codes at every border of §7.4, and all that have a name; the second value is whether they may be sent.
fn codes() -> impl Iterator<Item = (u16, bool)> {
    let named = (998..=1020).map(|code| (code, matches!(code, 1000..=1003 | 1007..=1014)));
    let others = [0, 1, 255, 256, 1100, 1999, 2000, 2999, 5000, 9999, 65_535].map(|code| (code, false));
    named.chain(others).chain([3000, 3999, 4000, 4999].map(|code| (code, true)))
}

#[test]
fn f7_received_close_codes_are_accepted_or_rejected() {
    let server = Script::new().serve();
    for (id, (code, is_right)) in (0..).zip(codes()) {
        let mut peer = server.open();
        peer.send(&masked_close(code, "why"));
        peer.expect_failure(if is_right { code } else { 1002 });
        let received =
            if is_right { format!("close {code} why") } else { "error Protocol, close 1006".to_owned() };
        assert_eq!(server.journal.story_of_lost(id), format!("{OPENED}, {received}, lost"));
    }
}

#[test]
fn f7_close_payloads_of_zero_and_one_byte_are_handled() {
    let server = Script::new().serve();
    let mut peer = server.open();
    peer.send(&masked(CLOSE, b""));
    assert_eq!(peer.frame(), (CLOSE, Vec::new()));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, close 1005, lost"));

    let mut peer = server.open();
    peer.send(&masked(CLOSE, &[3]));
    peer.expect_failure(1002);
    assert_eq!(server.journal.story_of_lost(1), format!("{OPENED}, error Protocol, close 1006, lost"));
}

#[test]
fn f7_close_codes_to_send_are_sent_or_rejected() {
    let server = Script::new()
        .on(|out, hook| match hook {
            Hook::Message(message) => {
                let code: u16 = message.as_text()?.parse().unwrap();
                out.close_with_reason(CloseCode::from(code), "because")
            }
            _ => Ok(()),
        })
        .serve();
    // 0 and 1005 stand for a frame without a code, which has no place for a reason.
    for (code, is_right) in codes() {
        let mut peer = server.open();
        peer.send(&masked(TEXT, code.to_string().as_bytes()));
        if is_right {
            assert_eq!(peer.frame(), (CLOSE, close_payload(code, "because")));
            peer.send(&masked_close(code, ""));
            assert_eq!(peer.rest(), (Vec::new(), End::Fin));
        } else {
            // The handler gets an error, and returns it.
            peer.expect_close(1002);
        }
    }
}

#[test]
fn f7_a_close_reason_over_123_bytes_is_an_error() {
    let server = Script::new().serve();
    let mut peer = server.open();
    let long = server.out.close_with_reason(CloseCode::Normal, "x".repeat(124)).unwrap_err();
    assert!(matches!(long.kind, ErrorKind::Protocol));
    assert!(server.out.close_with_reason(CloseCode::Status, "x").is_err());
    server.out.close_with_reason(CloseCode::Normal, "x".repeat(123)).unwrap();
    assert_eq!(peer.frame(), (CLOSE, close_payload(1000, &"x".repeat(123))));
    peer.send(&masked_close(1000, ""));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
}

#[test]
fn f8_frames_after_a_close_are_ignored() {
    let server = Script::echo().serve();
    let afterwards = [
        masked(TEXT, b"late"),
        masked(PING, b"late"),
        masked_close(1001, "again"),
        frame(TEXT, b"broken"),
        vec![0xff; 100_000],
    ];
    for (id, bytes) in (0..).zip(afterwards) {
        let mut peer = server.open();
        peer.send(&[masked_close(1000, "first"), bytes.clone()].concat());
        peer.expect_close(1000);
        peer.try_send(&bytes);
        assert!(peer.rest().0.is_empty());
        drop(peer);
        assert_eq!(server.journal.story_of_lost(id), format!("{OPENED}, close 1000 first, lost"));
    }
}

#[test]
fn f8_a_peer_that_keeps_sending_after_a_close_is_disconnected() {
    let server = Script::echo().serve();
    for close in [masked_close(1000, ""), masked(0x83, b"")] {
        let mut peer = server.open();
        peer.send(&close);
        let flood = masked(TEXT, b"late").repeat(10_000);
        let taken = (0..1024).take_while(|_| peer.try_send(&flood)).count();
        assert!(taken < 1024, "{} bytes were taken", taken * flood.len());
    }
    server.journal.wait_for("lost", 2);
    assert_eq!(server.journal.count("message late"), 0);
    server.wait_for_sockets(0);
    server.assert_idle();
}

#[test]
fn f8_a_client_ignores_frames_after_a_close_and_waits_for_the_end_of_tcp() {
    let host = Host::new();
    let mut client = Script::echo().connect(&host.url());
    let mut peer = host.open();
    let late = frame(TEXT, b"late");
    peer.send(&[frame(CLOSE, &close_payload(1000, "")), late.clone()].concat());
    let (first, _, payload) = peer.masked_frame();
    assert_eq!((first, payload), (CLOSE, close_payload(1000, "")));
    peer.send(&late);
    peer.end_writing();
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    client.wait_for_end();
    assert_eq!(client.journal.story(0), "made, build /chat, response 101, open, close 1000, lost");
}
