//! K1 to K4: the responses of servers, and the requests of our client.

use std::time::{Duration, Instant};

use sockeye::{Request, Result};

use sockeye_test_support::bytes::{ACCEPT, CLOSE, TEXT, close_payload, frame};
use sockeye_test_support::host::{Host, answer_to};
use sockeye_test_support::peer::{End, Head};
use sockeye_test_support::script::Script;

/// Lets a client connect, sends a response, and returns the story of the client, which must send nothing more.
fn story_of(script: &Script, answer: impl FnOnce(&Head) -> String) -> String {
    let host = Host::new();
    let mut client = script.connect(&host.url());
    let mut peer = host.accept();
    let request = peer.head();
    peer.send(answer(&request).as_bytes());
    assert_eq!(peer.rest().0, b"", "a client that fails the opening handshake sends no frame");
    client.wait_for_end();
    client.journal.story(0)
}

/// How it ends for a client whose answer is not right.
const REFUSED: &str = "made, build /chat, error Protocol, lost";

#[test]
fn k1_exactly_one_correct_accept_value_is_required() {
    let right = "Sec-WebSocket-Accept: ";
    let wrong: [&dyn Fn(&str) -> String; 5] = [
        &|answer| answer.replace(right, "X-Accept: "),
        &|answer| answer.replace(right, "Sec-WebSocket-Accept: A"),
        &|answer| answer.replace("Accept: ", &format!("Accept: {ACCEPT}\r\nX: ")),
        &|answer| answer.replace(right, &format!("Sec-WebSocket-Accept: {ACCEPT}\r\n{right}")),
        &|answer| {
            let line = answer.lines().find(|line| line.starts_with(right)).unwrap();
            answer.replace(line, &format!("{line}\r\n{line}"))
        },
    ];
    for change in wrong {
        let story = story_of(&Script::new(), |request| {
            let (right, wrong) = (answer_to(request, ""), change(&answer_to(request, "")));
            assert_ne!(right, wrong);
            wrong
        });
        assert_eq!(story, REFUSED);
    }
}

#[test]
fn k1_version_upgrade_and_connection_must_be_correct() {
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: notwebsocket"),
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade", "Connection: close"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/2.0"),
    ] {
        let story = story_of(&Script::new(), |request| answer_to(request, "").replacen(from, to, 1));
        assert_eq!(story, REFUSED, "{to:?}");
    }
}

#[test]
fn k1_another_status_is_rejected_with_one_error() {
    for status in [200, 204, 301, 401, 403, 426, 500, 503] {
        let story = story_of(&Script::new(), |_| format!("HTTP/1.1 {status} X\r\nLocation: /\r\n\r\nbody"));
        assert_eq!(story, format!("made, build /chat, rejected {status}, error Protocol, lost"));
    }
}

#[test]
fn k2_a_long_or_malformed_head_is_rejected() {
    let mut heads = vec![
        format!("HTTP/1.1 101 X\r\nX: {}", "x".repeat(64 * 1024)),
        format!("HTTP/1.1 101 X\r\n{}", "X: y\r\n".repeat(101)),
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000),
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(10_000),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "HTTP/1.1 1000 X\r\n\r\n".to_owned(),
    ];
    heads.push("\0".repeat(100));
    for head in heads {
        let host = Host::new();
        let mut client = Script::new().connect(&host.url());
        let mut peer = host.accept();
        peer.head();
        peer.try_send(head.as_bytes());
        client.wait_for_end();
        assert_eq!(client.journal.story(0), REFUSED);
    }
}

#[test]
fn k2_a_few_interim_responses_are_skipped() {
    let host = Host::new();
    let mut client = Script::new().connect(&host.url());
    let mut peer = host.accept();
    let request = peer.head();
    peer.send(format!("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n{}", answer_to(&request, "")).as_bytes());
    client.journal.wait_for("open", 1);
    client.finish();
}

#[test]
fn k2_a_slow_or_silent_server_times_out() {
    let limit = Duration::from_millis(300);
    let script = Script::new().settings(|it| it.handshake_timeout = limit);
    for is_silent in [true, false] {
        let host = Host::new();
        let start = Instant::now();
        let mut client = script.connect(&host.url());
        let mut peer = host.accept();
        let request = peer.head();
        for byte in answer_to(&request, "").bytes() {
            if peer.receives_within(Duration::from_millis(20)) || (!is_silent && !peer.try_send(&[byte])) {
                break;
            }
        }
        client.wait_for_end();
        assert_eq!(client.journal.story(0), REFUSED);
        let spent = client.journal.time_of("error Protocol") - start;
        assert!(spent >= limit, "{spent:?}");
    }
}

#[test]
fn k2_a_disconnect_during_the_handshake_is_one_error() {
    for (sent, resets) in [("", false), ("HTTP/1.1 101 Swi", false), ("HTTP/1.1 101 X\r\nA: b\r\n", true)] {
        let host = Host::new();
        let mut client = Script::new().connect(&host.url());
        let mut peer = host.accept();
        peer.head();
        peer.send(sent.as_bytes());
        if resets {
            peer.reset();
        } else {
            drop(peer);
        }
        client.wait_for_end();
        let story = client.journal.story(0);
        let expected = if resets { "made, build /chat, error Io, lost" } else { REFUSED };
        assert_eq!(story, expected);
    }
}

