//! Well-behaved clients, which must lose nothing while others attack the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye_test_support::bytes::{CONTINUATION, LAST, PING, TEXT_START};
use sockeye_test_support::peer::Peer;

use crate::report::Report;

/// The pause after each echo, in which others use the processor.
const PAUSE: Duration = Duration::from_millis(2);

/// Clients that echo messages of all kinds, each on a thread of its own.
pub(crate) struct Neighbors {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<usize>>,
}

impl Neighbors {
    pub(crate) fn start(server: SocketAddr, count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|number| {
            let is_over = Arc::clone(&is_over);
            // They are open before this function returns.
            let peer = Peer::open(server);
            thread::spawn(move || echo_until(&is_over, peer, number))
        });
        Self { threads: threads.collect(), is_over }
    }

    /// Ends the clients, and reports whether each of them received every echo.
    pub(crate) fn finish(self, report: &mut Report) {
        self.is_over.store(true, Ordering::Relaxed);
        let ends: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        let failed = ends.iter().filter(|end| end.is_err()).count();
        let echoes = ends.iter().filter_map(|end| end.as_ref().ok()).sum();
        report.equals("well-behaved clients that lost something", failed, 0);
        report.at_least("echoes of well-behaved clients", echoes, ends.len());
    }
}

/// Echoes until the end, and closes cleanly. Returns the number of echoes; a lost one is a panic.
fn echo_until(is_over: &AtomicBool, mut peer: Peer, number: usize) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) || count == 0 {
        let text = format!("{number}: {count} ").repeat(50);
        peer.echo(&text);
        fragmented_echo(&mut peer, &text);
        thread::sleep(PAUSE);
        count += 2;
    }
    peer.finish();
    count
}

/// Sends a message in three fragments, with a Ping between them, and reads until its echo is received.
fn fragmented_echo(peer: &mut Peer, text: &str) {
    let (head, rest) = text.as_bytes().split_at(text.len() / 3);
    let (body, tail) = rest.split_at(rest.len() / 2);
    peer.send_frame(TEXT_START, head);
    peer.send_frame(PING, b"between");
    peer.send_frame(CONTINUATION, body);
    peer.send_frame(LAST, tail);
    while peer.message() != text {}
}
