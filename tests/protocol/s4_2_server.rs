//! §4.2: the opening handshake of a server (H5, H9, H10, H12, H13, H19).

use std::time::Duration;

use sockeye::protocol::handshake::Origins;
use sockeye::protocol::{Config, Event, ProtocolError, Role, State};
use sockeye::{Request, Response};

use sockeye_test_support::bytes::{self, TEXT};
use sockeye_test_support::pair::{End, Seen};

/// The request of §1.3, in lines that the tests change.
const GOOD: &str = "GET /chat HTTP/1.1\nHost: server.example.com\nUpgrade: websocket\nConnection: Upgrade\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: http://example.com\n\
    Sec-WebSocket-Protocol: chat, superchat\nSec-WebSocket-Version: 13\n";

fn head(lines: &str) -> Vec<u8> {
    format!("{lines}\n").replace('\n', "\r\n").into_bytes()
}

/// What an accepting server makes of a request, and what it sends.
fn answered(config: Config, lines: &str) -> (Vec<Seen>, String, State) {
    let mut server = End::server(config);
    let seen = server.feed(&head(lines));
    let out = String::from_utf8(server.take_out()).unwrap();
    (seen, out, server.state())
}

/// A server that owes the answer to a request.
fn asked(lines: &str) -> (End, Request) {
    let mut server = End::server(Config::default());
    let mut bytes = head(lines);
    let event = server.core.receive(&mut bytes.as_mut_slice(), server.now, &mut server.out);
    let Ok(Some(Event::Request(request))) = event else { panic!("it is a request: {event:?}") };
    assert_eq!((server.state(), server.out.len()), (State::Connecting, 0));
    (server, *request)
}

fn respond(server: &mut End, request: &Request, mut response: Response) -> Result<(), ProtocolError> {
    server.core.respond(request, &mut response, server.now, &mut server.out)
}

/// What a refusal looks like: its status and its end, nothing of what is inside.
fn assert_refused(server: &mut End, status: u16) {
    let out = String::from_utf8(server.take_out()).unwrap();
    assert!(out.starts_with(&format!("HTTP/1.1 {status} ")), "{out}");
    assert_eq!(out.matches("HTTP/1.1").count(), 1, "{out}");
    assert!(out.contains("\r\nConnection: close"), "{out}");
    let (head, body) = out.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{out}");
    assert_eq!(server.state(), State::Closing);
    assert_eq!(server.feed(b"\x81\x81\0\0\0\0xGET / HTTP/1.1\r\n\r\n"), [], "nothing behind it is parsed");
    assert!(server.flush() && server.out.is_empty());
    assert_eq!((server.core.receive_eof(), server.state()), (Ok(()), State::Closed));
}

