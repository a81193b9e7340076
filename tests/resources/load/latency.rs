//! M8, M9, M10: whoever does no harm is served as if nobody did.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sockeye::{Frame, Message, OpCode, Overflow, Sender, Settings};

use super::alone;
use sockeye_test_support::join;
use sockeye_test_support::peer::{Peer, masked};
use sockeye_test_support::server::Server;

/// How often the time of an echo is taken.
const ROUNDS: usize = 30;

/// A thread that does harm until it is dropped.
struct Nuisance {
    is_over: Arc<AtomicBool>,
    /// How often it has been done.
    count: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Nuisance {
    /// Does it again and again.
    fn start(mut harm: impl FnMut() + Send + 'static) -> Self {
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

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        join(self.thread.take().unwrap()).unwrap();
    }
}

impl Drop for Nuisance {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn server() -> Server {
    // What a flood brings back is dropped, so that the flood goes on.
    let settings = Settings { overflow: Overflow::Drop, max_buffered: 1 << 20, ..Settings::default() };
    Server::start(settings, |out: Sender| move |msg: Message| out.send(msg))
}

/// The time that an echo takes, in the middle and nearly always, over many of them and until it is enough.
fn echo_times(peer: &mut Peer, is_enough: impl Fn() -> bool) -> (Duration, Duration) {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut times = Vec::new();
    while times.len() < ROUNDS || !is_enough() {
        let start = Instant::now();
        peer.echo(&format!("echo {}", times.len()));
        times.push(start.elapsed());
        assert!(times.len() < ROUNDS || start < limit, "no nuisance at all");
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 9 / 10])
}

/// Compares the times of an echo without and with a nuisance, which has to have been one.
fn check(least: usize, start: impl FnOnce(&Server) -> Nuisance) {
    let _alone = alone();
    let server = server();
    let mut peer = Peer::open(server.addr);
    let (usual, usual_most) = echo_times(&mut peer, || true);
    let nuisance = start(&server);
    let (disturbed, disturbed_most) = echo_times(&mut peer, || nuisance.count() >= least);
    nuisance.end();
    // A build for debugging takes many times as long for what a flood brings in one turn of the loop.
    let floor = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 20 });
    let allowed = |time: Duration| (2 * time).max(floor);
    assert!(disturbed <= allowed(usual), "{usual:?} became {disturbed:?}");
    assert!(disturbed_most <= allowed(2 * usual_most), "{usual_most:?} became {disturbed_most:?}");
    peer.finish();
    server.stop();
}

/// Floods with a frame, again and again, and reads nothing.
fn flood(server: &Server, frame: Frame) -> Nuisance {
    let mut peer = Peer::open(server.addr);
    let frame = masked(frame);
    let many = frame.repeat(1 + 65_536 / frame.len());
    Nuisance::start(move || peer.stream.write_all(&many).unwrap())
}

#[test]
fn m8_a_flood_of_large_messages() {
    check(10, |server| flood(server, Frame::message(vec![7; 1 << 20], OpCode::Binary, true)));
}

#[test]
fn m8_a_flood_of_small_messages() {
    check(10, |server| flood(server, Frame::message(vec![7; 10], OpCode::Binary, true)));
}

#[test]
fn m8_a_flood_of_empty_pings() {
    check(10, |server| flood(server, Frame::ping(Vec::new())));
}

/// A server that answers texts, and does something else for binary messages, which it counts.
fn counting(settings: Settings, busy: fn()) -> (Server, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let server = Server::start(settings, move |out: Sender| {
        let count = Arc::clone(&count);
        move |msg: Message| match msg {
            Message::Text(_) => out.send(msg),
            Message::Binary(_) => {
                busy();
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    });
    (server, handled)
}

/// How many messages of others an echo has to wait for, in ascending order: how long that takes is up to the machine, too.
fn echo_waits(peer: &mut Peer, handled: &AtomicUsize) -> Vec<usize> {
    let mut waits: Vec<_> = (0..100)
        .map(|round| {
            let before = handled.load(Ordering::Relaxed);
            peer.echo(&format!("echo {round}"));
            handled.load(Ordering::Relaxed) - before
        })
        .collect();
    waits.sort_unstable();
    waits
}

#[test]
fn m8_a_slow_handler() {
    let _alone = alone();
    // Its end is not waited for.
    let settings = Settings { close_timeout: Duration::from_millis(100), ..Settings::default() };
    let (server, handled) = counting(settings, || thread::sleep(Duration::from_millis(1)));
    let mut peer = Peer::open(server.addr);
    let frames = masked(Frame::message(vec![7; 10], OpCode::Binary, true)).repeat(4000);
    let mut slow: Vec<_> = (0..4).map(|_| Peer::open(server.addr)).collect();
    slow.iter_mut().for_each(|slow| slow.stream.write_all(&frames).unwrap());
    let waits = echo_waits(&mut peer, &handled);
    assert!(handled.load(Ordering::Relaxed) < 4000, "no nuisance at all");
    // A turn or two, in each 4 ms and a frame of the first, and a frame or two of the others. The 256 frames each that a turn may
    // bring would take a second.
    assert!(waits[98] <= 32, "{waits:?}");
    peer.finish();
    server.stop();
}

#[test]
fn m8_one_share_in_a_turn_however_often_more_comes() {
    let _alone = alone();
    let (server, handled) = counting(Settings::default(), || {});
    let mut peer = Peer::open(server.addr);
    let nuisance = flood(&server, Frame::message(vec![7; 10], OpCode::Binary, true));
    let waits = echo_waits(&mut peer, &handled);
    nuisance.end();
    assert!(waits[98] > 0, "no nuisance at all");
    // A turn brings 256 of them, and some come while this thread waits for a core. One more share for each piece that
    // arrives would be a hundred thousand.
    assert!(waits[50] <= 8192, "{waits:?}");
    peer.finish();
    server.stop();
}

#[test]
fn m9_connections_that_come_and_go() {
    check(20, |server| {
        let addr = server.addr;
        Nuisance::start(move || drop(TcpStream::connect(addr).unwrap()))
    });
}

#[test]
fn m10_commands_of_other_threads() {
    check(1000, |server| {
        // All that is said to a connection that has gone is queued, looked at, and dropped.
        let all = server.all.clone();
        Nuisance::start(move || {
            if all.resume().is_err() {
                thread::yield_now();
            }
        })
    });
}
