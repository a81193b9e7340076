//! Ways to a connection: several listeners, sockets that were made elsewhere, Unix domain sockets.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Sender as Channel, channel};
use std::thread::{self, JoinHandle};

use sockeye::{
    Builder, CloseCode, ErrorKind, Factory, Handler, Handshake, Message, Result, Sender, Settings,
    TrustedProxies, WebSocket,
};

use sockeye::protocol::Role;
use sockeye_test_support::bytes::{UPGRADE, upgrade_and};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::{Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, join, wait_until};

/// A path for a socket that is not used otherwise.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sockeye-{}-{name}.sock", std::process::id()))
}

fn echo(out: Sender) -> impl Handler {
    move |msg: Message| out.send(msg)
}

fn run<F: Factory + Send + 'static>(socket: WebSocket<F>) -> (Sender, JoinHandle<Result<()>>)
where
    F::Handler: Send,
{
    let all = socket.broadcaster();
    (all, thread::spawn(move || socket.run().map(drop)))
}

fn check_echo<S: io::Read + io::Write>(mut peer: Peer<S>) {
    peer.send_text("hello");
    assert_eq!(peer.message(), "hello");
    peer.finish();
}

/// Sends the request of an opening handshake, and returns the status line of the response.
fn ask_on_unix(path: &PathBuf, head: &str) -> (Peer<UnixStream>, String) {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut wire = Peer::over(stream, Role::Client);
    wire.send(head);
    let status = wire.head().text.lines().next().unwrap_or_default().to_owned();
    (wire, status)
}

fn on_unix(path: &PathBuf) -> Peer<UnixStream> {
    let (wire, status) = ask_on_unix(path, UPGRADE);
    assert!(status.starts_with("HTTP/1.1 101 "), "{status}");
    wire
}

/// Sends its client the address of the client.
struct Reporter(Sender);

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.0.send(format!("{:?}", shake.remote_addr()?))
    }
}

fn report_on_unix(path: &PathBuf, settings: Settings) -> WebSocket<fn(Sender) -> Reporter> {
    let socket = Builder::new().with_settings(settings).build(Reporter as fn(Sender) -> Reporter);
    socket.unwrap().bind_unix(path).unwrap()
}

#[test]
fn a_proxy_on_a_unix_domain_socket_is_trusted_if_127_0_0_1_is() {
    let path = socket_path("proxy");
    let check = |socket: WebSocket<fn(Sender) -> Reporter>, headers: &str, expected: &str| {
        let (all, runner) = run(socket);
        let (mut peer, _) = ask_on_unix(&path, &upgrade_and(headers));
        assert_eq!(peer.message(), expected);
        peer.finish();
        all.shutdown().unwrap();
        join(runner).unwrap().unwrap();
    };
    let header = "X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n";
    let client = "Some(\"203.0.113.7\")";
    for (trusted_proxies, expected) in [
        (TrustedProxies::None, "None"),
        (TrustedProxies::Only(&[]), "None"),
        (TrustedProxies::Loopback, client),
        (TrustedProxies::Private, client),
    ] {
        let settings = Settings { trusted_proxies, ..Settings::default() };
        check(report_on_unix(&path, settings), header, expected);
        check(report_on_unix(&path, settings), "", "None");
    }
    for (proxy, expected) in [("127.0.0.1", client), ("192.0.2.1", "None")] {
        let list: [IpAddr; 1] = [proxy.parse().unwrap()];
        check(report_on_unix(&path, Settings::default()).with_trusted_proxies(list), header, expected);
    }
}

#[test]
fn clients_of_a_proxy_on_a_unix_domain_socket_are_limited_by_their_own_addresses() {
    let path = socket_path("limit");
    let settings = Settings {
        trusted_proxies: TrustedProxies::Loopback,
        max_connections_per_address: Some(1),
        ..Settings::default()
    };
    let (all, runner) = run(report_on_unix(&path, settings));
    let open = |client: &str| ask_on_unix(&path, &upgrade_and(&format!("X-Forwarded-For: {client}\r\n")));
    let answers = ["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(open);
    let statuses = [0, 1, 2].map(|at: usize| answers[at].1.as_str());
    assert_eq!(
        statuses,
        [
            "HTTP/1.1 101 Switching Protocols",
            "HTTP/1.1 101 Switching Protocols",
            "HTTP/1.1 503 Service Unavailable"
        ]
    );
    drop(answers);
    all.shutdown().unwrap();
    join(runner).unwrap().unwrap();
}

#[test]
fn one_loop_listens_on_several_addresses() {
    let path = socket_path("several");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let brought = listener.local_addr().unwrap();
    let socket = WebSocket::new(echo).unwrap().bind("127.0.0.1:0").unwrap();
    let first = socket.local_addr().unwrap();
    let socket =
        socket.bind_listener(listener).unwrap().bind("127.0.0.1:0").unwrap().bind_unix(&path).unwrap();
    assert_eq!(socket.local_addr().unwrap(), first);
    let (all, runner) = run(socket);
    check_echo(Peer::open(first));
    check_echo(Peer::open(brought));
    check_echo(on_unix(&path));
    all.shutdown().unwrap();
    join(runner).unwrap().unwrap();
    assert!(!path.exists(), "the path of the socket is removed");
    assert!(TcpStream::connect(first).is_err());
}

#[test]
fn a_loop_without_a_listener_has_no_address() {
    let socket = WebSocket::new(echo).unwrap();
    assert_eq!(socket.local_addr().unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_address_can_be_bound_again_immediately() {
    let mut addr = "127.0.0.1:0".parse().unwrap();
    for _ in 0..3 {
        let socket = WebSocket::new(echo).unwrap().bind(addr).unwrap();
        addr = socket.local_addr().unwrap();
        let (all, runner) = run(socket);
        // The server ends TCP first, so that its side of the address rests for a while.
        check_echo(Peer::open(addr));
        all.shutdown().unwrap();
        join(runner).unwrap().unwrap();
    }
}

#[test]
fn an_address_or_path_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = WebSocket::new(echo).unwrap().bind(taken.local_addr().unwrap()).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Io(_)));
    let path = socket_path("taken");
    let first = WebSocket::new(echo).unwrap().bind_unix(&path).unwrap();
    assert!(matches!(WebSocket::new(echo).unwrap().bind_unix(&path).unwrap_err().kind, ErrorKind::Io(_)));
    assert!(path.exists(), "a rejected client takes nothing away");
    drop(first);
    assert!(!path.exists());
}

