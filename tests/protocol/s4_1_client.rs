//! §4.1: the opening handshake of a client (K1 to K4).

use sockeye::protocol::handshake::accept_value;
use sockeye::protocol::{Config, Connection, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, TEXT};
use sockeye_test_support::pair::{End, Seen, request};

/// A client that has sent its request, and the key that it has sent.
fn asked(config: Config) -> (End, String) {
    let mut request = request();
    request.add_protocol("salmon");
    request.add_extension("x-known; level=3");
    let key = String::from_utf8(request.key().unwrap().clone()).unwrap();
    let mut client = End::asking(config, request);
    client.take_out();
    (client, key)
}

/// What the client makes of an answer; `{accept}` in it is the value that fits the key.
fn answered(answer: &str) -> (Vec<Seen>, End) {
    let (mut client, key) = asked(Config::default());
    let answer = answer.replace("{accept}", &accept_value(&key)).replace('\n', "\r\n");
    let seen = client.feed(answer.as_bytes());
    (seen, client)
}

fn assert_refused(answer: &str, err: ProtocolError) {
    let (seen, mut client) = answered(&format!("{answer}\u{81}\u{1}x"));
    assert_eq!(seen, [Seen::Failed(err)], "{answer}");
    assert_eq!((client.state(), client.out.len()), (State::Closed, 0), "not a word, and no frame is read");
    assert_eq!(client.core.send("x", client.now, &mut client.out), Err(ProtocolError::NotOpen));
}

const GOOD: &str =
    "HTTP/1.1 101 Go on\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: {accept}\n";

#[test]
fn s4_1_the_request_contains_the_required_headers() {
    let client = End::client(Config {
        subprotocols: ["trout", "salmon"].map(String::from).to_vec(),
        ..Config::default()
    });
    let text = String::from_utf8(client.out.clone()).unwrap();
    assert!(text.starts_with("GET /chat HTTP/1.1\r\n") && text.ends_with("\r\n\r\n"));
    for line in [
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: trout,salmon",
    ] {
        assert_eq!(text.matches(&format!("{line}\r\n")).count(), 1, "{line} in {text}");
    }
    assert_eq!(client.state(), State::Connecting);
}

#[test]
fn s4_1_nothing_is_sent_before_the_connection_is_open() {
    let (mut client, _) = asked(Config::default());
    let now = client.now;
    assert_eq!(client.core.send("early", now, &mut client.out), Err(ProtocolError::NotOpen));
    assert_eq!(client.core.ping("early", now, &mut client.out), Err(ProtocolError::NotOpen));
    assert_eq!(client.close(sockeye::CloseCode::Normal, ""), Err(ProtocolError::NotOpen));
    assert!(client.out.is_empty());
}

#[test]
fn s4_1_a_valid_response_opens_the_connection() {
    let (seen, client) = answered(&format!("{GOOD}\n"));
    assert_eq!((seen, client.state()), (vec![Seen::Response(101)], State::Open));
    let (seen, _) = answered(&format!("{GOOD}Sec-WebSocket-Protocol: salmon\n\n"));
    assert_eq!(seen, [Seen::Response(101)]);
    let folded =
        GOOD.to_lowercase().replace("http", "HTTP").replace("connection: ", "CONNECTION: keep-alive, ");
    let (seen, _) = answered(&format!("{folded}\n"));
    assert_eq!(seen, [Seen::Response(101)], "names and tokens have no case");
}

#[test]
fn h10_s4_1_frames_sent_with_the_response_are_received() {
    let (mut client, key) = asked(Config::default());
    let mut bytes = GOOD.replace("{accept}", &accept_value(key)).replace('\n', "\r\n").into_bytes();
    bytes.extend(b"\r\n");
    bytes.extend(bytes::frame_from(Role::Server, TEXT, b"at once"));
    assert_eq!(client.feed(&bytes), [Seen::Response(101), Seen::text("at once")]);
}

#[test]
fn k1_s4_1_the_accept_value_must_match_the_key() {
    let without = GOOD.replace("Sec-WebSocket-Accept: {accept}\n", "");
    let mismatch = ProtocolError::AcceptMismatch;
    assert_refused(&format!("{without}\n"), mismatch);
    assert_refused(&format!("{without}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n"), mismatch);
    assert_refused(&format!("{without}Sec-WebSocket-Accept:\n\n"), mismatch);
    assert_refused(&format!("{without}Sec-WebSocket-Accept: {{accept}}x\n\n"), mismatch);
    assert_refused(&format!("{GOOD}Sec-WebSocket-Accept: {{accept}}\n\n"), ProtocolError::RepeatedHeader);
}

