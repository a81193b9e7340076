//! Clients that connect again, on real sockets. Their waits are tested in `src/reactor/tests/reconnecting.rs` and
//! `src/connecting/reconnect/tests.rs`, with a clock that only the test moves.

use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::{
    CloseCode, Closed, Error, Handler, Handshake, Lost, Message, Reconnect, Result, Sender, connect_with,
};
use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::TEXT;
use sockeye_test_support::host::{Host, Reserved};
use sockeye_test_support::peer::Peer;

/// Short waits, so that the test does not take long.
const SOON: Reconnect = Reconnect {
    first_wait: Duration::from_millis(5),
    longest_wait: Duration::from_millis(20),
    stable_after: Duration::from_secs(10),
    max_attempts: None,
};

struct Client {
    out: Sender,
    calls: mpsc::Sender<String>,
}

impl Client {
    fn note(&self, call: impl Into<String>) {
        let _ = self.calls.send(call.into());
    }
}

impl Handler for Client {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.note("open");
        self.out.send("subscribe")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.note(format!("message {msg}"));
        Ok(())
    }

    fn on_lost(&mut self, lost: &mut Lost) {
        self.note(match (lost.closed(), lost.status(), lost.wait()) {
            (Some(closed), _, Some(_)) => format!("lost {}", u16::from(closed.code)),
            (None, Some(status), Some(_)) => format!("rejected {status}"),
            (None, None, Some(_)) => "failed".to_owned(),
            (_, _, None) => "gives up".to_owned(),
        });
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.note(format!("close {}", u16::from(code)));
    }

    fn on_error(&mut self, _: Error) {}
}

/// A client on its own thread, and the calls of its handler.
struct Running {
    thread: JoinHandle<Result<Closed>>,
    calls: Receiver<String>,
}

impl Running {
    fn new(url: String, reconnect: Reconnect) -> Self {
        let (calls, received) = mpsc::channel();
        let thread =
            thread::spawn(move || connect_with(url, reconnect, |out| Client { out, calls: calls.clone() }));
        Self { thread, calls: received }
    }

    /// Waits for a call. Attempts that fail before it are ignored.
    fn wait_for(&self, expected: &str) {
        loop {
            let call = self.calls.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{expected} is missing"));
            if call == expected {
                return;
            }
            assert_eq!(call, "failed", "instead of {expected}");
        }
    }

    fn end(self) -> Result<Closed> {
        self.thread.join().unwrap()
    }
}

fn greet(peer: &mut Peer, text: &str) {
    assert_eq!(peer.message(), "subscribe");
    peer.send(&sockeye_test_support::bytes::frame(TEXT, text.as_bytes()));
}

#[test]
fn a_client_outlives_its_servers() {
    // Nothing listens at first.
    let reserved = Reserved::new();
    let client = Running::new(format!("ws://{}/", reserved.address()), SOON);
    client.wait_for("failed");
    let host = reserved.listen();
    let mut peer = host.open();
    greet(&mut peer, "first");
    client.wait_for("open");
    client.wait_for("message first");
    // The server is killed, and does not come back for a while.
    drop(host);
    peer.reset();
    client.wait_for("lost 1006");
    client.wait_for("failed");
    let host = reserved.listen();
    let mut peer = host.open();
    greet(&mut peer, "second");
    client.wait_for("open");
    client.wait_for("message second");
    drop(peer);
    client.wait_for("lost 1006");
    // The next one is overloaded, and the one after that demands a password.
    let mut peer = host.accept();
    peer.head();
    peer.send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
    drop(peer);
    client.wait_for("rejected 503");
    let mut peer = host.accept();
    peer.head();
    peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    drop(peer);
    client.wait_for("gives up");
    client.wait_for("close 1006");
    let err = client.end().unwrap_err();
    assert!(err.to_string().contains("401"), "{err}");
}

#[test]
fn connect_with_returns_how_the_connection_has_ended() {
    let host = Host::new();
    let client = Running::new(host.url(), Reconnect::never());
    let mut peer = host.open();
    peer.message();
    peer.send(&sockeye_test_support::bytes::frame(0x88, &[&1001_u16.to_be_bytes()[..], b"bye"].concat()));
    peer.expect_close(1001);
    drop(peer);
    let closed = client.end().unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.was_clean), (CloseCode::Away, "bye", true));
    let client = Running::new("ws://127.0.0.1:1/".to_owned(), Reconnect::never());
    assert!(client.end().unwrap_err().to_string().contains("127.0.0.1:1"));
    assert!(connect_with("no URL", SOON, |_| |_| Ok(())).is_err());
}