#[test]
fn s4_2_2_the_example_request_of_the_rfc_is_accepted() {
    let (seen, out, state) = answered(Config::default(), GOOD);
    assert_eq!((seen, state), (vec![Seen::Request("/chat".to_owned())], State::Open));
    assert!(out.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && out.ends_with("\r\n\r\n"), "{out}");
    for line in
        ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    {
        assert_eq!(out.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {out}");
    }
}

#[test]
fn s4_2_2_a_subprotocol_is_chosen_in_the_order_of_the_server() {
    let config = Config {
        subprotocols: ["trout", "superchat", "chat"].map(String::from).to_vec(),
        ..Config::default()
    };
    let (_, out, _) = answered(config.clone(), GOOD);
    assert!(out.contains("\r\nSec-WebSocket-Protocol: superchat\r\n"), "{out}");
    let (_, out, state) = answered(config, &GOOD.replace("chat, superchat", "salmon"));
    assert!(!out.contains("Sec-WebSocket-Protocol"), "{out}");
    assert_eq!(state, State::Open);
}

#[test]
fn h5_s4_2_1_every_failed_check_has_its_status() {
    let checks = [
        ("GET", "POST", ProtocolError::MethodNotGet, 405),
        ("HTTP/1.1", "HTTP/1.0", ProtocolError::HttpVersion, 505),
        ("Key: dGhl", "Key: dGh", ProtocolError::InvalidKey, 400),
        ("Version: 13", "Version: 8", ProtocolError::UnsupportedVersion, 426),
        ("chat, superchat", "chat, chat", ProtocolError::MalformedList, 400),
        ("Origin: http://", "Sec-WebSocket-Version: 13\nOrigin: http://", ProtocolError::RepeatedHeader, 400),
        ("http://example.com", "http://evil.example", ProtocolError::OriginRefused, 403),
    ];
    for (from, to, err, status) in checks {
        let config = Config { origins: Origins::Only(&["http://example.com"]).into(), ..Config::default() };
        let mut server = End::server(config);
        let seen = server.feed(&head(&GOOD.replace(from, to)));
        assert_eq!(seen, [Seen::Failed(err)], "the program is not asked");
        assert_refused(&mut server, status);
    }
}

#[test]
fn w13_s3_a_target_with_a_fragment_gets_400() {
    for target in ["/a#b", "/#", "/a?b#c", "http://server.example.com/a#b"] {
        let mut server = End::server(Config::default());
        let seen = server.feed(&head(&GOOD.replace("/chat", target)));
        assert_eq!(seen, [Seen::Failed(ProtocolError::MalformedHead)], "{target}");
        assert_refused(&mut server, 400);
    }
}

#[test]
fn h5_s4_2_1_an_invalid_request_never_reaches_the_program() {
    let heads: [(String, ProtocolError, u16); 6] = [
        (GOOD.replace("Host: server.example.com\n", ""), ProtocolError::MissingHost, 400),
        (GOOD.replace("Host:", "Host: a\nHost:"), ProtocolError::MissingHost, 400),
        (GOOD.replace("Host:", "Host :"), ProtocolError::MalformedHead, 400),
        (GOOD.replace("/chat", &"/".repeat(8193)), ProtocolError::TargetTooLong, 414),
        (format!("{GOOD}X: {}\n", "x".repeat(16_384)), ProtocolError::HeadTooLarge, 431),
        (format!("{GOOD}{}", "X: y\n".repeat(100)), ProtocolError::TooManyHeaders, 431),
    ];
    for (lines, err, status) in heads {
        let mut server = End::server(Config::default());
        assert_eq!(server.feed(&head(&lines)), [Seen::Failed(err)]);
        assert_refused(&mut server, status);
    }
}

#[test]
fn h10_s4_2_2_frames_sent_with_the_head_are_received() {
    let mut server = End::server(Config::default());
    let mut bytes = head(GOOD);
    bytes.extend(bytes::frame_from(Role::Client, TEXT, b"early"));
    bytes.extend(&bytes::frame_from(Role::Client, TEXT, b"cut")[..7]);
    let expected = [Seen::Request("/chat".to_owned()), Seen::text("early")];
    assert_eq!(server.feed(&bytes), expected);
    assert_eq!(server.feed(&bytes::frame_from(Role::Client, TEXT, b"cut")[7..]), [Seen::text("cut")]);
}

#[test]
fn h10_s4_2_2_bytes_after_the_head_stay_unread_until_the_response() {
    let mut server = End::server(Config::default());
    let mut bytes = head(GOOD);
    let early = bytes::frame_from(Role::Client, TEXT, b"early");
    bytes.extend(&early);
    let mut input = bytes.as_mut_slice();
    let (now, out) = (server.now, &mut server.out);
    let Ok(Some(Event::Request(request))) = server.core.receive(&mut input, now, out) else {
        panic!("a request")
    };
    for _ in 0..3 {
        assert!(matches!(server.core.receive(&mut input, now, out), Ok(None)));
        assert_eq!(input, early, "untouched while the answer is owed");
    }
    let mut response = Response::from_request(&request).unwrap();
    server.core.respond(&request, &mut response, now, out).unwrap();
    assert!(
        matches!(server.core.receive(&mut input, now, out), Ok(Some(Event::Message(text))) if text == "early".into())
    );
}

#[test]
fn h12_s4_2_2_a_response_must_not_choose_what_was_not_offered() {
    let (mut server, request) = asked(GOOD);
    let mut response = Response::from_request(&request).unwrap();
    response.set_protocol("trout");
    assert_eq!(respond(&mut server, &request, response), Err(ProtocolError::ProtocolNotOffered));
    assert_refused(&mut server, 500);

    let (mut server, request) = asked(GOOD);
    let mut response = Response::from_request(&request).unwrap();
    response.add_extension("permessage-deflate");
    assert_eq!(respond(&mut server, &request, response), Err(ProtocolError::ExtensionNotOffered));
    assert_refused(&mut server, 500);
}

#[test]
fn h12_s4_2_2_a_request_without_an_upgrade_cannot_be_upgraded() {
    let (mut server, page) = asked("GET / HTTP/1.1\nHost: a\n");
    let (_, upgrade) = asked(GOOD);
    let response = Response::from_request(&upgrade).unwrap();
    assert_eq!(respond(&mut server, &page, response), Err(ProtocolError::NotAnUpgrade));
    assert_refused(&mut server, 426);
}

#[test]
fn h12_s4_2_2_a_response_that_upgrades_to_another_protocol_is_not_sent() {
    for value in ["h2c", "websocket, h2c"] {
        let (mut server, request) = asked(GOOD);
        let mut response = Response::from_request(&request).unwrap();
        response.set_header("Upgrade", value).unwrap();
        assert_eq!(respond(&mut server, &request, response), Err(ProtocolError::UnsendableHead));
        assert_refused(&mut server, 500);
    }
}

#[test]
fn h11_a_response_with_invalid_headers_is_not_sent() {
    for (name, value) in [("X-Split", &b"a\r\nSet-Cookie: b"[..]), ("X Space", b"a"), ("X-Nul", b"\0")] {
        let (mut server, request) = asked(GOOD);
        let mut response = Response::from_request(&request).unwrap();
        response.headers_mut().push((name.to_owned(), value.to_vec()));
        assert_eq!(respond(&mut server, &request, response), Err(ProtocolError::UnsendableHead));
        assert_refused(&mut server, 500);
    }
}

#[test]
fn h19_s4_2_2_a_program_can_reject_or_redirect_an_upgrade() {
    let (mut server, request) = asked(GOOD);
    respond(&mut server, &request, Response::new(403, "No", b"not today".to_vec())).unwrap();
    assert_refused(&mut server, 403);

    let (mut server, request) = asked(GOOD);
    let mut redirect = Response::new(307, "", Vec::new());
    redirect.set_header("Location", "wss://elsewhere.example/").unwrap();
    respond(&mut server, &request, redirect).unwrap();
    let head = String::from_utf8(server.out.clone()).unwrap();
    assert!(head.contains("\r\nLocation: wss://elsewhere.example/\r\n"), "{head}");
    assert_refused(&mut server, 307);

    let (mut server, _) = asked(GOOD);
    server.core.refuse(ProtocolError::OriginRefused, server.now, &mut server.out);
    assert_refused(&mut server, 403);
}

#[test]
fn h19_a_page_is_served() {
    let (mut server, request) = asked("GET /page HTTP/1.1\nHost: a\n");
    assert!(!request.is_upgrade());
    respond(&mut server, &request, Response::new(200, "OK", b"<h1>Salmon</h1>".to_vec())).unwrap();
    assert!(server.out.ends_with(b"\r\n\r\n<h1>Salmon</h1>"));
    assert_refused(&mut server, 200);
}

#[test]
fn h19_a_second_response_to_a_request_is_an_error() {
    let (mut server, request) = asked(GOOD);
    respond(&mut server, &request, Response::from_request(&request).unwrap()).unwrap();
    let len = server.out.len();
    let again = respond(&mut server, &request, Response::new(200, "OK", Vec::new()));
    assert_eq!(again, Err(ProtocolError::NotOpen));
    server.core.refuse(ProtocolError::OriginRefused, server.now, &mut server.out);
    assert_eq!((server.out.len(), server.state()), (len, State::Open));
}

#[test]
fn h19_a_response_to_head_has_no_body() {
    let (mut server, request) = asked("HEAD /page HTTP/1.1\nHost: a\n");
    respond(&mut server, &request, Response::new(200, "OK", b"<h1>Salmon</h1>".to_vec())).unwrap();
    assert!(server.out.ends_with(b"\r\n\r\n"), "{}", server.out.escape_ascii());

    let (mut server, _) = asked("HEAD /page HTTP/1.1\nHost: a\n");
    server.core.refuse(ProtocolError::NotAnUpgrade, server.now, &mut server.out);
    assert!(server.out.ends_with(b"\r\n\r\n"), "{}", server.out.escape_ascii());

    let mut server = End::server(Config::default());
    assert_eq!(server.feed(&head(&GOOD.replace("GET", "HEAD"))), [Seen::Failed(ProtocolError::MethodNotGet)]);
    assert!(server.out.ends_with(b"\r\n\r\n"), "{}", server.out.escape_ascii());
}

#[test]
fn h19_an_overloaded_server_responds_with_503() {
    for (after, seconds) in [(None, None), (Some(Duration::from_millis(1001)), Some(b"2".to_vec()))] {
        let mut server = End::server(Config::default());
        server.core.reject_unavailable(after, server.now, &mut server.out);
        let response = Response::parse(&server.out).unwrap().unwrap();
        assert_eq!(response.header("Retry-After"), seconds.as_ref());
        assert_refused(&mut server, 503);
    }
    let mut client = End::client(Config::default());
    client.take_out();
    client.core.reject_unavailable(None, client.now, &mut client.out);
    assert_eq!((client.state(), client.out.len()), (State::Closed, 0));
}