#[test]
fn a_loop_serves_streams_accepted_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let peer = Peer::connect(listener.local_addr().unwrap());
        (peer, listener.accept().unwrap().0)
    };
    let open = |mut peer: Peer| {
        peer.send(UPGRADE);
        assert!(peer.head().text.starts_with("HTTP/1.1 101 "));
        peer
    };
    // One before the loop runs, which keeps it running, and one after.
    let (first, stream) = connect();
    let mut socket = WebSocket::new(echo).unwrap();
    socket.accept_stream(stream).unwrap();
    let (all, runner) = run(socket);
    let first = open(first);
    let (second, stream) = connect();
    all.accept(stream).unwrap();
    check_echo(open(second));
    check_echo(first);
    // With the last connection ends a loop that does not listen.
    join(runner).unwrap().unwrap();
}

#[test]
fn a_client_can_use_a_stream_connected_elsewhere() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let stream = TcpStream::connect(server.addr).unwrap();
    let mut socket = WebSocket::new(|out: Sender| {
        out.send("hello").unwrap();
        out.close(CloseCode::Normal).unwrap();
        |_| Ok(())
    })
    .unwrap();
    // The name is never looked up.
    socket.connect_stream("ws://nobody.invalid/resource".parse().unwrap(), stream).unwrap();
    socket.run().unwrap();
    assert_eq!(calls.message(), "hello");
    assert_eq!(calls.close(), CloseCode::Normal);
    server.stop();
}

/// Sends its address.
struct Placed {
    out: Sender,
    tx: Channel<(String, bool)>,
}

impl Handler for Placed {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let has_address = shake.peer_addr.is_some() || shake.local_addr.is_some();
        self.tx.send((shake.request.resource().to_owned(), has_address)).ok();
        self.out.send("welcome")
    }
}

#[test]
fn a_client_connects_to_a_unix_domain_socket() {
    let path = socket_path("client");
    let (tx, rx) = channel();
    let server_path = path.clone();
    let (give, given) = channel();
    let server = thread::spawn(move || {
        sockeye::listen_unix(server_path, move |out: Sender| {
            give.send(out.clone()).ok();
            Placed { out, tx: tx.clone() }
        })
    });
    wait_until("the socket", || path.exists());
    sockeye::connect(format!("ws+unix://{}:/chat?room=1", path.display()), |out: Sender| {
        move |msg: Message| {
            assert_eq!(msg.as_text()?, "welcome");
            out.close(CloseCode::Normal)
        }
    })
    .unwrap();
    assert_eq!(rx.recv_timeout(LIMIT).unwrap(), ("/chat?room=1".to_owned(), false));
    given.recv_timeout(LIMIT).unwrap().shutdown().unwrap();
    join(server).unwrap().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_missing_unix_domain_socket_is_an_error() {
    let url = format!("ws+unix://{}:/", socket_path("missing").display());
    let refused = sockeye::connect(url, |_| |_| Ok(())).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Io(err) if err.kind() == io::ErrorKind::NotFound));
}

#[test]
fn a_large_message_is_sent_over_a_unix_domain_socket() {
    const LEN: usize = 4 << 20;
    let path = socket_path("much");
    let (probes, _ear) =
        Probes::new(|hook, out| if hook == Hook::Message { out.send(vec![7; LEN]) } else { Ok(()) });
    let (all, runner) = run(WebSocket::new(probes).unwrap().bind_unix(&path).unwrap());
    let mut peer = on_unix(&path);
    peer.send_text("more");
    let mut len = 0;
    while len < LEN {
        len += peer.next_frame().unwrap().payload().len();
    }
    peer.finish();
    all.shutdown().unwrap();
    join(runner).unwrap().unwrap();
}

#[test]
fn a_loop_can_connect_to_itself() {
    let server = Server::start(Settings::default(), |out: Sender| {
        move |msg: Message| {
            if msg.len() < 5 { out.send(format!("{msg}+")) } else { out.close(CloseCode::Normal) }
        }
    });
    server.all.connect(server.url().parse().unwrap()).unwrap();
    wait_until("it is open", || server.all.broadcast("+").is_ok());
    server.stop();
}
