//! K5, K7, K8: where our client goes, and what it does when it gets nowhere.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use sockeye::{CloseCode, ErrorKind, Factory};

use sockeye_test_support::bytes::{CLOSE, TEXT, frame, masked};
use sockeye_test_support::host::{Host, answer_to};
use sockeye_test_support::journal::{Hook, Journal};
use sockeye_test_support::script::Script;
use sockeye_test_support::{LIMIT, system};

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// Answers the client's next attempt with a redirect; returns what it has asked for.
fn send_elsewhere(host: &Host, location: &str) -> String {
    let mut peer = host.accept();
    let head = peer.head();
    peer.send(redirect(location).as_bytes());
    assert!(peer.rest().0.is_empty());
    head.line
}

#[test]
fn k5_redirects_are_not_followed_by_default() {
    let host = Host::new();
    let mut client = Script::new().connect(&host.url());
    send_elsewhere(&host, "/next");
    client.wait_for_end();
    assert_eq!(client.journal.story(0), "made, build /chat, rejected 302, error Protocol, lost");
}

#[test]
fn k5_redirects_within_the_origin_are_followed_up_to_the_limit() {
    let host = Host::new();
    let script = Script::new().settings(|it| it.max_redirects = 2);
    let absolute = format!("ws://{}/third?x", host.address());

    let mut client = script.connect(&host.url());
    assert_eq!(send_elsewhere(&host, "second"), "GET /chat HTTP/1.1");
    assert_eq!(send_elsewhere(&host, &absolute), "GET /second HTTP/1.1");
    let mut peer = host.accept();
    let request = peer.head();
    assert_eq!(request.line, "GET /third?x HTTP/1.1");
    peer.send(answer_to(&request, "").as_bytes());
    client.journal.wait_for("open", 1);
    client.finish();
    assert!(
        client
            .journal
            .story(0)
            .starts_with("made, build /chat, build /second, build /third, response 101, open")
    );

    let mut client = script.connect(&host.url());
    for _ in 0..3 {
        send_elsewhere(&host, "/again");
    }
    client.wait_for_end();
    let story = "made, build /chat, build /again, build /again, rejected 302, error Protocol, lost";
    assert_eq!(client.journal.story(0), story);
}

#[test]
fn k5_redirects_to_another_origin_are_never_followed() {
    let (host, other) = (Host::new(), Host::new());
    let script = Script::new().settings(|it| it.max_redirects = 5);
    let port = host.address().port();
    let locations = [
        other.url(),
        format!("ws://localhost:{port}/"),
        format!("ws://127.0.0.2:{port}/"),
        format!("ws://user@127.0.0.2:{port}/"),
        format!("wss://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("//127.0.0.1.evil.example:{port}/"),
        "ws+unix:///run/socket".to_owned(),
        "ws://127.0.0.1:99999/".to_owned(),
        "ws://".to_owned(),
    ];
    for location in locations {
        let mut client = script.connect(&host.url());
        send_elsewhere(&host, &location);
        client.wait_for_end();
        let story = "made, build /chat, rejected 302, error Protocol, lost";
        assert_eq!(client.journal.story(0), story, "{location}");
    }
    assert_eq!(system::sockets_to(other.address()), 0);
}

#[test]
fn k5_messages_sent_before_and_between_redirects_are_delivered() {
    let host = Host::new();
    let script = Script::new().settings(|it| it.max_redirects = 2).on(|out, hook| match hook {
        Hook::Made => out.send("first"),
        Hook::Build(path) => out.send(path.as_str()),
        _ => Ok(()),
    });
    let mut client = script.connect(&host.url());
    send_elsewhere(&host, "/next");
    let mut peer = host.open();
    for expected in ["first", "/chat", "/next"] {
        let (first, _, payload) = peer.masked_frame();
        assert_eq!((first, String::from_utf8(payload).unwrap()), (TEXT, expected.to_owned()));
    }
    drop(peer);
    client.wait_for_end();
}

#[test]
fn k7_an_unresolvable_name_ends_its_connection_attempt() {
    let limit = Duration::from_millis(500);
    let server = Script::echo().settings(|it| it.connect_timeout = limit).serve();
    let mut peer = server.open();
    let count = 20;
    for number in 0..count {
        server.out.connect(format!("ws://name{number}.invalid/").parse().unwrap()).unwrap();
    }
    for _ in 0..10 {
        peer.send(&masked(TEXT, b"hello"));
        assert_eq!(peer.frame(), (TEXT, b"hello".to_vec()));
    }
    // However slow the resolver is, every attempt ends in time.
    server.journal.wait_for("error Io", count);
    server.journal.wait_for("lost", count);
    for id in 1..=20 {
        assert_eq!(server.journal.story(id), "made, build /, error Io, lost");
    }
    peer.close(1000);
}

#[test]
fn k7_every_address_of_a_name_is_tried() {
    let is_reachable = |address: &SocketAddr| {
        ("localhost", 0).to_socket_addrs().is_ok_and(|mut found| found.any(|it| it == *address))
    };
    for address in ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap()) {
        // Not every system knows `localhost` under both addresses.
        if !is_reachable(&address) {
            continue;
        }
        let Ok(listener) = TcpListener::bind(address) else { continue };
        let port = listener.local_addr().unwrap().port();
        let server = Script::new().run(|socket| socket.bind_listener(listener));
        let mut client = Script::new()
            .on(|out, hook| if matches!(hook, Hook::Open(_)) { out.close(CloseCode::Normal) } else { Ok(()) })
            .connect(&format!("ws://localhost:{port}/"));
        client.wait_for_end();
        assert_eq!(client.journal.story(0), "made, build /, response 101, open, close 1000, lost");
        server.journal.wait_for("lost", 1);
    }
}

