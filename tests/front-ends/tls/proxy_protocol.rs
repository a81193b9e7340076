//! A PROXY header before the ClientHello.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use openssl::ssl::{SslAcceptor, SslStream};
use sockeye::protocol::Role;
use sockeye::util::TcpStream;
use sockeye::{Builder, Handler, Handshake, Result, Sender, Settings, TrustedProxies};

use sockeye_test_support::authority::{Authority, Identity, Wish};
use sockeye_test_support::listener;
use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;
use sockeye_test_support::tls::{Steady, acceptor, anyone, read_to_end, server_of, tcp};

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

/// The same as version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb";

/// Sends the address of its client. The acceptor is for programs that encrypt as those for `ws` do.
struct Reporter(Sender, Option<SslAcceptor>);

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let version = shake.tls_version().unwrap_or("no TLS");
        self.0.send(format!("{} {version}", shake.peer_addr.unwrap()))
    }

    fn upgrade_ssl_server(&mut self, stream: TcpStream) -> Result<SslStream<TcpStream>> {
        self.1.as_ref().unwrap().accept(stream).map_err(From::from)
    }
}

fn identity() -> Identity {
    Authority::root("root").issue(&Wish::default())
}

fn settings() -> Settings {
    Settings { proxy_protocol: TrustedProxies::Loopback, ..Settings::default() }
}

/// How a proxy forwards what its client sends first.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// The header and the beginning of the ClientHello are one segment of TCP.
    None,
    /// Every byte is a segment.
    Bytes,
}

/// A stream that sends a header before its first bytes.
#[derive(Debug)]
struct Proxied {
    stream: Steady,
    header: &'static [u8],
    cut: Cut,
}

impl Read for Proxied {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Proxied {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let first = [std::mem::take(&mut self.header), bytes].concat();
        match std::mem::replace(&mut self.cut, Cut::None) {
            Cut::None => self.stream.write_all(&first)?,
            Cut::Bytes => first.iter().try_for_each(|byte| self.stream.write_all(&[*byte]))?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check(address: SocketAddr) {
    for (header, cut) in [(V1, Cut::None), (V1, Cut::Bytes), (V2, Cut::None), (V2, Cut::Bytes)] {
        let stream = Proxied { stream: tcp(address), header, cut };
        let stream = anyone().connect("localhost", stream).expect("the handshake succeeds");
        let mut peer = Peer::over(stream, Role::Client);
        peer.upgrade();
        assert_eq!(peer.message(), "192.0.2.1:56324 TLSv1.3", "{cut:?}");
    }
}

#[test]
fn a_header_precedes_the_tls_handshake() {
    let server = Server::spawn(|| {
        let socket = Builder::new().with_settings(settings()).build(|out| Reporter(out, None))?;
        socket.with_server_tls(server_of(&identity())).bind_listener(listener())
    });
    check(server.addr);
    // A ClientHello without a header.
    let mut stream = tcp(server.addr);
    stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03").unwrap();
    assert_eq!(read_to_end(&mut stream), b"");
    server.stop();
}

#[test]
fn a_header_precedes_the_handshake_of_a_hook() {
    let acceptor = acceptor(&identity());
    let server = Server::start(Settings { encrypt_server: true, ..settings() }, move |out| {
        Reporter(out, Some(acceptor.clone()))
    });
    check(server.addr);
    server.stop();
}
