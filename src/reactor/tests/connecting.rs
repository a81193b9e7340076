//! Clients of the loop: several addresses, proxies, and redirects to other origins.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use url::Url;

use super::{accept, listening, run_until_idle};
use crate::connecting::addresses::ATTEMPT_DELAY;
use crate::protocol::handshake::Request;
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::queue::{Command, ConnectMode, NewConnection};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{Handshake, Message, Proxy, Result};

/// The loop rounds each deadline up to the next millisecond.
const TICK: Duration = Duration::from_millis(1);

type Log = Rc<RefCell<Vec<String>>>;

/// Records what happens to a client, and asks for credentials with every request.
struct Client(Log);

impl Handler for Client {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        self.0.borrow_mut().push(format!("build {url}"));
        let mut request = Request::from_url(url)?;
        request.set_header("Cookie", "session=1")?;
        Ok(request)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.borrow_mut().push("open".to_owned());
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.0.borrow_mut().push(message.to_string());
        Ok(())
    }

    fn on_error(&mut self, err: crate::Error) {
        self.0.borrow_mut().push(err.to_string());
    }
}

/// Creates a loop with one client, which connects to a URL.
fn connecting<'f>(
    system: &Fake,
    log: &'f Log,
    url: &str,
    settings: Settings,
    proxy: Option<&str>,
) -> (Reactor<impl Factory + use<'f>, Fake>, impl Sized + use<'f>) {
    let factory = |_: Sender| Client(Rc::clone(log));
    let (mut reactor, entered) = listening(factory, settings, system);
    reactor.state.proxy = proxy.map(|proxy| Proxy::new(proxy).unwrap());
    let connect = NewConnection::Connect(url.parse().unwrap(), ConnectMode::Once);
    reactor.execute(Command::NewConnection(Box::new(connect.into())), None);
    (reactor, entered)
}

fn addresses() -> [SocketAddr; 3] {
    ["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"].map(|address| address.parse().unwrap())
}

fn received(server: &Wire) -> String {
    String::from_utf8(server.take_received()).unwrap()
}