/// A port without a listener. No other socket can listen there as long as this one exists.
fn closed_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn k8_a_refused_connection_is_one_error_and_the_loop_stays_idle() {
    let (_socket, address) = closed_port();
    let mut client = Script::new().connect(&format!("ws://{address}/"));
    client.wait_for_end();
    assert_eq!(client.journal.story(0), "made, build /, error Io, lost");

    let server = Script::new().serve();
    server.out.connect(format!("ws://{address}/").parse().unwrap()).unwrap();
    server.journal.wait_for("lost", 1);
    assert_eq!(server.journal.story(0), "made, build /, error Io, lost");
    assert_eq!(system::sockets_to(address), 0);
    server.assert_idle();
}

#[test]
fn k8_connect_returns_the_error_of_a_failed_connection() {
    let connect = |url: &str| {
        let journal = Journal::default();
        let mut recorders = Script::new().factory(&journal);
        let result = sockeye::connect(url, |out| recorders.connection_made(out));
        (result.map_err(|err| err.kind), journal.story(0))
    };
    let (_socket, address) = closed_port();
    let (result, story) = connect(&format!("ws://{address}/"));
    assert!(
        matches!(&result, Err(ErrorKind::Io(err)) if err.kind() == std::io::ErrorKind::ConnectionRefused)
    );
    assert_eq!(story, "made, build /, error Io");

    // Without TLS nothing is connected; with it, the connection is refused.
    let encrypted = if cfg!(any(feature = "rustls", feature = "ssl")) { "Io" } else { "Protocol" };
    for (url, story) in [
        ("wss://127.0.0.1:1/", format!("made, build /, error {encrypted}").as_str()),
        ("ftp://127.0.0.1/", "made, build /, error Protocol"),
        ("ws+unix:///nobody/is/there:/", "made, build /nobody/is/there:/, error Io"),
    ] {
        let (result, received) = connect(url);
        assert!(result.is_err() && received == story, "{url}: {result:?}, {received}");
    }
    let (result, story) = connect("no URL");
    assert!(matches!(result, Err(ErrorKind::Internal)) && story.is_empty());
}

#[test]
fn k8_connect_returns_ok_after_a_connection_and_an_error_after_a_rejection() {
    let (opens, refuses) = (
        Script::new().serve(),
        Script::new().on_request(|_| Ok(sockeye::Response::new(403, "No", Vec::new()))).serve(),
    );
    let connect = |url: &str| {
        let mut factory = Script::new()
            .on(|out, hook| if matches!(hook, Hook::Open(_)) { out.close(CloseCode::Normal) } else { Ok(()) })
            .factory(&Journal::default());
        sockeye::connect(url, |out| factory.connection_made(out))
    };
    assert!(connect(&opens.url()).is_ok());
    let refused = connect(&refuses.url()).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Protocol) && refused.details.contains("403"), "{refused:?}");
}

#[test]
fn k8_connect_returns_ok_after_a_lost_connection() {
    let host = Host::new();
    let url = host.url();
    let thread = std::thread::spawn(move || sockeye::connect(url, |_| |_| Ok(())));
    let mut peer = host.open();
    peer.send(&frame(TEXT, b"hello"));
    peer.reset();
    let end = Instant::now() + LIMIT;
    while !thread.is_finished() {
        assert!(Instant::now() < end, "connect does not return");
        std::thread::yield_now();
    }
    assert!(thread.join().unwrap().is_ok());
}

#[test]
fn k8_a_client_can_reconnect_in_on_close() {
    for ending in ["drop", "reset", "close"] {
        let host = Host::new();
        let url: url::Url = host.url().parse().unwrap();
        let mut client = Script::new()
            .on(move |out, hook| match hook {
                Hook::Close(..) if out.connection_id() == 0 => out.connect(url.clone()),
                _ => Ok(()),
            })
            .connect(&host.url());
        let mut first = host.open();
        client.journal.wait_for("open", 1);
        match ending {
            "drop" => drop(first),
            "reset" => first.reset(),
            _ => {
                first.send(&frame(CLOSE, b""));
                first.masked_frame();
            }
        }
        let second = host.open();
        client.journal.wait_for("open", 2);
        drop(second);
        client.wait_for_end();
        assert_eq!(client.journal.count("made"), 2);
    }
}
