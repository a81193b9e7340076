//! What the programs share: a watchdog, and what the tests of this package share under the names that the programs use.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};

use sockeye_test_support::LIMIT;
pub(crate) use sockeye_test_support::peer::{Peer, unmasked};
pub(crate) use sockeye_test_support::server::Server;
use ws::{Factory, Settings, WebSocket};

/// Runs `body` on its own thread, and fails the test if it has not ended after [`LIMIT`].
pub(crate) fn guarded(body: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let thread = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match finished.recv_timeout(LIMIT) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("still running after {LIMIT:?}"),
        Err(RecvTimeoutError::Disconnected) => join(thread),
    }
}

/// Waits for a thread. A panic of the thread goes on here.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A `WebSocket` that listens on a free port of the loopback interface, ready to run.
pub(crate) fn bound<F: Factory>(settings: Settings, factory: F) -> WebSocket<F> {
    sockeye_test_support::server::bound(settings, factory).unwrap()
}

/// A request for an upgrade with the key of RFC 6455 §1.3.
pub(crate) fn upgrade_request(addr: SocketAddr, method: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