#[test]
fn s5_the_next_address_is_tried_while_the_first_is_silent() {
    let (system, log) = (Fake::new(), Log::default());
    system.set_addresses(&addresses());
    let servers = [(); 3].map(|()| system.add_server());
    servers.iter().for_each(Wire::hold_connecting);
    let start = system.time();
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", Settings::default(), None);
    run_until_idle(&mut reactor);
    assert_eq!(system.take_connected(), &addresses()[..1]);
    reactor.turn().unwrap();
    let waited = system.time() - start;
    assert!((ATTEMPT_DELAY..=ATTEMPT_DELAY + TICK).contains(&waited), "{waited:?}");
    reactor.turn().unwrap();
    assert_eq!(system.take_connected(), &addresses()[1..2]);
    assert_eq!(system.open_sockets(), 2);
    // The first one that is connected is used, and the other one is closed.
    servers[1].finish_connecting(Ok(()));
    run_until_idle(&mut reactor);
    assert_eq!(system.open_sockets(), 1);
    assert!(received(&servers[1]).starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(servers[0].take_received(), b"");
    servers[0].finish_connecting(Ok(()));
    run_until_idle(&mut reactor);
    assert_eq!((servers[0].take_received(), system.take_connected()), (Vec::new(), Vec::new()));
}

#[test]
fn s5_the_next_address_is_tried_at_once_after_a_failure() {
    let (system, log) = (Fake::new(), Log::default());
    system.set_addresses(&addresses());
    let servers = [(); 3].map(|()| system.add_server());
    servers.iter().for_each(Wire::hold_connecting);
    let start = system.time();
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", Settings::default(), None);
    run_until_idle(&mut reactor);
    for server in &servers {
        server.finish_connecting(Err(std::io::ErrorKind::ConnectionRefused));
        run_until_idle(&mut reactor);
    }
    assert_eq!(system.take_connected(), addresses());
    assert_eq!(system.time(), start, "nothing has waited");
    let expected = ["build ws://host.example/", "cannot connect to ws://host.example/: connection refused"];
    assert_eq!(*log.borrow(), expected);
    assert_eq!(system.open_sockets(), 0);
}

#[test]
fn k7_an_unresponsive_address_uses_one_timeout() {
    let (system, log) = (Fake::new(), Log::default());
    system.set_addresses(&addresses()[..2]);
    let servers = [(); 2].map(|()| system.add_server());
    servers[0].hold_connecting();
    let settings = Settings { connect_timeout: ATTEMPT_DELAY / 2, ..Settings::default() };
    let start = system.time();
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", settings, None);
    let mut request = String::new();
    while request.is_empty() {
        reactor.turn().unwrap();
        request = received(&servers[1]);
    }
    let waited = system.time() - start;
    assert!((ATTEMPT_DELAY / 2..=ATTEMPT_DELAY / 2 + TICK).contains(&waited), "{waited:?}");
    assert!(request.starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(system.open_sockets(), 1);
}

#[test]
fn s5_each_address_has_its_own_time() {
    let (system, log) = (Fake::new(), Log::default());
    system.set_addresses(&addresses()[..2]);
    let servers = [(); 2].map(|()| system.add_server());
    servers.iter().for_each(Wire::hold_connecting);
    let settings = Settings { connect_timeout: Duration::from_secs(3), ..Settings::default() };
    let start = system.time();
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", settings, None);
    while log.borrow().len() < 2 {
        reactor.turn().unwrap();
    }
    let waited = system.time() - start;
    let expected = Duration::from_secs(3) + ATTEMPT_DELAY;
    assert!((expected..=expected + 3 * TICK).contains(&waited), "{waited:?}");
    assert_eq!(log.borrow()[1], "cannot connect to ws://host.example/: timed out");
    run_until_idle(&mut reactor);
    assert_eq!(system.open_sockets(), 0);
}

/// Connects through a proxy that sends these replies, of which the loop reads so many bytes at once. Returns what happens to the
/// client after its request has been built, and what the proxy receives.
fn through_proxy(url: &str, replies: &[&[u8]], most: usize) -> (Vec<String>, String) {
    let (system, log) = (Fake::new(), Log::default());
    let server = system.add_server();
    server.set_most(most, most);
    let scheme = if replies[0][0] == 5 { "socks5" } else { "http" };
    let proxy = format!("{scheme}://user:secret@proxy.example:3128");
    let (mut reactor, _entered) = connecting(&system, &log, url, Settings::default(), Some(&proxy));
    run_until_idle(&mut reactor);
    let mut sent = String::new();
    for reply in replies {
        sent += &String::from_utf8_lossy(&server.take_received());
        server.send(reply);
        run_until_idle(&mut reactor);
    }
    if !log.borrow().iter().any(|line| line.contains("proxy")) {
        accept(&mut reactor, &server);
        server.send(b"\x81\x05hello");
        run_until_idle(&mut reactor);
    }
    assert_eq!(system.take_connected().len(), 1);
    let log = log.borrow().iter().skip(1).cloned().collect();
    (log, sent)
}

#[test]
fn s9_3_6_a_client_connects_through_an_http_proxy() {
    let head = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n";
    for most in [1, 7, usize::MAX] {
        let (log, sent) = through_proxy("ws://host.example/chat", &[head], most);
        assert_eq!(log, ["open", "hello"], "{most}");
        let expected = "CONNECT host.example:80 HTTP/1.1\r\nHost: host.example:80\r\n\
                        Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n";
        assert_eq!(sent, expected);
    }
}

#[test]
fn rfc1928_a_client_connects_through_a_socks_proxy() {
    let replies: [&[u8]; 3] = [&[5, 2], &[1, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]];
    for most in [1, 7, usize::MAX] {
        let (log, sent) = through_proxy("ws://host.example/chat", &replies, most);
        assert_eq!(log, ["open", "hello"], "{most}");
        assert_eq!(sent, "\u{5}\u{2}\0\u{2}\u{1}\u{4}user\u{6}secret\u{5}\u{1}\0\u{3}\u{c}host.example\0P");
    }
}

#[test]
fn a_refusal_of_a_proxy_is_reported() {
    let large = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 20_000]].concat();
    for (reply, expected) in [
        (
            &b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"[..],
            "it requires other credentials (status 407)",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "it answered with status 403"),
        (b"\x00garbage", "its response is invalid: the HTTP head is malformed"),
        (&large, "its response is invalid: the HTTP head is too large"),
        (&[5, 255], "it requires another authentication"),
        (&[5, 0, 5, 5], "the server refused the connection (SOCKS reply 5)"),
    ] {
        let (log, _) = through_proxy("ws://host.example/", &[reply], usize::MAX);
        assert_eq!(log, [format!("cannot connect through the proxy proxy.example:3128: {expected}")]);
    }
}

