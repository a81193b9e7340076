//! Shared code of the tests: peers that exchange bytes, event loops that record the calls of their handlers, and the
//! resources of both as the system reports them.
//!
//! | module | contents |
//! |---|---|
//! | [`bytes`] | heads and frames as bytes, encoded and decoded according to the RFC without the code under test |
//! | [`peer`] | the other end of a connection over any stream, as a client or as a server |
//! | [`host`] | a listener for which the test writes the responses |
//! | [`tls`], [`authority`] | the same over TLS, and certificates for it |
//! | [`generate`] | random input for the protocol core, well-formed or not |
//! | [`pipe`] | a stream in memory, and functions that poll futures without a runtime |
//! | [`pair`] | two protocol cores that are connected in memory, with a clock that only the test advances |
//! | [`server`] | an event loop on a separate thread |
//! | [`script`], [`journal`], [`running`] | a loop whose handlers follow a script and record their calls in a journal |
//! | [`probes`] | a loop whose handlers send their calls through a channel |
//! | [`nuisance`] | threads that keep a loop busy |
//! | [`counting`] | handlers that count their calls |
//! | [`misbehavior`] | clients that break the rules at random |
//! | [`child`] | a test in a separate process |
//! | [`extension`] | a small extension for `FrameExtension` |
//! | [`unresponsive`] | an address that neither accepts nor refuses connections |
//! | [`system`] | sockets, descriptors, threads, memory and processor time, as Linux reports them |
//!
//! No function uses sleeping for synchronization. Every wait has a condition, and [`LIMIT`] only detects a hang.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::new_without_default,
    missing_docs,
    missing_debug_implementations,
    reason = "only tests use this crate: a panic fails the test, and items that are not obvious are documented; some \
              lints do not apply with every feature"
)]

#[cfg(feature = "ssl")]
pub mod authority;
pub mod bytes;
#[cfg(feature = "reactor")]
pub mod child;
#[cfg(feature = "reactor")]
pub mod counting;
pub mod extension;
pub mod generate;
pub mod host;
#[cfg(feature = "reactor")]
pub mod journal;
pub mod misbehavior;
#[cfg(feature = "reactor")]
pub mod nuisance;
pub mod pair;
pub mod peer;
#[cfg(feature = "futures")]
pub mod pipe;
#[cfg(feature = "reactor")]
pub mod probes;
#[cfg(feature = "reactor")]
pub mod running;
#[cfg(feature = "reactor")]
pub mod script;
#[cfg(feature = "reactor")]
pub mod server;
pub mod system;
#[cfg(feature = "ssl")]
pub mod tls;
#[cfg(target_os = "linux")]
pub mod unresponsive;

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time after which a wait fails the test. Only a hang takes this long, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A timeout that no test reaches: a test that waits for it fails after [`LIMIT`].
pub const NEVER: Duration = Duration::from_secs(3600);

/// The size of the system's buffers of every socket that this crate creates, in bytes. The default sizes differ between
/// systems and grow automatically.
pub const SOCKET_BUFFER: usize = 256 * 1024;

/// Sets the size of the buffers of a listener, of the streams that it accepts later, or of a stream.
pub fn limit_buffers<'s, S>(socket: &'s S)
where
    socket2::SockRef<'s>: From<&'s S>,
{
    let socket = socket2::SockRef::from(socket);
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
}

/// Returns a listener on a port that the system chooses. Its streams have buffers of [`SOCKET_BUFFER`] bytes.
pub fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    limit_buffers(&listener);
    listener
}

/// Asserts that one of ten attempts succeeds.
///
/// This is for operations that must be faster than an event that is never early, such as a timeout. An error makes
/// every attempt fail, but a busy machine only some of them.
#[track_caller]
pub fn assert_once(what: &str, mut attempt: impl FnMut() -> bool) {
    assert!((0..10).any(|_| attempt()), "{what}: ten attempts have failed");
}

/// The longest time between two steps of an attempt.
#[derive(Debug)]
pub struct Pace {
    last: Cell<Instant>,
    longest: Cell<Duration>,
}

impl Pace {
    /// Records the time of a step.
    pub fn step(&self) {
        let now = Instant::now();
        self.longest.set(self.longest.get().max(now - self.last.replace(now)));
    }
}

/// Runs a test whose steps must be less than `span` apart. If the test fails, and one of its steps was late, it is
/// repeated.
pub fn while_on_time(span: Duration, test: impl Fn(&Pace)) {
    loop {
        let pace = Pace { last: Cell::new(Instant::now()), longest: Cell::default() };
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&pace))) else { return };
        pace.step();
        if pace.longest.get() < span {
            resume_unwind(panic);
        }
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "still waiting: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Waits until a thread ends, and joins it.
#[track_caller]
pub fn join<T>(thread: JoinHandle<T>) -> thread::Result<T> {
    wait_until("the end of a thread", || thread.is_finished());
    thread.join()
}

/// Returns two TCP streams that are connected to each other.
pub fn streams() -> (TcpStream, TcpStream) {
    let listener = listener();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    limit_buffers(&near);
    let far = listener.accept().unwrap().0;
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
    }
    (near, far)
}
