//! A peer that floods does not keep a task from its executor: other tasks get their turn after a number of frames or bytes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use futures_util::{SinkExt, StreamExt};
use sockeye::CloseCode;
use sockeye::futures::{Builder, WebSocket};
use sockeye::protocol::{Config, Role};
use sockeye_test_support::bytes::{BINARY, BINARY_START, CONTINUATION, PING, PONG, masked};

/// How much of a flood one turn may process.
const STEPS: usize = 128;
const FRAGMENTS: usize = 16 * STEPS;
const BYTES: usize = 256 * 1024;

/// The longest read that the socket makes for a long payload.
const LARGE: usize = 128 * 1024;

/// Two turns of the other task enclose at most two polls of the flooded one: both are woken once per poll.
const TURNS: usize = 40;

/// What a stream has done. The test and the stream share it.
#[derive(Default)]
struct Count {
    read: AtomicUsize,
    written: AtomicUsize,
    is_done: AtomicBool,
}

/// A stream that always has input, and always accepts output.
struct Flood {
    first: VecDeque<u8>,
    pattern: Vec<u8>,
    at: usize,
    /// The most bytes that one call moves.
    piece: usize,
    count: Arc<Count>,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut len = 0;
        for byte in buffer.iter_mut().take(self.piece) {
            *byte = match self.first.pop_front() {
                Some(first) => first,
                None if self.pattern.is_empty() => break,
                None => {
                    let at = self.at;
                    self.at = (at + 1) % self.pattern.len();
                    self.pattern[at]
                }
            };
            len += 1;
        }
        self.count.read.fetch_add(len, Ordering::Relaxed);
        if len == 0 { Poll::Pending } else { Poll::Ready(Ok(len)) }
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len().min(self.piece);
        self.count.written.fetch_add(len, Ordering::Relaxed);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An executor with one thread, which polls the tasks that are woken in their order.
#[derive(Default)]
struct Executor {
    tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

struct WakeTask(usize, Arc<Mutex<VecDeque<usize>>>);

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        let mut woken = self.1.lock().unwrap();
        if !woken.contains(&self.0) {
            woken.push_back(self.0);
        }
    }
}

impl Executor {
    fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.woken.lock().unwrap().push_back(self.tasks.len());
        self.tasks.push(Box::pin(task));
    }

    /// Runs until the last task is done.
    fn run(&mut self) {
        loop {
            let task = self.woken.lock().unwrap().pop_front().expect("a task is woken");
            let waker = Waker::from(Arc::new(WakeTask(task, Arc::clone(&self.woken))));
            let done = self.tasks[task].as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if done && task + 1 == self.tasks.len() {
                return;
            }
        }
    }
}

/// Lets other tasks run once.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a flooded task beside another one, until that one has had its turns. In each of them it looks at how much the flooded
/// task has done since the last one.
fn most_between_turns(
    flood: impl FnOnce(WebSocket<Flood>) -> Pin<Box<dyn Future<Output = ()>>>,
    pattern: Vec<u8>,
    first: &[u8],
    piece: usize,
    measure: impl Fn(&Count) -> usize + 'static,
) -> usize {
    let count = Arc::new(Count::default());
    let stream =
        Flood { first: first.iter().copied().collect(), pattern, at: 0, piece, count: Arc::clone(&count) };
    // On a busy machine, a flood takes longer than the usual timeout of closing.
    let close_timeout = Duration::from_secs(3600);
    let config = Config { max_fragments: Some(usize::MAX), close_timeout, ..Config::default() };
    let builder = Builder::new().config(config);
    let socket = builder.after_handshake(stream, Role::Server, &[], []).unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let mut executor = Executor::default();
    executor.spawn(flood(socket));
    let (seen, found) = (Arc::clone(&count), Arc::clone(&most));
    executor.spawn(async move {
        for _ in 0..TURNS {
            let before = measure(&seen);
            yield_now().await;
            found.fetch_max(measure(&seen) - before, Ordering::Relaxed);
        }
        seen.is_done.store(true, Ordering::Relaxed);
    });
    executor.run();
    assert!(count.is_done.load(Ordering::Relaxed));
    most.load(Ordering::Relaxed)
}

/// As [`most_between_turns`], in frames that are read.
fn most_frames(
    flood: impl FnOnce(WebSocket<Flood>) -> Pin<Box<dyn Future<Output = ()>>>,
    frame: Vec<u8>,
    first: &[u8],
) -> usize {
    let len = frame.len();
    most_between_turns(flood, frame, first, usize::MAX, move |count| count.read.load(Ordering::Relaxed)) / len
}

