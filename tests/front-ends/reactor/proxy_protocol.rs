//! The PROXY protocol: which peers must send a header, and what handlers see of it.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use sockeye::{Builder, Handler, Handshake, Message, Result, Sender, Settings, TrustedProxies};

use sockeye_test_support::bytes::{UPGRADE, upgrade_and};
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;
use sockeye_test_support::server::Server;
use sockeye_test_support::{NEVER, listener};

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

/// Returns a header of version 2. `rest` follows the length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len, rest].concat()
}

/// Version 2 with 192.0.2.1:56324, connected to 198.51.100.1:443.
fn v2_of_ipv4() -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb])
}

/// Sends the addresses of its connection, and echoes.
struct Reporter(Sender);

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let (peer, local) = (shake.peer_addr.unwrap(), shake.local_addr.unwrap());
        let remote = shake.remote_addr()?.unwrap_or_default();
        self.0.send(format!("{peer} {remote} {local}"))
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.0.send(message)
    }
}

fn reporting(settings: Settings) -> Server {
    Server::start(settings, Reporter)
}

fn loopback() -> Settings {
    Settings { proxy_protocol: TrustedProxies::Loopback, ..Settings::default() }
}

fn recording(change: impl FnOnce(&mut Settings)) -> Running {
    Script::echo().settings(|it| it.proxy_protocol = TrustedProxies::Loopback).settings(change).serve()
}

/// Connects, and sends a header and the request of an opening handshake.
fn request(server: &Server, header: &[u8]) -> Peer {
    let mut peer = Peer::connect(server.addr);
    peer.send(&[header, UPGRADE.as_bytes()].concat());
    peer
}

/// Asserts that a header gives the connection this address. `None` means that of the socket.
#[track_caller]
fn check(server: &Server, header: &[u8], address: Option<&str>) {
    let mut peer = request(server, header);
    let socket = peer.stream.local_addr().unwrap();
    let address = address.map_or(socket, |address| address.parse().unwrap());
    peer.opened();
    assert_eq!(peer.message(), format!("{address} {} {}", address.ip(), server.addr));
    peer.send_text("hello");
    assert_eq!(peer.message(), "hello");
    peer.finish();
}

#[test]
fn the_header_contains_the_address_of_the_client() {
    let server = reporting(loopback());
    check(&server, V1, Some("192.0.2.1:56324"));
    check(&server, b"PROXY TCP6 2001:db8::1 2001:db8::2 7 443\r\n", Some("[2001:db8::1]:7"));
    check(&server, &v2_of_ipv4(), Some("192.0.2.1:56324"));
    let client = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let ipv6 = [&client[..], &[0; 16], &[0, 7, 1, 0xbb]].concat();
    check(&server, &v2(0x21, 0x21, &ipv6), Some("[2001:db8::1]:7"));
    // Fields behind the addresses, which are ignored: a host name, and a wrong checksum.
    let fields = [&ipv6[..], b"\x02\0\x0bexample.com\x03\0\x04\0\0\0\0"].concat();
    check(&server, &v2(0x21, 0x21, &fields), Some("[2001:db8::1]:7"));
    server.stop();
}

#[test]
fn a_header_without_an_address_keeps_that_of_the_proxy() {
    let server = reporting(loopback());
    check(&server, b"PROXY UNKNOWN\r\n", None);
    check(&server, &v2(0x20, 0x00, b""), None);
    check(&server, &v2(0x20, 0x11, &[1; 12]), None);
    server.stop();
}

#[test]
fn a_listener_on_all_addresses_reports_the_same_addresses() {
    let socket = Builder::new().with_settings(loopback()).build(Reporter).unwrap().bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let all = socket.broadcaster();
    let runner = std::thread::spawn(move || socket.run().map(drop));
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, port).into());
    peer.send(&[V1, UPGRADE.as_bytes()].concat());
    peer.opened();
    assert_eq!(peer.message(), format!("192.0.2.1:56324 192.0.2.1 127.0.0.1:{port}"));
    peer.finish();
    all.shutdown().unwrap();
    sockeye_test_support::join(runner).unwrap().unwrap();
}

#[test]
fn a_header_may_arrive_in_single_bytes() {
    let server = reporting(loopback());
    for header in [V1, &v2_of_ipv4()] {
        let mut peer = Peer::connect(server.addr);
        for byte in [header, UPGRADE.as_bytes()].concat() {
            peer.send(&[byte]);
        }
        peer.opened();
        assert!(peer.message().starts_with("192.0.2.1:56324 "));
        peer.finish();
    }
    server.stop();
}

#[test]
fn a_peer_without_a_valid_header_is_refused() {
    let server = recording(|_| {});
    let invalid = [
        UPGRADE.as_bytes(),
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"\x16\x03\x01",
        &v2(0x31, 0x11, &[1; 12]),
        &v2(0x21, 0x11, &[1; 11]),
        &v2(0x21, 0x12, &[1; 12]),
    ];
    for header in invalid {
        let mut peer = server.peer();
        peer.try_send(header);
        // Input that was not read causes a reset.
        assert_eq!(peer.rest().0, b"");
    }
    let mut cut = server.peer();
    cut.send(&V1[..20]);
    cut.end_writing();
    assert_eq!(cut.rest(), (Vec::new(), End::Fin));
    server.wait_for_sockets(0);
    // No handler was created.
    assert_eq!(server.journal.story(0), "");
    let mut peer = server.peer();
    peer.send(&[V1, UPGRADE.as_bytes()].concat());
    peer.opened();
    assert_eq!(server.journal.story(0), "made, request GET /chat, open");
}

