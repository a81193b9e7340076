//! H5, H7 to H10: what is no request for a WebSocket, and what comes behind a request.

use sockeye_test_support::bytes::{TEXT, UPGRADE, masked, masked_close, upgrade_and, upgrade_with};
use sockeye_test_support::peer::{Answer, End};
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;

/// Sends a request that is refused.
fn refused(server: &Running, request: &[u8]) -> Answer {
    let mut peer = server.peer();
    peer.send(request);
    peer.answer()
}

#[test]
fn h5_invalid_upgrade_requests_are_rejected_with_the_correct_status() {
    let server = Script::new().serve();
    let wrong = [
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("HTTP/1.1", "HTTP/2.0", 505),
        ("Upgrade: websocket", "Upgrade: notwebsocket", 426),
        ("Upgrade: websocket", "Upgrade: websockets", 426),
        ("Upgrade: websocket", "Upgrade: web socket", 426),
        ("Upgrade: websocket\r\n", "", 426),
        ("Connection: Upgrade", "Connection: notupgrade", 426),
        ("Connection: Upgrade", "Connection: keep-alive", 426),
        ("Connection: Upgrade\r\n", "", 426),
        ("Host: example.com\r\n", "", 400),
        ("Host: example.com", "Host:", 400),
        ("Host: example.com", "Host: a\r\nHost: a", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13, 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
    ];
    for (from, to, status) in wrong {
        let answer = refused(&server, upgrade_with(from, to).as_bytes());
        assert_eq!((answer.status(), answer.end), (status, End::Fin), "{to:?}");
        match status {
            405 => assert_eq!(answer.head.header("Allow"), Some("GET")),
            426 => assert_eq!(answer.head.header("Sec-WebSocket-Version"), Some("13")),
            _ => {}
        }
    }
    let two_keys = upgrade_and("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    assert_eq!(refused(&server, two_keys.as_bytes()).status(), 400);
    assert_eq!(server.journal.count("open"), 0);
}

#[test]
fn h5_lists_of_tokens_are_accepted() {
    let server = Script::new().serve();
    let right = [
        ("Upgrade: websocket", "UPGRADE: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
        ("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: , upgrade ,"),
    ];
    for (from, to) in right {
        let mut peer = server.peer();
        peer.send(upgrade_with(from, to).as_bytes());
        peer.opened();
    }
}

#[test]
fn h7_any_byte_in_a_request_gets_a_valid_response() {
    let server = Script::new().serve();
    for byte in 0..=u8::MAX {
        for place in
            ["Host: example.com", "example", "Sec-WebSocket-Key", "Upgrade: web", "/chat", "Upgrade: "]
        {
            let at = UPGRADE.find(place).unwrap() + place.len();
            let mut request = UPGRADE.as_bytes().to_vec();
            request.insert(at, byte);
            let mut peer = server.peer();
            peer.send(&request);
            let status = peer.head().status();
            assert!(matches!(status, 101 | 400 | 426), "{status} for {byte:#x} behind {place:?}");
        }
    }
    server.assert_serves();
}

#[test]
fn h8_malformed_http_is_rejected_and_the_connection_is_closed() {
    let server = Script::new().serve();
    let lax = [
        ("\r\nHost", "\nHost"),
        ("websocket\r\n", "websocket\n"),
        ("Upgrade: websocket", "Upgrade:\r\n websocket"),
        ("Upgrade: websocket", " Upgrade: websocket"),
        ("Upgrade:", "Upgrade :"),
        ("Upgrade:", "Upgrade\t:"),
        ("websocket", "web\0socket"),
        ("websocket", "web\rsocket"),
        ("Host: example.com", "Host: example.com\r\nhost: example.com"),
        ("Host: example.com", "Host: example.com, evil.example"),
        ("GET ", "GET  "),
        ("GET ", "GET\t"),
        ("/chat", "/ch at"),
        ("/chat", "chat"),
        ("/chat", "example.com:80"),
    ];
    for (from, to) in lax {
        let answer = refused(&server, upgrade_with(from, to).as_bytes());
        assert_eq!((answer.status(), answer.end), (400, End::Fin), "{to:?}");
    }
    assert_eq!(server.journal.count("request GET /chat"), 0);
}

#[test]
fn h9_bytes_after_a_rejected_upgrade_are_not_parsed() {
    let server = Script::new().serve();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len());
    let heads = [
        upgrade_and(&length),
        upgrade_and("Transfer-Encoding: chunked\r\n"),
        upgrade_with("Version: 13", "Version: 7"),
        upgrade_with("Upgrade: websocket\r\n", &length),
    ];
    for head in heads {
        let answer = refused(&server, format!("{head}{smuggled}{UPGRADE}").as_bytes());
        assert!(matches!(answer.status(), 400 | 426), "{answer:?}");
        // One response of the announced length, and nothing after it.
        assert_eq!(answer.end, End::Fin);
    }
    assert_eq!(server.journal.count("request GET /smuggled"), 0);
    assert_eq!(server.journal.count("open"), 0);
}

#[test]
fn h10_frames_sent_with_the_head_are_delivered_once_after_on_open() {
    let server = Script::new().serve();
    let frames = [masked(TEXT, b"one"), masked(TEXT, b"two"), masked_close(1000, "done")].concat();
    let all = [UPGRADE.as_bytes(), &frames].concat();
    let cuts = [0, 1, UPGRADE.len() - 1, UPGRADE.len(), UPGRADE.len() + 1, UPGRADE.len() + 12];
    for (id, cut) in (0..).zip(cuts) {
        let mut peer = server.peer();
        peer.send(&all[..cut]);
        server.journal.wait_for("made", id + 1);
        peer.send(&all[cut..]);
        peer.opened();
        peer.expect_failure(1000);
        let story = "made, request GET /chat, open, frame TEXT, message one, frame TEXT, message two, \
                     frame CLOSE, close 1000 done, send CLOSE, lost";
        server.journal.wait_for("lost", id + 1);
        assert_eq!(server.journal.full_story(id.try_into().unwrap()), story);
    }
}

#[test]
fn h10_an_invalid_frame_sent_with_the_head_fails_an_open_connection() {
    let server = Script::new().serve();
    let mut peer = server.peer();
    peer.send(&[UPGRADE.as_bytes(), &[0xff; 64]].concat());
    peer.opened();
    peer.expect_failure(1002);
    let story = "made, request GET /chat, open, error Protocol, close 1006, lost";
    assert_eq!(server.journal.story_of_lost(0), story);
}
