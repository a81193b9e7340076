//! Each of the examples serves a page and an echo, on one port (S2, S3, S4, S12, S13), keeps what a client sends along with its
//! request (S14), chooses a subprotocol (S6), and refuses what is no upgrade (S8).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use sockeye::blocking::Builder;
use sockeye::{CloseCode, Message};

/// An example that runs; it ends with the test.
struct Server(Child, String);

impl Server {
    fn start(program: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(program).arg(&address).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < end, "{program} does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Self(child, address)
    }

    /// What comes back for these bytes, until it contains something.
    fn ask(&self, bytes: &[u8], until: &str) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes).unwrap();
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&read).contains(until) {
            let len = stream.read(&mut buffer).unwrap();
            assert!(len > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..len]);
        }
        String::from_utf8_lossy(&read).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const UPGRADE: &str = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn talk(program: &str) {
    let server = Server::start(program);
    let page = server.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "an echo");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");

    let mut socket = Builder::new()
        .add_subprotocol("other")
        .add_subprotocol("echo")
        .connect(&format!("ws://{}/echo", server.1))
        .unwrap();
    assert_eq!(socket.protocol(), Some("echo"));
    for message in [Message::text("salmon"), Message::binary(vec![7; 300_000]), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == Some(message));
    }
    assert_eq!(socket.close(CloseCode::Normal, "").unwrap().code, CloseCode::Normal);

    // "Hello" of a client, masked as in RFC 6455 §5.7, in one piece with the request.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let echoed = server.ask(&[UPGRADE.as_bytes(), &hello].concat(), "\u{5}Hello");
    assert!(echoed.starts_with("HTTP/1.1 101 "), "{echoed}");
    let head = echoed.to_ascii_lowercase();
    for name in ["upgrade: ", "connection: ", "sec-websocket-accept: "] {
        assert_eq!(head.matches(&format!("\r\n{name}")).count(), 1, "{echoed}");
    }

    let refused = server.ask(UPGRADE.replace("Version: 13", "Version: 8").as_bytes(), "\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 426 "), "{refused}");
    let refused = server.ask(UPGRADE.replace("dGhl", "").as_bytes(), "\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}

#[test]
fn s3_tiny_http() {
    talk(env!("CARGO_BIN_EXE_upgrade-tiny-http"));
}

#[test]
fn s2_s4_hyper() {
    talk(env!("CARGO_BIN_EXE_upgrade-hyper"));
}

#[test]
fn s2_s4_axum() {
    talk(env!("CARGO_BIN_EXE_upgrade-axum"));
}

#[test]
fn s2_s4_hyper_async() {
    talk(env!("CARGO_BIN_EXE_upgrade-hyper-async"));
}

#[test]
fn s2_s4_axum_async() {
    talk(env!("CARGO_BIN_EXE_upgrade-axum-async"));
}

#[test]
fn s3_s12_s13_rouille() {
    talk(env!("CARGO_BIN_EXE_upgrade-rouille"));
}
