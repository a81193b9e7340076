//! Lists that a program reads at run time, set on the `WebSocket`; and settings that make no sense.

use std::net::{IpAddr, TcpListener};
use std::thread;
use std::time::Duration;

use sockeye::{Builder, Error, ErrorKind, Handler, Handshake, Origins, Result, Sender, Settings, WebSocket};

use sockeye_test_support::join;
use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;

/// Reports the address of its client.
struct Reporter(Sender);

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.0.send(shake.remote_addr()?.unwrap_or_default())
    }
}

type Configured = WebSocket<fn(Sender) -> Reporter>;

fn serve(configure: impl FnOnce(Configured) -> Result<Configured> + Send + 'static) -> Server {
    Server::spawn(|| configure(WebSocket::new(Reporter as fn(Sender) -> Reporter)?)?.bind("127.0.0.1:0"))
}

/// Sends the request of an opening handshake with these headers, and returns the head of the response.
fn request(server: &Server, headers: &str) -> (Peer, String) {
    let mut peer = Peer::connect(server.addr);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    peer.send(head.as_str());
    let head = peer.head().text;
    (peer, head)
}

#[test]
fn a_server_selects_from_an_owned_list_of_subprotocols() {
    let list: Vec<String> = "v3 v2".split(' ').map(String::from).collect();
    let server = serve(move |socket| socket.with_subprotocols(list));
    let (_peer, head) = request(&server, "Sec-WebSocket-Protocol: v1, v2, v3\r\n");
    assert!(head.contains("Sec-WebSocket-Protocol: v3"), "{head}");
    drop(_peer);
    server.stop();
}

#[test]
fn a_client_offers_an_owned_list_of_subprotocols() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    let runner = thread::spawn(move || {
        let mut socket = WebSocket::new(|_| |_| Ok(())).unwrap().with_subprotocols(["v3", "v2"]).unwrap();
        socket.connect(url).unwrap();
        socket.run().map(drop)
    });
    let mut server = Peer::accept(&listener);
    let head = server.head().text;
    assert!(head.contains("Sec-WebSocket-Protocol: v3,v2"), "{head}");
    drop(server);
    join(runner).unwrap().unwrap();
}

#[test]
fn a_server_accepts_an_owned_list_of_origins() {
    let list = vec![String::from("https://example.com"), String::from("null")];
    let server = serve(move |socket| socket.with_origins(list));
    for (origin, status) in [("https://example.org", 403), ("null", 101), ("https://EXAMPLE.com:443", 101)] {
        let (_peer, head) = request(&server, &format!("Origin: {origin}\r\n"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    server.stop();
}

#[test]
fn a_server_trusts_an_owned_list_of_proxies() {
    for (proxies, expected) in
        [(vec!["127.0.0.1"], "203.0.113.7"), (vec!["192.0.2.1"], "127.0.0.1"), (vec![], "127.0.0.1")]
    {
        let list: Vec<IpAddr> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        let server = serve(move |socket| Ok(socket.with_trusted_proxies(list)));
        let (mut peer, _) = request(&server, "X-Forwarded-For: 203.0.113.7\r\n");
        assert_eq!(peer.message(), expected);
        drop(peer);
        server.stop();
    }
}

#[track_caller]
fn check_refused(result: Result<WebSocket<impl sockeye::Factory>>, text: &str) {
    match result {
        Err(Error { kind: ErrorKind::Internal, details }) => assert_eq!(details, text),
        Err(err) => panic!("{err:?}"),
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn the_error_of_every_invalid_setting_contains_its_name() {
    type Change = fn(&mut Settings);
    let changes: [(Change, &str); 21] = [
        (|it| it.max_connections = 0, "max_connections must not be zero"),
        (|it| it.queue_size = 0, "queue_size must not be zero"),
        (|it| it.fragments_capacity = 0, "fragments_capacity must not be zero"),
        (|it| it.fragment_size = 0, "fragment_size must not be zero"),
        (|it| it.max_fragment_size = 0, "max_fragment_size must not be zero"),
        (|it| it.max_message_size = 0, "max_message_size must not be zero"),
        (|it| it.max_head_size = 0, "max_head_size must not be zero"),
        (|it| it.max_target_size = 0, "max_target_size must not be zero"),
        (|it| it.max_headers = 0, "max_headers must not be zero"),
        (|it| it.max_buffered = 0, "max_buffered must not be zero"),
        (|it| it.connect_timeout = Duration::ZERO, "connect_timeout must not be zero"),
        (|it| it.handshake_timeout = Duration::ZERO, "handshake_timeout must not be zero"),
        (|it| it.close_timeout = Duration::ZERO, "close_timeout must not be zero"),
        (|it| it.idle_timeout = Some(Duration::ZERO), "idle_timeout must not be zero"),
        (|it| it.ping_interval = Some(Duration::ZERO), "ping_interval must not be zero"),
        (
            |it| (it.in_buffer_grow, it.in_buffer_capacity) = (false, 0),
            "in_buffer_capacity must not be zero if the buffer must not grow",
        ),
        (
            |it| (it.out_buffer_grow, it.out_buffer_capacity) = (false, 0),
            "out_buffer_capacity must not be zero if the buffer must not grow",
        ),
        (
            |it| it.subprotocols = &["v1", "v 2"],
            r#"subprotocols contains "v 2", which is not a token, or not for the first time"#,
        ),
        (
            |it| it.subprotocols = &["v1", "v1"],
            r#"subprotocols contains "v1", which is not a token, or not for the first time"#,
        ),
        (
            |it| it.origins = Origins::Only(&["null", "example.com"]),
            r#"origins contains "example.com", which is not an origin in the form of https://example.com"#,
        ),
        (
            |it| it.origins = Origins::Only(&["https://example.com/"]),
            r#"origins contains "https://example.com/", which is not an origin in the form of https://example.com"#,
        ),
    ];
    for (change, text) in changes {
        let mut settings = Settings::default();
        change(&mut settings);
        check_refused(Builder::new().with_settings(settings).build(Reporter), &format!("Settings::{text}"));
    }
    let all = Settings { max_connections: usize::MAX, ..Settings::default() };
    check_refused(
        Builder::new().with_settings(all).build(Reporter),
        "Settings::max_connections must fit into 32 bits",
    );
}

#[test]
fn an_invalid_owned_list_is_rejected() {
    let socket = || WebSocket::new(Reporter).unwrap();
    check_refused(
        socket().with_subprotocols(["v1", ""]),
        r#"Settings::subprotocols contains "", which is not a token, or not for the first time"#,
    );
    check_refused(
        socket().with_origins(["example.com"]),
        r#"Settings::origins contains "example.com", which is not an origin in the form of https://example.com"#,
    );
}