#[test]
fn k1_s4_1_the_response_must_upgrade_to_websocket() {
    let wrong = |from: &str, to: &str| format!("{}\n", GOOD.replace(from, to));
    assert_refused(&wrong("Upgrade: websocket\n", ""), ProtocolError::MissingUpgrade);
    assert_refused(&wrong("Upgrade: websocket", "Upgrade: websockets"), ProtocolError::MissingUpgrade);
    assert_refused(&wrong("Upgrade: websocket", "Upgrade: websocket, h2c"), ProtocolError::MissingUpgrade);
    assert_refused(
        &wrong("Upgrade: websocket", "Upgrade: h2c\nUpgrade: websocket"),
        ProtocolError::MissingUpgrade,
    );
    assert_refused(&wrong("Connection: Upgrade\n", ""), ProtocolError::MissingConnection);
    assert_refused(&wrong("Connection: Upgrade", "Connection: notupgrade"), ProtocolError::MissingConnection);
    assert_refused(&wrong("HTTP/1.1", "HTTP/1.0"), ProtocolError::HttpVersion);
}

#[test]
fn k3_s4_1_unsolicited_protocols_and_extensions_are_rejected() {
    let with = |line: &str| format!("{GOOD}{line}\n\n");
    assert_refused(&with("Sec-WebSocket-Protocol: trout"), ProtocolError::UnsolicitedProtocol);
    assert_refused(&with("Sec-WebSocket-Protocol: Salmon"), ProtocolError::UnsolicitedProtocol);
    assert_refused(
        &with("Sec-WebSocket-Extensions: permessage-deflate"),
        ProtocolError::UnsolicitedExtension,
    );
    assert_refused(&with("Sec-WebSocket-Extensions: x-known, x-other"), ProtocolError::UnsolicitedExtension);
    assert_refused(&with("Sec-WebSocket-Extensions: x-known; =9"), ProtocolError::MalformedList);
    let (seen, _) = answered(&with("Sec-WebSocket-Extensions: x-known; level=99999999999999999999"));
    assert_eq!(seen, [Seen::Response(101)], "parameters are the business of the extension");
}

#[test]
fn k3_s4_1_a_response_that_is_not_http_is_rejected() {
    assert_refused("SSH-2.0-OpenSSH_9.9\n", ProtocolError::MalformedHead);
    assert_refused("HTTP/1.1 1O1 Switching\n", ProtocolError::MalformedHead);
    assert_refused("\u{15}\u{3}\u{1}", ProtocolError::MalformedHead);
}

#[test]
fn s4_1_interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </style.css>\n\n";
    let (seen, client) = answered(&format!("{interim}{GOOD}\n"));
    assert_eq!((seen, client.state()), (vec![Seen::Response(101)], State::Open));
}

#[test]
fn k2_s4_1_interim_responses_share_one_limit() {
    let (seen, client) = answered(&"HTTP/1.1 100 Continue\n\n".repeat(1000));
    assert_eq!((seen, client.state()), (vec![Seen::Failed(ProtocolError::HeadTooLarge)], State::Closed));
}

#[test]
fn k2_s4_1_an_endless_head_is_rejected() {
    let (seen, client) = answered(&format!("{GOOD}X: {}", "x".repeat(20_000)));
    assert_eq!((seen, client.state()), (vec![Seen::Failed(ProtocolError::HeadTooLarge)], State::Closed));
}

#[test]
fn s4_1_another_status_is_reported_as_a_rejection() {
    for (line, status) in [("200 OK", 200), ("302 Found", 302), ("401 Unauthorized", 401), ("503 Busy", 503)]
    {
        let answer = format!("HTTP/1.1 {line}\nLocation: /elsewhere\nContent-Length: 4\n\nbody");
        let (seen, client) = answered(&answer);
        assert_eq!(seen, [Seen::Rejected(status)]);
        assert_eq!((client.state(), client.out.len()), (State::Closed, 0));
        assert_eq!(client.core.deadline(), None);
    }
}

#[test]
fn s4_1_a_lenient_client_ignores_the_accept_value() {
    let (mut client, _) = asked(Config { key_strict: false, ..Config::default() });
    let answer = GOOD.replace("{accept}", "whatever").replace('\n', "\r\n");
    assert_eq!(client.feed(format!("{answer}\r\n").as_bytes()), [Seen::Response(101)]);
}

#[test]
fn k4_an_unsendable_request_writes_nothing() {
    let mut split = request();
    split.headers_mut().push(("X-Split".to_owned(), b"a\r\nb: c".to_vec()));
    let mut keyless = request();
    keyless.headers_mut().retain(|(name, _)| name != "Sec-WebSocket-Key");
    for (request, expected) in [(split, ProtocolError::UnsendableHead), (keyless, ProtocolError::InvalidKey)]
    {
        let mut out = b"before".to_vec();
        let made = Connection::client(Config::default().into(), request, std::time::Instant::now(), &mut out);
        assert_eq!(made.unwrap_err(), expected);
        assert_eq!(out, b"before");
    }
}
