//! H11 to H15, H17: what a program answers, and what gets out of it.

use std::sync::{Mutex, Once};

use sockeye::{Error, ErrorKind, Origins, Response, TrustedProxies};

use sockeye_test_support::bytes::{TEXT, UPGRADE, masked, upgrade_and};
use sockeye_test_support::journal::Hook;
use sockeye_test_support::script::Script;

#[test]
fn h11_headers_with_line_breaks_are_never_sent() {
    let server = Script::new()
        .on_request(|req| {
            let mut response = Response::from_request(req)?;
            assert!(response.set_header("X-Name", "a\r\nSet-Cookie: b").is_err());
            assert!(response.add_header("X\r\nSet-Cookie", "b").is_err());
            // The old ways check nothing: the head as a whole is checked before it goes out.
            match req.resource() {
                "/value" => response.headers_mut().push(("X".to_owned(), b"a\r\nSet-Cookie: b".to_vec())),
                "/name" => response.headers_mut().push(("X\r\nSet-Cookie".to_owned(), b"b".to_vec())),
                "/reason" => response.set_reason("OK\r\nSet-Cookie: b"),
                _ => response.set_protocol("a\r\nSet-Cookie: b"),
            }
            Ok(response)
        })
        .serve();
    for path in ["/value", "/name", "/reason", "/protocol"] {
        let mut peer = server.peer();
        peer.send(UPGRADE.replace("/chat", path).as_bytes());
        let answer = peer.answer();
        assert_eq!(answer.status(), 500, "{path}");
        assert_eq!(answer.head.header("Set-Cookie"), None);
    }
    server.journal.wait_for("error Protocol", 4);
    assert_eq!(server.journal.count("open"), 0);
}

#[test]
fn h12_a_response_must_not_choose_what_was_not_offered() {
    let server = Script::new()
        .on_request(|req| {
            let mut response = Response::from_request(req)?;
            match req.resource() {
                "/protocol" => response.set_protocol("mqtt"),
                _ => response.add_extension("permessage-deflate"),
            }
            Ok(response)
        })
        .serve();
    for path in ["/protocol", "/extension"] {
        let request = upgrade_and("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x-other\r\n");
        let mut peer = server.peer();
        peer.send(request.replace("/chat", path).as_bytes());
        assert_eq!(peer.answer().status(), 500, "{path}");
    }
    server.journal.wait_for("error Protocol", 2);
    assert_eq!(server.journal.count("open"), 0);
}

#[test]
fn h12_the_server_chooses_the_offered_protocol_it_prefers() {
    let server = Script::new().settings(|it| it.subprotocols = &["chat.v2", "chat.v1"]).serve();
    let offers = [("chat.v1, chat.v2", Some("chat.v2")), ("x, chat.v1", Some("chat.v1")), ("x", None)];
    for (offer, chosen) in offers {
        let mut peer = server.peer();
        peer.send(upgrade_and(&format!("Sec-WebSocket-Protocol: {offer}\r\n")).as_bytes());
        assert_eq!(peer.opened().header("Sec-WebSocket-Protocol"), chosen);
    }
}

#[test]
fn h13_internal_error_details_are_not_sent_to_the_peer() {
    let secret = || Error::new(ErrorKind::Internal, "the password is swordfish");
    let server = Script::new()
        .on_request(move |req| if req.is_upgrade() { Response::from_request(req) } else { Err(secret()) })
        .on(move |_, hook| if matches!(hook, Hook::Message(_)) { Err(secret()) } else { Ok(()) })
        .serve();
    let mut peer = server.peer();
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = peer.answer();
    assert_eq!(answer.status(), 500);
    assert!(!format!("{:?}", answer.head).contains("password"));
    assert_eq!(answer.body, b"500 Internal Server Error\n");

    let mut peer = server.open();
    peer.send(&masked(TEXT, b"hello"));
    assert_eq!(peer.frame(), (0x88, 1011_u16.to_be_bytes().to_vec()));
}

#[test]
fn h14_forwarded_addresses_are_used_only_from_trusted_proxies() {
    let trusts = [(TrustedProxies::None, "127.0.0.1"), (TrustedProxies::Loopback, "203.0.113.7")];
    for (trusted, expected) in trusts {
        let server = Script::new().settings(|it| it.trusted_proxies = trusted).serve();
        let mut peer = server.peer();
        peer.send(upgrade_and("X-Forwarded-For: 203.0.113.7\r\n").as_bytes());
        peer.opened();
        let address = server.journal.wait("on_open", |entries| {
            entries.iter().find_map(|it| match &it.hook {
                Hook::Open(address) => Some(address.clone()),
                _ => None,
            })
        });
        assert_eq!(address.as_deref(), Some(expected));
    }
}

#[test]
fn h15_foreign_origins_are_rejected_with_403() {
    let server = Script::new().settings(|it| it.origins = Origins::SameHost).serve();
    let origins = [
        ("http://example.com", 101),
        ("https://EXAMPLE.com", 101),
        ("http://example.com:8080", 403),
        ("http://example.com.evil.example", 403),
        ("null", 403),
    ];
    for (origin, status) in origins {
        let mut peer = server.peer();
        peer.send(upgrade_and(&format!("Origin: {origin}\r\n")).as_bytes());
        assert_eq!(peer.head().status(), status, "{origin}");
    }
    // What is no browser sends none.
    server.assert_serves();
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the records of the test of the log, which are recognized by what the peer has sent.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if line.contains("h17-") {
            LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn h17_control_characters_of_a_peer_are_not_logged() {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| log::set_boxed_logger(Box::new(Lines)).unwrap());
    log::set_max_level(log::LevelFilter::Trace);

    // The handler is a closure: all its other hooks are the defaults, which log.
    let socket = sockeye::WebSocket::new(|_| |_| Ok(())).unwrap().bind("127.0.0.1:0").unwrap();
    let (address, out) = (socket.local_addr().unwrap(), socket.broadcaster());
    let thread = std::thread::spawn(move || socket.run().map(drop));
    let nasty = "h17-\u{9b}31m\u{85}";
    let mut peer = sockeye_test_support::peer::Peer::connect(address);
    peer.send(upgrade_and(&format!("X: {nasty}\r\nOrigin: {nasty}\r\n")).as_bytes());
    peer.opened();
    let reason = "h17-\u{1b}[2J\r\nfake line\u{7}";
    peer.send(&sockeye_test_support::bytes::masked_close(1000, reason));
    peer.expect_failure(1000);
    out.shutdown().unwrap();
    thread.join().unwrap().unwrap();
    log::set_max_level(log::LevelFilter::Off);

    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    assert!(lines.len() >= 2, "{lines:?}");
    for line in lines {
        let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\r';
        assert!(line.chars().all(is_harmless) && !line.contains("\r\nfake"), "{line:?}");
    }
}