fn receive_all(mut socket: WebSocket<Flood>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move { while socket.receive().await.unwrap().is_some() {} })
}

/// The longest read of 8 KiB, in frames of this length.
fn read_ahead(len: usize) -> usize {
    8 * 1024 / len + 1
}

#[test]
fn a_flood_of_messages_lets_other_tasks_run() {
    for len in [0, 1, 100, 2000, 50_000] {
        let frame = masked(BINARY, &vec![7; len]);
        let most = most_frames(receive_all, frame.clone(), &[]);
        assert!(most > 0 && most <= STEPS + read_ahead(frame.len()), "{most} messages of {len} bytes");
        let bytes = most * frame.len();
        assert!(bytes <= BYTES + LARGE + frame.len(), "{bytes} bytes of messages of {len} bytes");
    }
}

#[test]
fn a_flood_of_messages_one_per_read_lets_other_tasks_run() {
    let frame = masked(BINARY, &[7; 10]);
    let (len, count) = (frame.len(), |count: &Count| count.read.load(Ordering::Relaxed));
    let most = most_between_turns(receive_all, frame, &[], len, count) / len;
    assert!(most > 0 && most <= STEPS, "{most} messages");
}

#[test]
fn every_way_to_receive_lets_other_tasks_run() {
    type Receive = fn(WebSocket<Flood>) -> Pin<Box<dyn Future<Output = ()>>>;
    let ways: [Receive; 4] = [
        |mut socket| Box::pin(async move { while socket.receive_event().await.unwrap().is_some() {} }),
        |mut socket| Box::pin(async move { while socket.receive_frame().await.unwrap().is_some() {} }),
        |mut socket| Box::pin(async move { while socket.next().await.unwrap().is_ok() {} }),
        |mut socket| Box::pin(async move { while socket.read(&mut [0; 100]).await.unwrap() > 0 {} }),
    ];
    for receive in ways {
        for frame in [masked(BINARY, b"x"), masked(PING, b"x"), masked(PONG, b"")] {
            let most = most_frames(receive, frame.clone(), &[]);
            assert!(most > 0 && most <= STEPS + read_ahead(frame.len()), "{most} frames");
        }
    }
}

#[test]
fn a_flood_of_control_frames_lets_other_tasks_run() {
    for frame in [masked(PING, b""), masked(PONG, b""), masked(PING, &[7; 125])] {
        let most = most_frames(receive_all, frame.clone(), &[]);
        assert!(most > 0 && most <= STEPS + read_ahead(frame.len()), "{most} frames");
    }
}

#[test]
fn a_flood_of_fragments_lets_other_tasks_run() {
    let first = masked(BINARY_START, b"x");
    let frame = masked(CONTINUATION, b"x");
    let most = most_frames(receive_all, frame.clone(), &first);
    assert!(most > 0 && most <= FRAGMENTS + read_ahead(frame.len()), "{most} fragments");
}

#[test]
fn a_flood_after_our_close_lets_other_tasks_run() {
    let close = |mut socket: WebSocket<Flood>| -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { drop(socket.close(CloseCode::Normal, "").await) })
    };
    let read = |count: &Count| count.read.load(Ordering::Relaxed);
    for frame in [masked(BINARY, b""), masked(PING, b""), masked(BINARY, &[7; 50_000])] {
        let most = most_between_turns(close, frame, &[], usize::MAX, read);
        assert!(most > 0 && most <= BYTES + LARGE, "{most} bytes");
    }
}

#[test]
fn sending_to_a_stream_that_accepts_everything_lets_other_tasks_run() {
    let send_all = |len: usize| {
        move |mut socket: WebSocket<Flood>| -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(async move { while socket.send(vec![7; len]).await.is_ok() {} })
        }
    };
    let written = |count: &Count| count.written.load(Ordering::Relaxed);
    for len in [0, 1, 1000, 100_000, 1_000_000] {
        let most = most_between_turns(send_all(len), Vec::new(), &[], 16 * 1024, written);
        assert!(most > 0 && most <= STEPS * (len + 10), "{most} bytes of messages of {len} bytes");
        assert!(most <= BYTES + 16 * 1024 + len.min(100_010), "{most} bytes of messages of {len} bytes");
    }
}

