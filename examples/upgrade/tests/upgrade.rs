//! Each example serves a page and an echo on one port (S2, S3, S4, S12, S13), keeps what a client sends together with its request
//! (S14), chooses a subprotocol (S6), rejects invalid upgrades (S8), and ends cleanly on Ctrl-C.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use sockeye::blocking::{Builder, Socket, WebSocket};
use sockeye::{CloseCode, Message};

/// A running example. It is killed at the end of the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the program, and waits until it prints its address.
    fn start(program: &str) -> Self {
        let mut process = Command::new(program).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim().split_once("http://").unwrap();
        Self { process, address: address.to_owned() }
    }

    fn connect(&self) -> WebSocket<Socket> {
        let builder = Builder::new().add_subprotocol("other").add_subprotocol("echo");
        builder.connect(&format!("ws://{}/echo", self.address)).unwrap()
    }

    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Sends bytes, and reads until the answer contains the text.
    fn exchange(&self, bytes: &[u8], until: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
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
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const UPGRADE: &str = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn check(program: &str) {
    let server = Server::start(program);
    let page = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "has an echo");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");

    let mut socket = server.connect();
    assert_eq!(socket.protocol(), Some("echo"));
    for message in [Message::text("salmon"), Message::binary(vec![7; 300_000]), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert!(socket.receive().unwrap() == Some(message));
    }
    assert_eq!(socket.close(CloseCode::Normal, "").unwrap().code, CloseCode::Normal);

    // "Hello", masked as in RFC 6455 §5.7, in one segment with the request.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let echoed = server.exchange(&[UPGRADE.as_bytes(), &hello].concat(), "\u{5}Hello");
    assert!(echoed.starts_with("HTTP/1.1 101 "), "{echoed}");
    let head = echoed.to_ascii_lowercase();
    for name in ["upgrade: ", "connection: ", "sec-websocket-accept: "] {
        assert_eq!(head.matches(&format!("\r\n{name}")).count(), 1, "{echoed}");
    }

    let rejected = server.exchange(UPGRADE.replace("Version: 13", "Version: 8").as_bytes(), "\r\n\r\n");
    assert!(rejected.starts_with("HTTP/1.1 426 "), "{rejected}");
    let rejected = server.exchange(UPGRADE.replace("dGhl", "").as_bytes(), "\r\n\r\n");
    assert!(rejected.starts_with("HTTP/1.1 400 "), "{rejected}");
}

/// On Ctrl-C, a connected client sees 1001, and the exit code is 0.
fn check_interrupt(program: &str) {
    let mut server = Server::start(program);
    let mut socket = server.connect();
    socket.send("salmon").unwrap();
    assert!(socket.receive().unwrap().is_some());
    server.interrupt();
    while socket.receive().unwrap().is_some() {}
    assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::Away));
    let status: ExitStatus = server.process.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// `--help` prints the usage. Bad arguments are one line on stderr.
fn check_arguments(program: &str) {
    let help = Command::new(program).arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"Usage: "), "{help:?}");
    let server = Server::start(program);
    for (bad, expected) in
        [("nonsense", "nonsense"), ("--frobnicate", "--frobnicate"), (&server.address, "in use")]
    {
        let output = Command::new(program).arg(bad).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn s3_tiny_http_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-tiny-http"));
}

#[test]
fn tiny_http_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-tiny-http"));
}

#[test]
fn tiny_http_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-tiny-http"));
}

#[test]
fn s2_s4_hyper_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-hyper"));
}

#[test]
fn hyper_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-hyper"));
}

#[test]
fn hyper_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-hyper"));
}

#[test]
fn s2_s4_axum_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-axum"));
}

#[test]
fn axum_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-axum"));
}

#[test]
fn axum_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-axum"));
}

#[test]
fn s2_s4_hyper_async_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-hyper-async"));
}

#[test]
fn hyper_async_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-hyper-async"));
}

#[test]
fn hyper_async_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-hyper-async"));
}

#[test]
fn s2_s4_axum_async_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-axum-async"));
}

#[test]
fn axum_async_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-axum-async"));
}

#[test]
fn axum_async_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-axum-async"));
}

#[test]
fn tower_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-tower"));
}

#[test]
fn tower_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-tower"));
}

#[test]
fn tower_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-tower"));
}

#[test]
fn s3_s12_s13_rouille_serves_pages_and_websockets() {
    check(env!("CARGO_BIN_EXE_upgrade-rouille"));
}

#[test]
fn rouille_ends_on_interrupt() {
    check_interrupt(env!("CARGO_BIN_EXE_upgrade-rouille"));
}

#[test]
fn rouille_checks_its_arguments() {
    check_arguments(env!("CARGO_BIN_EXE_upgrade-rouille"));
}