#[test]
fn a_proxy_that_ends_or_is_silent_ends_the_attempt() {
    for is_silent in [false, true] {
        let (system, log) = (Fake::new(), Log::default());
        let server = system.add_server();
        let start = system.time();
        let proxy = Some("http://192.0.2.1:3128");
        let (mut reactor, _entered) =
            connecting(&system, &log, "ws://host.example/", Settings::default(), proxy);
        run_until_idle(&mut reactor);
        server.send(b"HTTP/1.1 200 OK\r\n");
        run_until_idle(&mut reactor);
        if !is_silent {
            server.end();
        }
        while log.borrow().len() < 2 {
            reactor.turn().unwrap();
        }
        let (waited, limit) = (system.time() - start, Settings::default().connect_timeout);
        if is_silent {
            assert!((limit..=limit + TICK).contains(&waited), "{waited:?}");
            assert_eq!(log.borrow()[1], "cannot connect to the proxy 192.0.2.1:3128: timed out");
        } else {
            assert_eq!(waited, Duration::ZERO);
            let expected = "cannot connect through the proxy 192.0.2.1:3128: it closed the connection";
            assert_eq!(log.borrow()[1], expected);
        }
        run_until_idle(&mut reactor);
        assert_eq!(system.open_sockets(), 0);
    }
}

#[test]
fn the_name_of_the_server_is_resolved_by_the_proxy_alone() {
    let (system, log) = (Fake::new(), Log::default());
    system.hold_lookups();
    let server = system.add_server();
    let proxy = Some("socks5://proxy.example");
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.invalid/", Settings::default(), proxy);
    run_until_idle(&mut reactor);
    assert_eq!((system.held_lookups(), system.finish_lookup()), (1, "proxy.example".to_owned()));
    run_until_idle(&mut reactor);
    assert_eq!(server.take_received(), [5, 1, 0]);
    assert_eq!(system.take_connected(), [SocketAddr::from(([127, 0, 0, 1], 1080))]);
}

#[test]
fn what_follows_the_response_of_a_proxy_belongs_to_the_server() {
    let (system, log) = (Fake::new(), Log::default());
    let server = system.add_server();
    let proxy = Some("http://192.0.2.1:3128");
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", Settings::default(), proxy);
    run_until_idle(&mut reactor);
    server.send(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n");
    run_until_idle(&mut reactor);
    let log = log.borrow();
    assert!(!log[1].contains("proxy") && log[1].contains("503"), "{log:?}");
}

#[test]
fn k5_credentials_do_not_follow_a_redirect_to_another_origin() {
    let (system, log) = (Fake::new(), Log::default());
    let servers = [(); 2].map(|()| system.add_server());
    let settings = Settings { max_redirects: 3, cross_origin_redirects: true, ..Settings::default() };
    let url = "ws://user:secret@a.example/";
    let (mut reactor, _entered) = connecting(&system, &log, url, settings, None);
    run_until_idle(&mut reactor);
    let first = received(&servers[0]);
    assert!(first.contains("Authorization: Basic ") && first.contains("Cookie: session=1"), "{first}");
    servers[0].send(b"HTTP/1.1 307 Moved\r\nLocation: http://b.example:81/next\r\nContent-Length: 0\r\n\r\n");
    run_until_idle(&mut reactor);
    let second = received(&servers[1]);
    assert!(
        second.starts_with("GET /next HTTP/1.1\r\n") && second.contains("Host: b.example:81"),
        "{second}"
    );
    assert!(!second.contains("Authorization") && !second.contains("Cookie"), "{second}");
    assert_eq!(*log.borrow(), [format!("build {url}"), "build ws://b.example:81/next".to_owned()]);
}

#[test]
fn the_credentials_of_a_url_are_not_sent_if_that_is_disabled() {
    for url_credentials in [true, false] {
        let (system, log) = (Fake::new(), Log::default());
        let server = system.add_server();
        let settings = Settings { url_credentials, ..Settings::default() };
        let url = "ws://user:secret@a.example/";
        let (mut reactor, _entered) = connecting(&system, &log, url, settings, None);
        run_until_idle(&mut reactor);
        assert_eq!(received(&server).contains("Authorization: Basic dXNlcjpzZWNyZXQ="), url_credentials);
        assert_eq!(log.borrow()[0].contains("secret"), url_credentials);
    }
}

#[test]
fn a_proxy_may_answer_before_it_is_asked() {
    let (system, log) = (Fake::new(), Log::default());
    let server = system.add_server();
    let proxy = Some("socks5://192.0.2.1");
    let (mut reactor, _entered) = connecting(&system, &log, "ws://host.example/", Settings::default(), proxy);
    server.send(&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    run_until_idle(&mut reactor);
    let expected = b"\x05\x01\0\x05\x01\0\x03\x0chost.example\0\x50GET / HTTP/1.1\r\n";
    let sent = server.take_received();
    assert!(sent.starts_with(expected), "{sent:?}");
}
