//! Threads that keep a loop busy while a test observes other connections.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use sockeye::{Frame, Message, Overflow, Sender, Settings};

use crate::join;
use crate::peer::{Peer, masked};
use crate::server::Server;

/// A thread that repeats an action until this value is dropped.
pub struct Nuisance {
    is_over: Arc<AtomicBool>,
    /// The number of repetitions.
    count: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Nuisance {
    pub fn start(mut harm: impl FnMut() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let (must_end, done) = (Arc::clone(&is_over), Arc::clone(&count));
        let thread = thread::spawn(move || {
            while !must_end.load(Ordering::Relaxed) {
                harm();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { is_over, count, thread: Some(thread) }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        join(self.thread.take().unwrap()).unwrap();
    }
}

impl Drop for Nuisance {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Starts an echo server that can be flooded.
pub fn echo_server() -> Server {
    // The replies to a flood are dropped, so that the flood continues.
    let settings = Settings { overflow: Overflow::Drop, max_buffered: 1 << 20, ..Settings::default() };
    Server::start(settings, |out: Sender| move |msg: Message| out.send(msg))
}

/// Sends a frame repeatedly on one connection, and does not read.
pub fn flood(server: &Server, frame: Frame) -> Nuisance {
    let mut peer = Peer::open(server.addr);
    let frame = masked(frame);
    let many = frame.repeat(1 + 65_536 / frame.len());
    Nuisance::start(move || peer.stream.write_all(&many).unwrap())
}

/// Connects and disconnects repeatedly.
pub fn connections(server: &Server) -> Nuisance {
    let addr = server.addr;
    Nuisance::start(move || drop(TcpStream::connect(addr).unwrap()))
}

/// Queues commands for all connections repeatedly.
pub fn commands(server: &Server) -> Nuisance {
    let all = server.all.clone();
    Nuisance::start(move || {
        if all.resume().is_err() {
            thread::yield_now();
        }
    })
}
