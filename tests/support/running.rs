//! A loop on a thread of its own, which ends with the test.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::{Builder, Result, Sender, WebSocket};

use super::LIMIT;
use super::journal::Journal;
use super::peer::Peer;
use super::script::{Recorders, Script};
use super::system::{self, Task};

/// A loop on a thread of its own.
///
/// When it goes out of scope it is shut down, has to end within [`LIMIT`], and must have kept its books: see
/// [`Journal::assert_balanced`].
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) journal: Journal,
    /// Speaks to all connections.
    pub(crate) out: Sender,
    address: Option<SocketAddr>,
    task: Task,
    end: Receiver<Result<()>>,
    has_ended: bool,
}

impl Script {
    /// Serves on a port that the system chooses.
    pub(crate) fn serve(&self) -> Running {
        self.run(|socket| socket.bind("127.0.0.1:0"))
    }

    /// Runs a client.
    pub(crate) fn connect(&self, url: &str) -> Running {
        let url = url.parse().unwrap();
        self.run(|mut socket| {
            socket.connect(url)?;
            Ok(socket)
        })
    }

    /// Runs what `prepare` makes of a loop with this script.
    pub(crate) fn run(
        &self,
        prepare: impl FnOnce(WebSocket<Recorders>) -> Result<WebSocket<Recorders>>,
    ) -> Running {
        let journal = Journal::default();
        let socket = Builder::new().with_settings(self.settings).build(self.factory(&journal)).unwrap();
        let socket = prepare(socket).unwrap();
        let (out, address) = (socket.broadcaster(), socket.local_addr().ok());
        let (ended, end) = channel();
        let (started, start) = channel();
        thread::spawn(move || {
            let _ = started.send(Task::current());
            let _ = ended.send(socket.run().map(drop));
        });
        let task = start.recv_timeout(LIMIT).unwrap();
        Running { journal, out, address, task, end, has_ended: false }
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("the loop listens")
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address())
    }

    /// Connects, and says nothing.
    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Connects, and opens a WebSocket.
    pub(crate) fn open(&self) -> Peer {
        let mut peer = self.peer();
        peer.upgrade();
        peer
    }

    /// Waits until the loop ends by itself.
    pub(crate) fn wait_for_end(&mut self) {
        self.has_ended = true;
        self.end.recv_timeout(LIMIT).expect("the loop does not end").expect("the loop has failed");
        self.journal.assert_balanced();
    }

    /// Shuts the loop down, and waits for its end.
    pub(crate) fn finish(&mut self) {
        // One that has nothing left to do has ended already.
        let _ = self.out.shutdown();
        self.wait_for_end();
    }

    /// Asserts that the loop does nothing for a while, although it could: no call, and no time of the processor.
    pub(crate) fn assert_idle(&self) {
        let span = Duration::from_millis(250);
        let before = self.task.time();
        match self.end.recv_timeout(span) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("the loop has ended: {other:?}"),
        }
        // A loop that spins takes a fifth of a processor even where four threads share it.
        let spent = self.task.time().saturating_sub(before);
        assert!(spent < Duration::from_millis(25), "the loop took {spent:?} of {span:?}");
    }

    /// The time that the loop's thread has spent on a processor; zero where the system does not tell.
    pub(crate) fn time_spent(&self) -> Duration {
        self.task.time()
    }

    /// Waits until the loop holds no more than so many sockets of its clients.
    pub(crate) fn wait_for_sockets(&self, count: usize) {
        let end = Instant::now() + LIMIT;
        while system::sockets_at(self.address()) > count {
            assert!(Instant::now() < end, "{} sockets are held", system::sockets_at(self.address()));
            // The system does not tell when; the loop, meanwhile, is not to end.
            let pause = self.end.recv_timeout(Duration::from_millis(2));
            assert!(matches!(pause, Err(RecvTimeoutError::Timeout)), "the loop has ended");
        }
    }

    /// Asserts that the loop still serves.
    pub(crate) fn assert_serves(&self) {
        let mut peer = self.open();
        peer.send(&super::bytes::masked(super::bytes::PING, b"there?"));
        assert_eq!(peer.frame(), (super::bytes::PONG, b"there?".to_vec()));
        peer.close(1000);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended && !thread::panicking() {
            self.finish();
        }
    }
}
