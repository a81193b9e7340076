//! A loop whose handlers follow a script and record their calls. The calls are checked when the loop ends.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use sockeye::{Builder, Result, Sender, WebSocket};

use crate::bytes::{PING, PONG, masked};
use crate::journal::Journal;
use crate::peer::Peer;
use crate::script::{Recorders, Script};
use crate::server::Server;
use crate::{listener, system, wait_until};

/// A loop with a script, on a separate thread.
///
/// Dropping this value shuts the loop down. The loop must end, and the calls of every connection must be complete: see
/// [`Journal::assert_balanced`].
#[derive(Debug)]
pub struct Running {
    pub journal: Journal,
    /// Sends to all connections.
    pub out: Sender,
    addr: SocketAddr,
    server: Option<Server>,
}

impl Script {
    /// Starts a server on a port that the system chooses.
    pub fn serve(&self) -> Running {
        self.run(|socket| socket.bind_listener(listener()))
    }

    /// Starts a client.
    pub fn connect(&self, url: &str) -> Running {
        let url = url.parse().unwrap();
        self.run(move |mut socket| {
            socket.connect(url)?;
            Ok(socket)
        })
    }

    /// Starts the loop that `prepare` returns.
    pub fn run(
        &self,
        prepare: impl FnOnce(WebSocket<Recorders>) -> Result<WebSocket<Recorders>> + Send + 'static,
    ) -> Running {
        let journal = Journal::default();
        let (settings, factory) = (self.settings, self.factory(&journal));
        let server = Server::spawn(move || prepare(Builder::new().with_settings(settings).build(factory)?));
        Running { journal, out: server.all.clone(), addr: server.addr, server: Some(server) }
    }
}

impl Running {
    fn server(&self) -> &Server {
        self.server.as_ref().expect("the loop is running")
    }

    pub fn address(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Connects, and sends nothing.
    pub fn peer(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Connects, and completes the opening handshake.
    pub fn open(&self) -> Peer {
        Peer::open(self.address())
    }

    /// Waits until the loop ends, without shutting it down, and checks the calls.
    pub fn wait_for_end(&mut self) {
        self.server.take().expect("the loop is running").wait();
        self.journal.assert_balanced();
    }

    /// Shuts the loop down, waits until it has ended, and checks the calls.
    pub fn finish(&mut self) {
        // A loop without connections and listeners has already ended.
        let _ = self.out.shutdown();
        self.wait_for_end();
    }

    /// Calls [`Server::assert_idle`].
    pub fn assert_idle(&self) {
        self.server().assert_idle();
    }

    /// Returns the processor time of the loop's thread, or zero if the system does not report it.
    pub fn time_spent(&self) -> Duration {
        self.server().task().time()
    }

    /// Waits until at most this many sockets of the loop's clients are open.
    pub fn wait_for_sockets(&self, count: usize) {
        wait_until("the sockets are closed", || {
            assert!(!self.server().has_ended(), "the loop has ended");
            system::sockets_at(self.address()) <= count
        });
    }

    /// Asserts that the loop still accepts connections and answers Pings.
    pub fn assert_serves(&self) {
        let mut peer = self.open();
        peer.send(&masked(PING, b"there?"));
        assert_eq!(peer.frame(), (PONG, b"there?".to_vec()));
        peer.close(1000);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.server.is_some() && !thread::panicking() {
            self.finish();
        }
    }
}
