//! S6, and H18: handshakes that come in pieces, as nonsense, or not at all.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::Settings;

use crate::loops::{HandlerCall, Server, echo, is_handshake_error, polite, visit};
use sockeye_test_support::authority::{Authority, Identity, Wish};
use sockeye_test_support::tls::{Steady, TlsPeer, anyone, client_of_anyone, read_to_end, server_of, tcp};

fn identity() -> Identity {
    Authority::root("root").issue(&Wish::default())
}

/// The time that every handshake has here.
const SHORT: Duration = Duration::from_millis(600);

/// A server with two slots and a short timeout.
fn serve() -> Server {
    serve_with(SHORT)
}

fn serve_with(handshake_timeout: Duration) -> Server {
    let settings = Settings { max_connections: 2, handshake_timeout, ..Settings::default() };
    Server::start(echo(), settings, |socket| socket.with_server_tls(server_of(&identity())))
}

fn assert_serves(server: &Server) {
    let mut client = TlsPeer::connect_tls(server.address, &anyone());
    client.send_text("hello");
    assert_eq!(client.message(), "hello");
    client.finish_tls();
    drop(client);
    server.wait_for(&HandlerCall::Lost);
}

/// Writes in pieces.
#[derive(Debug)]
struct Pieces {
    stream: Steady,
    cut: Cut,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    /// A segment of TCP for each byte.
    Segments,
    /// A record of TLS for each byte of the first message.
    Records,
    None,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::mem::replace(&mut self.cut, Cut::None) {
            Cut::Segments => {
                for byte in bytes {
                    self.stream.write_all(&[*byte])?;
                    thread::yield_now();
                }
            }
            Cut::Records => {
                for byte in &bytes[5..] {
                    self.stream.write_all(&[bytes[0], bytes[1], bytes[2], 0, 1, *byte])?;
                }
            }
            Cut::None => self.stream.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn s6_a_client_hello_in_pieces_is_accepted() {
    let server =
        Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(server_of(&identity())));
    for cut in [Cut::Segments, Cut::Records] {
        let stream = Pieces { stream: tcp(server.address), cut };
        let stream = anyone().connect("localhost", stream).expect("the handshake succeeds");
        drop(stream);
    }
    assert_serves(&server);
}

#[test]
fn s6_invalid_tls_is_reported_once_and_frees_its_slot() {
    let server = serve();
    let nonsense: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        &[0xff; 5000],
    ];
    for bytes in nonsense.iter().cycle().take(30) {
        let mut stream = tcp(server.address);
        stream.write_all(bytes).unwrap();
        let answer = read_to_end(&mut stream);
        assert!(answer.len() < 100, "{answer:?}");
        let received = server.next();
        assert!(
            matches!(received, HandlerCall::Error(kind, _) if is_handshake_error(kind)),
            "{bytes:?}: {received:?}"
        );
        assert_eq!(server.next(), HandlerCall::Lost);
    }
    server.assert_idle();
    assert_serves(&server);
}

#[test]
fn s6_a_client_that_disconnects_during_the_handshake_is_not_an_error() {
    let server = serve();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = tcp(server.address);
        stream.write_all(bytes).unwrap();
        drop(stream);
        assert_eq!(server.next(), HandlerCall::Lost);
    }
    server.assert_idle();
    assert_serves(&server);
}

#[test]
fn s6_a_silent_client_times_out_while_other_clients_are_served() {
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let patient = serve_with(sockeye_test_support::NEVER);
        let mut silent = tcp(patient.address);
        silent.write_all(bytes).unwrap();
        assert_serves(&patient);

        let server = serve();
        let began = Instant::now();
        let mut silent = tcp(server.address);
        silent.write_all(bytes).unwrap();
        assert_eq!(read_to_end(&mut silent), b"");
        assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
        assert_eq!(server.next(), HandlerCall::Lost);
        server.assert_idle();
    }
}

#[test]
fn s6_one_timeout_covers_both_handshakes() {
    let server = serve();
    let began = Instant::now();
    let mut stream = anyone().connect("localhost", tcp(server.address)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
}

#[test]
fn s6_a_server_without_tls_rejects_a_client_hello() {
    let server = Server::start(echo(), Settings::default(), |socket| socket);
    for _ in 0..5 {
        assert!(anyone().connect("localhost", tcp(server.address)).is_err());
    }
    let received =
        visit(&format!("wss://127.0.0.1:{}", server.address.port()), polite(), Some(client_of_anyone()));
    assert!(matches!(received[0], HandlerCall::Error(kind, _) if is_handshake_error(kind)), "{received:?}");
    assert_eq!(received[1..], [HandlerCall::Lost]);
    server.assert_idle();
}

/// The calls of a client whose server does this.
fn visit_a_server_that(serves: impl FnOnce(TcpStream) + Send + 'static) -> Vec<HandlerCall> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || serves(listener.accept().unwrap().0));
    let (mut socket, received) =
        crate::loops::build(polite(), Settings { handshake_timeout: SHORT, ..Settings::default() });
    socket = socket.with_client_tls(client_of_anyone());
    socket.connect(url.parse().unwrap()).unwrap();
    drop(socket.run().unwrap());
    serving.join().unwrap();
    received.iter().collect()
}

#[test]
fn s6_a_server_without_tls_is_one_error() {
    let received = visit_a_server_that(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        read_to_end(&mut stream);
    });
    assert!(
        matches!(received[..], [HandlerCall::Error(kind, _), HandlerCall::Lost] if is_handshake_error(kind)),
        "{received:?}"
    );
}

#[test]
fn s6_a_server_that_disconnects_is_one_error() {
    let received = visit_a_server_that(drop);
    assert!(
        matches!(received[..], [HandlerCall::Error(kind, _), HandlerCall::Lost] if kind == "Io" || is_handshake_error(kind)),
        "{received:?}"
    );
    let received = visit_a_server_that(|mut stream| {
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(
        matches!(received[..], [HandlerCall::Error(kind, _), HandlerCall::Lost] if kind == "Io" || is_handshake_error(kind)),
        "{received:?}"
    );
}

#[test]
fn s6_the_tls_handshake_of_a_client_times_out() {
    let received = visit_a_server_that(|mut stream| drop(read_to_end(&mut stream)));
    assert!(matches!(received[..], [HandlerCall::Error("Protocol", _), HandlerCall::Lost]), "{received:?}");
}

#[test]
fn s6_a_shutdown_does_not_wait_for_handshakes() {
    let server = serve_with(sockeye_test_support::NEVER);
    let _silent = tcp(server.address);
    let mut open = TlsPeer::connect_tls(server.address, &anyone());
    open.finish_tls();
    drop(open);
    // It waits for the end of the loop.
    drop(server);
}