#[test]
fn a_header_over_the_limit_is_refused() {
    let server = reporting(loopback());
    let line = |len: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(len - 16)).into_bytes();
    check(&server, &line(107), None);
    check(&server, &v2(0x20, 0, &[0; 4096 - 16]), None);
    for header in [line(108), v2(0x20, 0, &[0; 4096 - 15])] {
        let mut peer = request(&server, &header);
        assert_eq!(peer.rest().0, b"");
    }
    server.stop();
}

#[test]
fn a_header_of_another_peer_is_a_bad_request() {
    const OTHERS: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];
    for proxy_protocol in [TrustedProxies::None, TrustedProxies::Only(OTHERS)] {
        // The setting for HTTP headers does not matter.
        let trusted_proxies = TrustedProxies::All;
        let settings = Settings { proxy_protocol, trusted_proxies, ..Settings::default() };
        let server = reporting(settings);
        for header in [V1, &v2_of_ipv4()] {
            let mut peer = request(&server, header);
            assert_eq!(peer.answer().status(), 400);
        }
        check(&server, b"", None);
        server.stop();
    }
}

#[test]
fn an_owned_list_replaces_the_setting() {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for (list, header, status) in [(vec![localhost], V1, 101), (vec![], b"", 101), (vec![], V1, 400)] {
        let server = Server::spawn(move || {
            let socket = Builder::new().with_settings(loopback()).build(Reporter)?;
            socket.with_proxy_protocol(list).bind_listener(listener())
        });
        let mut peer = request(&server, header);
        assert_eq!(peer.head().status(), status);
        drop(peer);
        server.stop();
    }
}

#[test]
fn http_headers_of_the_client_behind_the_proxy_are_not_believed() {
    let server = reporting(Settings { trusted_proxies: TrustedProxies::Loopback, ..loopback() });
    let head = upgrade_and("X-Forwarded-For: 203.0.113.7\r\n");
    for (header, remote) in [(V1, "192.0.2.1"), (b"PROXY UNKNOWN\r\n", "203.0.113.7")] {
        let mut peer = Peer::connect(server.addr);
        peer.send(&[header, head.as_bytes()].concat());
        peer.opened();
        let message = peer.message();
        assert_eq!(message.split(' ').nth(1), Some(remote), "{message}");
        peer.finish();
    }
    server.stop();
}

#[test]
fn clients_are_counted_by_the_addresses_in_their_headers() {
    let server = recording(|it| it.max_connections_per_address = Some(1));
    let open = |header: &str| {
        let mut peer = server.peer();
        peer.send(&[header.as_bytes(), UPGRADE.as_bytes()].concat());
        peer
    };
    let header = |client: &str| format!("PROXY TCP4 {client} 198.51.100.1 1 443\r\n");
    // Connections whose headers are incomplete do not count for the address of the proxy.
    let _waiting: Vec<Peer> = (0..5).map(|_| server.peer()).collect();
    let (mut first, mut second) = (open(&header("192.0.2.1")), open(&header("192.0.2.2")));
    first.opened();
    second.opened();
    assert_eq!(open(&header("192.0.2.1")).answer().status(), 503);
    let mut check = open("PROXY UNKNOWN\r\n");
    check.opened();
    first.finish();
    server.journal.wait_for("lost", 1);
    open(&header("192.0.2.1")).opened();
}

#[test]
fn a_header_that_is_late_ends_the_connection() {
    let server = recording(|it| it.handshake_timeout = Duration::from_millis(300));
    let (mut silent, mut slow, mut slower) = (server.peer(), server.peer(), server.peer());
    slow.send(&V1[..20]);
    slower.send(V1);
    assert_eq!((silent.rest(), slow.rest()), ((Vec::new(), End::Fin), (Vec::new(), End::Fin)));
    // The rest of the opening handshake has the same limit.
    assert_eq!(slower.rest(), (Vec::new(), End::Fin));
    server.wait_for_sockets(0);
    server.assert_idle();
}

#[test]
fn a_shutdown_does_not_wait_for_headers() {
    let mut server = recording(|it| it.handshake_timeout = NEVER);
    let mut peer = server.peer();
    peer.send(&V1[..20]);
    let mut open = server.peer();
    open.send(&[V1, UPGRADE.as_bytes()].concat());
    open.opened();
    open.finish();
    server.finish();
    assert_eq!(peer.rest().0, b"");
}

#[test]
fn a_stream_that_was_accepted_elsewhere_needs_a_header_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let peer = Peer::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        (peer, listener.accept().unwrap().0)
    };
    let (mut peer, stream) = connect();
    let mut socket = Builder::new().with_settings(loopback()).build(Reporter).unwrap();
    socket.accept_stream(stream).unwrap();
    let all = socket.broadcaster();
    let runner = std::thread::spawn(move || socket.run().map(drop));
    let (mut refused, stream) = connect();
    all.accept(stream).unwrap();
    refused.try_send(UPGRADE.as_bytes());
    assert_eq!(refused.rest().0, b"");
    // The first connection keeps the loop running.
    peer.send(&[V1, UPGRADE.as_bytes()].concat());
    peer.opened();
    assert!(peer.message().starts_with("192.0.2.1:56324 "));
    peer.finish();
    sockeye_test_support::join(runner).unwrap().unwrap();
}