#[test]
fn queued_messages_let_other_tasks_run() {
    type Send = fn(WebSocket<Flood>, Arc<AtomicUsize>) -> Pin<Box<dyn Future<Output = ()>>>;
    let ways: [Send; 2] = [
        |mut socket, sent| {
            Box::pin(async move {
                while socket.queue("x").await.is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        },
        |mut socket, sent| {
            Box::pin(async move {
                while SinkExt::<&str>::feed(&mut socket, "x").await.is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        },
    ];
    for send in ways {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let start = Arc::clone(&sent);
        let most = most_between_turns(
            move |socket| send(socket, start),
            Vec::new(),
            &[],
            usize::MAX,
            move |_| counted.load(Ordering::Relaxed),
        );
        assert!(most > 0 && most <= STEPS, "{most} messages");
    }
}

/// A future that returns `Pending` because its budget is spent can be dropped like any other.
#[test]
fn a_spent_budget_loses_no_message_if_the_future_is_dropped() {
    let (near, far) = crate::support::duplex();
    let mut client = Builder::new().after_handshake(near, Role::Client, &[], []).unwrap();
    let mut server = Builder::new().after_handshake(far, Role::Server, &[], []).unwrap();
    let (mut pending, mut received) = (0, 0_u32);
    for number in 0..1000_u32 {
        // The first poll accepts the message, also if it returns `Pending`.
        let mut sending = Box::pin(client.send(number.to_be_bytes().to_vec()));
        pending += usize::from(crate::support::poll(&mut sending).is_pending());
    }
    assert!(pending >= 1000 / (STEPS + 1), "{pending} of 1000");
    crate::support::ready(client.flush()).unwrap();
    let mut spent = 0;
    while received < 1000 {
        let mut receiving = Box::pin(server.receive());
        match crate::support::poll(&mut receiving) {
            Poll::Pending => spent += 1,
            Poll::Ready(message) => {
                assert_eq!(message.unwrap().unwrap().as_bytes(), received.to_be_bytes());
                received += 1;
            }
        }
        assert!(spent < 1000, "it makes no progress");
    }
    assert!(spent >= 1000 / (STEPS + 1), "{spent} of 1000");
}

/// Returns a client and a server that are joined by TLS. `piece` is the most bytes that one call of the server's stream moves.
#[cfg(feature = "ssl")]
fn encrypted(
    server_tls: &sockeye::ServerTls,
    client_tls: &sockeye::ClientTls,
    piece: usize,
) -> [WebSocket<impl sockeye::futures::Transport + use<>>; 2] {
    use sockeye::futures::Tls;

    let (near, mut far) = crate::support::duplex();
    far.piece = piece;
    let handshakes =
        futures_util::future::join(Tls::connect(client_tls, "localhost", near), Tls::accept(server_tls, far));
    let (near, far) = crate::support::ready(handshakes);
    [(near, Role::Client), (far, Role::Server)]
        .map(|(stream, role)| Builder::new().after_handshake(stream.unwrap(), role, &[], []).unwrap())
}

#[cfg(feature = "ssl")]
#[test]
fn a_tls_record_in_many_pieces_lets_other_tasks_run() {
    use sockeye_test_support::authority::{Authority, Wish};
    use sockeye_test_support::tls::{client_of, server_of};

    use crate::support::{Woken, ready};

    let root = Authority::root("root");
    let [mut client, mut server] = encrypted(&server_of(&root.issue(&Wish::default())), &client_of(&root), 1);
    ready(client.send(vec![7; 10_000])).unwrap();
    let mut receiving = Box::pin(server.receive());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(woken.count() > 0, "the task is polled again");
    assert_eq!(ready(receiving).unwrap().unwrap().len(), 10_000);
}

#[cfg(feature = "ssl")]
#[test]
fn a_flood_of_tls_records_without_data_lets_other_tasks_run() {
    use openssl::ssl::{SslAcceptor, SslMethod};
    use sockeye::ServerTls;
    use sockeye_test_support::authority::{Authority, Wish};
    use sockeye_test_support::tls::client_of;

    use crate::support::{Woken, ready};

    let root = Authority::root("root");
    let identity = root.issue(&Wish::default());
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    acceptor.set_private_key(&identity.key).unwrap();
    // The server sends about 50 KiB of session tickets after the handshake.
    acceptor.set_num_tickets(200).unwrap();
    let [mut client, mut server] =
        encrypted(&ServerTls::from(acceptor.build()), &client_of(&root), usize::MAX);
    ready(server.send("last")).unwrap();
    let mut receiving = Box::pin(client.receive());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    for polls in 1..=2 {
        assert!(receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(woken.count(), polls, "the task is polled again");
    }
    assert_eq!(ready(receiving).unwrap().unwrap(), "last".into());
}