#[test]
fn k3_unsolicited_protocols_and_extensions_are_errors() {
    let headers = [
        "Sec-WebSocket-Protocol: chat\r\n",
        "Sec-WebSocket-Protocol: \r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99999999999999999999\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"-1\"\r\n",
        "Sec-WebSocket-Extensions: ;;;=\"\r\n",
    ];
    for header in headers {
        assert_eq!(story_of(&Script::new(), |request| answer_to(request, header)), REFUSED, "{header:?}");
    }
}

#[test]
fn k3_the_server_must_choose_one_of_the_offered_protocols() {
    let script = Script::new().settings(|it| it.subprotocols = &["chat", "superchat"]);
    for header in ["mqtt", "Chat", "chat, superchat", "chat\r\nSec-WebSocket-Protocol: chat"] {
        let story = story_of(&script, |request| {
            assert_eq!(request.header("Sec-WebSocket-Protocol"), Some("chat,superchat"));
            answer_to(request, &format!("Sec-WebSocket-Protocol: {header}\r\n"))
        });
        assert_eq!(story, REFUSED, "{header:?}");
    }
    let host = Host::new();
    let mut client = script.connect(&host.url());
    let mut peer = host.accept();
    let request = peer.head();
    peer.send(answer_to(&request, "Sec-WebSocket-Protocol: superchat\r\n").as_bytes());
    client.journal.wait_for("open", 1);
    client.finish();
}

/// Runs a client on a stream that is connected already; returns its story and what it has asked, if it has.
fn asked(script: &Script, url: &str) -> (String, Option<Head>) {
    let host = Host::new();
    let stream = std::net::TcpStream::connect(host.address()).unwrap();
    let mut peer = host.accept();
    let url = url.parse().unwrap();
    let mut client = script.run(|mut socket| {
        socket.connect_stream(url, stream)?;
        Ok(socket)
    });
    let head = peer.head_or_end();
    drop(peer);
    client.wait_for_end();
    (client.journal.story(0), head)
}

#[test]
fn k4_host_has_no_user_and_no_default_port() {
    for (url, host) in [
        ("ws://example.com/", "example.com"),
        ("ws://example.com:80/", "example.com"),
        ("ws://example.com:443/", "example.com:443"),
        ("ws://user:secret@example.com:8080/", "example.com:8080"),
        ("ws://[::1]:9/", "[::1]:9"),
    ] {
        let (_, head) = asked(&Script::new(), url);
        let head = head.unwrap();
        assert_eq!(head.header("Host"), Some(host));
        assert!(!format!("{:?}", head.header("Host")).contains("secret"));
        assert_eq!(head.line, "GET / HTTP/1.1");
        assert_eq!(head.header("Authorization").is_some(), url.contains('@'));
    }
}

#[test]
fn k4_line_breaks_and_spaces_in_a_url_are_encoded_in_the_target() {
    let (_, head) = asked(&Script::new(), "ws://example.com/a b\r\nX: y/%0d%0aX:%20y?q=\" z\u{fc}#frag");
    let head = head.unwrap();
    assert_eq!(head.line.split(' ').count(), 3, "{head:?}");
    assert_eq!(head.header("X"), None);
    assert!(!head.line.contains("frag"));
}

#[test]
fn k4_line_breaks_in_headers_are_rejected() {
    let builds: [fn(&mut Request); 4] = [
        |request| request.headers_mut().push(("X".to_owned(), b"a\r\nY: z".to_vec())),
        |request| request.headers_mut().push(("X: a\r\nY".to_owned(), b"z".to_vec())),
        |request| request.add_protocol("chat\r\nY: z"),
        |request| request.add_extension("x\r\nY: z"),
    ];
    for build in builds {
        let script = Script::new().on_build(move |url| -> Result<Request> {
            let mut request = Request::from_url(url)?;
            assert!(request.set_header("X", "a\r\nb").is_err());
            build(&mut request);
            Ok(request)
        });
        let (story, head) = asked(&script, "ws://example.com/");
        assert_eq!((story.as_str(), head.is_none()), ("made, build /, error Protocol, lost", true));
    }
}

#[test]
fn h10_a_client_receives_frames_sent_with_the_response() {
    let host = Host::new();
    let mut client = Script::new().connect(&host.url());
    let mut peer = host.accept();
    let request = peer.head();
    let frames = [frame(TEXT, b"one"), frame(TEXT, b"two"), frame(CLOSE, &close_payload(1001, "bye"))];
    peer.send(&[answer_to(&request, "").as_bytes(), &frames.concat()].concat());
    let (first, _, payload) = peer.masked_frame();
    assert_eq!((first, payload), (CLOSE, close_payload(1001, "")));
    // §7.1.1: the server ends TCP first.
    assert!(!peer.receives_within(Duration::from_millis(50)));
    peer.end_writing();
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    client.wait_for_end();
    let story = "made, build /chat, response 101, open, message one, message two, close 1001 bye, lost";
    assert_eq!(client.journal.story(0), story);
}
