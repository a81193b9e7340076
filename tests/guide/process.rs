//! Runs a program of the guide, and ends it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sockeye_test_support::LIMIT;
use sockeye_test_support::peer::{Head, Peer};

/// Returns an address for one program.
///
/// A port that is free now can be taken before the program listens: by the program of another test, to which this test would
/// then connect. On Linux, each process of the tests therefore has an IP address of its own, and counts its ports.
fn free_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(10_000);
    if !cfg!(target_os = "linux") {
        return TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    }
    let [_, high, middle, low] = process::id().to_be_bytes();
    (Ipv4Addr::new(127, 64 | high, middle, low), PORT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A running program. It is killed when the value is dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts a server, and waits until it accepts connections.
    pub(crate) fn start(name: &str) -> Self {
        // Another process can take the port before the program uses it.
        let started = (0..3).find_map(|_| Self::try_start(name));
        started.unwrap_or_else(|| panic!("{name} ends instead of listening"))
    }

    /// Starts a client of a server at this address.
    pub(crate) fn start_client(name: &str, address: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guide-programs"));
        let child = command.args([name, &address.to_string()]).stdin(Stdio::null()).spawn().unwrap();
        Self { child, address }
    }

    fn try_start(name: &str) -> Option<Self> {
        let address = free_address();
        let mut program = Self::start_client(name, address);
        let start = Instant::now();
        while program.child.try_wait().unwrap().is_none() {
            match TcpStream::connect(address) {
                Ok(_) => return Some(program),
                Err(err) => assert_eq!(err.kind(), io::ErrorKind::ConnectionRefused, "{err}"),
            }
            assert!(start.elapsed() < LIMIT, "{name} does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Sends a request for a path with these headers, each of which ends with a line break, and returns the head of the response.
    pub(crate) fn request(&self, path: &str, headers: &str) -> (Peer, Head) {
        let mut peer = Peer::connect(self.address);
        let request = sockeye_test_support::bytes::upgrade_and(headers).replacen("/chat", path, 1);
        peer.send(&*request);
        let head = peer.head();
        (peer, head)
    }

    /// Opens a connection.
    pub(crate) fn open(&self, path: &str) -> Peer {
        let (peer, head) = self.request(path, "");
        assert_eq!(head.status(), 101, "{head:?}");
        peer
    }

    /// Requests a page, and returns its status and its body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let mut peer = Peer::connect(self.address);
        peer.send(&*format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = peer.answer();
        (answer.status(), String::from_utf8(answer.body).unwrap())
    }

    /// Sends `SIGTERM`, as a service manager does.
    #[cfg(all(feature = "signals", unix))]
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // This fails if the program has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
