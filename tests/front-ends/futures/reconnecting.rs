//! Clients that connect again, in memory: the test is the network and the timer.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::StreamExt;
use sockeye::futures::{Builder, Error, ReconnectEvent, Reconnecting, ReconnectingSender, Timer};
use sockeye::{CloseCode, Reconnect};

use crate::support::{End, RemoteEnd, Woken, acceptance, close_payload, frame, now, pipe, ready};

/// Connects again at once.
const AT_ONCE: Reconnect = Reconnect {
    first_wait: Duration::ZERO,
    longest_wait: Duration::ZERO,
    stable_after: Duration::ZERO,
    max_attempts: None,
};

/// A wait that the test ends.
const LONG: Duration = Duration::from_secs(1000);

/// The attempts and the waits of a client.
#[derive(Default)]
struct World {
    attempts: Mutex<VecDeque<RemoteEnd>>,
    sleeps: Mutex<VecDeque<(Duration, oneshot::Sender<()>)>>,
}

impl World {
    fn timer(self: &Arc<Self>) -> Timer {
        let world = Arc::clone(self);
        Timer::new(move |duration| {
            let (wake, woken) = oneshot::channel();
            world.sleeps.lock().unwrap().push_back((duration, wake));
            async { woken.await.unwrap_or_default() }
        })
    }

    fn client(self: &Arc<Self>, builder: Builder) -> Reconnecting<End> {
        let world = Arc::clone(self);
        Reconnecting::new(AT_ONCE, self.timer(), move || {
            let (end, raw) = pipe();
            world.attempts.lock().unwrap().push_back(raw);
            let builder = builder.clone();
            async move { builder.client(end, "ws://example.com/")?.open().await }
        })
    }

    /// The other end of the next connection.
    fn accept(&self) -> RemoteEnd {
        self.attempts.lock().unwrap().pop_front().expect("there is an attempt")
    }

    fn count(&self) -> (usize, usize) {
        (self.attempts.lock().unwrap().len(), self.sleeps.lock().unwrap().len())
    }

    /// Ends the wait in progress, and returns its length.
    fn end_wait(&self) -> Duration {
        let (duration, wake) = self.sleeps.lock().unwrap().pop_front().expect("there is a wait");
        wake.send(()).expect("the client is waiting");
        duration
    }

    /// Lets an attempt succeed.
    fn open(&self, client: &mut Reconnecting<End>) -> RemoteEnd {
        assert_eq!(next(client), "nothing");
        let raw = self.accept();
        raw.write(acceptance(&raw.read_text(), ""));
        assert_eq!(next(client), "opened");
        raw
    }
}

fn world() -> (Arc<World>, Reconnecting<End>) {
    let world = Arc::<World>::default();
    let client = world.client(Builder::new());
    (world, client)
}

/// What a test asserts about the next event.
fn next(client: &mut Reconnecting<End>) -> String {
    match now(client.receive_event()).transpose().unwrap() {
        None => "nothing".to_owned(),
        Some(None) => "end".to_owned(),
        Some(Some(ReconnectEvent::Opened)) => "opened".to_owned(),
        Some(Some(ReconnectEvent::Message(message))) => message.to_string(),
        Some(Some(ReconnectEvent::Lost { lost, .. })) => {
            let reason = match (lost.closed(), lost.status()) {
                (Some(closed), _) => closed.code.to_string(),
                (None, Some(status)) => status.to_string(),
                (None, None) => "failed".to_owned(),
            };
            format!("lost {reason}, {}", if lost.wait().is_some() { "retries" } else { "stops" })
        }
        Some(Some(other)) => panic!("{other:?}"),
    }
}

/// Sets the wait after a loss.
fn lose(client: &mut Reconnecting<End>, wait: Duration) {
    match ready(client.receive_event()).unwrap() {
        Some(ReconnectEvent::Lost { lost, .. }) => lost.retry_in(wait),
        other => panic!("{other:?}"),
    }
}

fn texts(raw: &RemoteEnd) -> Vec<String> {
    let frames = raw.read_frames().into_iter();
    frames.map(|frame| String::from_utf8_lossy(&frame.into_data()).into_owned()).collect()
}

fn close(code: u16) -> Vec<u8> {
    frame(0x88, &close_payload(code, "because"))
}

fn is_send<T: Send>(_: &T) {}

#[test]
fn r1_subscriptions_precede_the_queue_after_each_opening() {
    let (world, mut client) = world();
    let sender = client.sender();
    is_send(&client);
    is_send(&client.receive_event());
    ready(client.send("queued")).unwrap();
    ready(sender.send("from a task")).unwrap();
    assert_eq!((client.buffered_amount(), sender.buffered_amount()), (17, 17));
    let raw = world.open(&mut client);
    assert_eq!(texts(&raw), [""; 0], "the program comes first");
    ready(client.send("subscribe")).unwrap();
    sender.try_send("last").unwrap();
    assert_eq!(next(&mut client), "nothing");
    assert_eq!(texts(&raw), ["subscribe", "queued", "from a task", "last"]);
    ready(client.send("direct")).unwrap();
    assert_eq!((texts(&raw), client.buffered_amount()), (vec!["direct".to_owned()], 0));

    raw.write(frame(0x81, b"a"));
    raw.end();
    assert_eq!([(); 2].map(|()| next(&mut client)), ["a", "lost 1006, retries"]);
    ready(sender.send("while disconnected")).unwrap();
    let raw = world.open(&mut client);
    ready(client.send("subscribe")).unwrap();
    assert_eq!(next(&mut client), "nothing");
    assert_eq!(texts(&raw), ["subscribe", "while disconnected"]);
    raw.write(close(1000));
    raw.end();
    assert_eq!([(); 2].map(|()| next(&mut client)), ["lost 1000, stops", "end"]);
    assert_eq!(client.closed().unwrap().reason, "because");
    assert!(matches!(sender.try_send("late"), Err(Error::Closed)));
    assert!(matches!(ready(client.send("late")), Err(Error::Closed)));
}

#[test]
fn r2_the_stream_continues_across_connections() {
    let (world, mut client) = world();
    for text in ["a", "b"] {
        assert!(now(client.next()).is_none());
        let raw = world.accept();
        raw.write(acceptance(&raw.read_text(), ""));
        raw.write(frame(0x81, text.as_bytes()));
        assert_eq!(ready(client.next()).unwrap().unwrap(), text.into());
        raw.end();
    }
    assert!(now(client.next()).is_none());
    world.accept().write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let err = ready(client.next()).unwrap().unwrap_err();
    assert_eq!(err.rejected().unwrap().response().status(), 403);
    assert!(ready(client.next()).is_none());
    assert_eq!(client.closed(), None);
}

#[test]
fn r2_dropped_futures_restart_neither_an_attempt_nor_a_wait() {
    let (world, mut client) = world();
    for _ in 0..5 {
        assert!(now(client.receive()).is_none());
        assert!(now(client.receive_event()).is_none());
    }
    assert_eq!(world.count(), (1, 0), "there is one attempt");
    world.accept().end();
    lose(&mut client, LONG);
    for _ in 0..5 {
        assert!(now(client.receive()).is_none());
        assert!(now(client.next()).is_none());
    }
    assert_eq!(world.count(), (0, 1), "there is one wait");
    let wait = world.end_wait();
    assert!(wait <= LONG && wait > LONG / 2, "{wait:?}");
    let raw = world.open(&mut client);
    // A message that is received in part is not lost.
    let bytes = frame(0x81, b"salmon");
    raw.write(&bytes[..4]);
    assert!(now(client.receive()).is_none());
    raw.write(&bytes[4..]);
    assert_eq!(next(&mut client), "salmon");
    // Neither is one that is sent in part.
    raw.limit(5);
    assert!(now(client.send("a long message")).is_none());
    raw.limit(usize::MAX);
    let mut sent = raw.read();
    assert!(now(client.receive()).is_none());
    sent.extend(raw.read());
    assert_eq!(sent.len(), 2 + 4 + "a long message".len());
}

#[test]
fn r2_without_a_poll_nothing_happens() {
    let (world, client) = world();
    client.sender().try_send("a").unwrap();
    drop(client.sender());
    assert_eq!(world.count(), (0, 0));
}

#[test]
fn r3_failed_attempts_are_repeated_and_other_tasks_come_first() {
    let attempts = Arc::new(Mutex::new(0_u32));
    let counter = Arc::clone(&attempts);
    let mut client = Reconnecting::<End>::new(AT_ONCE, Timer::new(|_| async {}), move || {
        *counter.lock().unwrap() += 1;
        async { Err(Error::Tls("the certificate is not valid".into())) }
    });
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    {
        let mut receiving = pin!(client.receive());
        for number in 1..10 {
            let polled = receiving.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert_eq!(
                (*attempts.lock().unwrap(), woken.count()),
                (number, usize::try_from(number).unwrap())
            );
        }
    }
    let Some(ReconnectEvent::Lost { lost, error }) = ready(client.receive_event()).unwrap() else {
        panic!("every attempt fails");
    };
    assert_eq!(lost.attempts(), 9);
    assert!(matches!(error, Some(Error::Tls(_))));
    lost.stop();
    assert!(matches!(ready(client.receive()), Err(Error::Tls(_))));
    assert_eq!(ready(client.receive()).unwrap(), None);
}

#[test]
fn r5_r7_r8_statuses_and_close_codes_decide_whether_the_client_goes_on() {
    let (world, mut client) = world();
    for code in [1001, 1011, 1012, 1013, 4000] {
        let raw = world.open(&mut client);
        raw.write(close(code));
        raw.end();
        assert_eq!(next(&mut client), format!("lost {code}, retries"));
    }
    assert_eq!(next(&mut client), "nothing");
    world.accept().write("HTTP/1.1 503 x\r\nRetry-After: 1800\r\nContent-Length: 0\r\n\r\n");
    let Some(ReconnectEvent::Lost { lost, .. }) = ready(client.receive_event()).unwrap() else {
        panic!("the server is not available");
    };
    assert_eq!((lost.status(), lost.wait()), (Some(503), Some(Duration::from_secs(1800))));
    assert_eq!(next(&mut client), "nothing");
    assert!(world.end_wait() > Duration::from_secs(900));
    // The program decides otherwise, because the next request has a new token.
    assert_eq!(next(&mut client), "nothing");
    world.accept().write("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n");
    lose(&mut client, Duration::ZERO);
    let raw = world.open(&mut client);
    raw.write(close(1008));
    raw.end();
    assert_eq!([(); 2].map(|()| next(&mut client)), ["lost 1008, stops", "end"]);
    assert_eq!(world.count(), (0, 0));
}

/// Polls a future once, and returns how often its waker has been called since.
fn poll_with<F: Future>(future: std::pin::Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

#[test]
fn r9_a_handle_wakes_the_task_that_receives() {
    let (world, mut client) = world();
    let raw = world.open(&mut client);
    let (sender, woken) = (client.sender(), Arc::new(Woken::default()));
    let mut receiving = Box::pin(client.receive());
    assert!(poll_with(receiving.as_mut(), &woken).is_pending());
    let before = woken.count();
    sender.try_send("a").unwrap();
    assert!(woken.count() > before);
    assert!(now(receiving.as_mut()).is_none());
    assert_eq!(texts(&raw), ["a"]);
    assert!(poll_with(receiving.as_mut(), &woken).is_pending());
    let before = woken.count();
    assert!(matches!(sender.close(CloseCode::Abnormal, ""), Err(Error::Protocol(_))));
    sender.close(CloseCode::Normal, "done").unwrap();
    assert!(woken.count() > before);
    assert!(matches!(sender.try_send("late"), Err(Error::Closed)));
    assert!(now(receiving.as_mut()).is_none());
    assert_eq!(raw.read_frames().pop().unwrap().into_data(), close_payload(1000, "done"));
    raw.write(close(1000));
    raw.end();
    assert_eq!(ready(receiving).unwrap(), None);
    assert_eq!(client.closed().unwrap().reason, "because");
    assert_eq!(world.count(), (0, 0));
}

#[test]
fn r9_a_handle_ends_an_attempt_and_a_wait() {
    for is_waiting in [false, true] {
        let (world, mut client) = world();
        assert_eq!(next(&mut client), "nothing");
        let raw = world.accept();
        if is_waiting {
            raw.end();
            lose(&mut client, Duration::MAX);
            assert_eq!(next(&mut client), "nothing");
        }
        let (sender, woken) = (client.sender(), Arc::new(Woken::default()));
        let mut receiving = Box::pin(client.receive());
        assert!(poll_with(receiving.as_mut(), &woken).is_pending());
        sender.close(CloseCode::Normal, "").unwrap();
        assert_eq!(woken.count(), 1);
        assert_eq!(ready(receiving).unwrap(), None);
        raw.read();
        assert!(raw.has_ended(), "the attempt is dropped");
        assert_eq!(client.closed(), None);
    }
}

#[test]
fn r9_the_program_closes_the_connection() {
    let (world, mut client) = world();
    let raw = world.open(&mut client);
    assert!(now(client.close(CloseCode::Away, "")).is_none());
    assert_eq!(raw.read_frames().pop().unwrap().into_data(), close_payload(1001, ""));
    raw.write(close(1001));
    raw.end();
    // The second call continues.
    let closed = ready(client.close(CloseCode::Away, "")).unwrap().unwrap();
    assert_eq!((closed.code, client.closed()), (CloseCode::Away, Some(&closed)));
    assert_eq!(next(&mut client), "end");
    assert_eq!(ready(client.close(CloseCode::Normal, "")).unwrap(), None);
}

#[test]
fn r10_the_queue_is_bounded_and_a_slow_peer_slows_down_its_senders() {
    let world = Arc::<World>::default();
    let mut client = world.client(Builder::new().high_water(1000)).max_queued(4000);
    let sender = client.sender();
    let message = "x".repeat(600);
    let accepted = (0..100).take_while(|_| sender.try_send(message.as_str()).is_ok()).count();
    assert_eq!((accepted, sender.buffered_amount()), (6, 3600));
    assert!(
        matches!(sender.try_send(message.as_str()), Err(Error::Full(full)) if full == message.as_str().into())
    );
    let raw = world.open(&mut client);
    raw.limit(0);
    assert_eq!(next(&mut client), "nothing");
    // The connection has accepted two of them, which are more than its limit.
    let woken = Arc::new(Woken::default());
    let mut sending = pin!(sender.send("last"));
    assert!(poll_with(sending.as_mut(), &woken).is_pending());
    assert!(sender.buffered_amount() > 3600);
    raw.limit(usize::MAX);
    assert_eq!(next(&mut client), "nothing");
    assert!(woken.count() > 0);
    ready(sending).unwrap();
    assert_eq!(next(&mut client), "nothing");
    assert_eq!(texts(&raw).len(), 7);
    assert_eq!(sender.buffered_amount(), 0);
    // A message that does not wait for a connection can be longer.
    ready(client.send("y".repeat(5000))).unwrap();
    assert_eq!(texts(&raw)[0].len(), 5000);
}

#[test]
fn r11_what_was_not_sent_is_counted_and_the_queue_is_kept() {
    let world = Arc::<World>::default();
    let mut client = world.client(Builder::new().high_water(1000));
    let sender = client.sender();
    let raw = world.open(&mut client);
    raw.limit(100);
    assert_eq!(next(&mut client), "nothing");
    for _ in 0..3 {
        sender.try_send("x".repeat(990)).unwrap();
    }
    assert_eq!(next(&mut client), "nothing");
    let mut sending = pin!(sender.send("kept"));
    assert!(poll_with(sending.as_mut(), &Arc::default()).is_pending());
    raw.reset();
    let Some(ReconnectEvent::Lost { lost, .. }) = ready(client.receive_event()).unwrap() else {
        panic!("the connection is lost");
    };
    // Two frames with headers of 8 bytes, without what the stream has accepted.
    assert_eq!(lost.unsent(), 2 * (8 + 990) - 100);
    ready(sending).unwrap();
    let raw = world.open(&mut client);
    assert_eq!(next(&mut client), "nothing");
    let kept = texts(&raw);
    assert_eq!((kept.len(), kept[1].as_str()), (2, "kept"));
}

#[test]
fn r12_a_client_that_is_dropped_ends_its_senders() {
    let (world, mut client) = world();
    let sender: ReconnectingSender = client.sender();
    let raw = world.open(&mut client);
    drop(client);
    assert!(matches!(sender.try_send("late"), Err(Error::Closed)));
    assert!(matches!(ready(sender.send("late")), Err(Error::Closed)));
    assert_eq!(raw.read_frames().pop().unwrap().into_data(), close_payload(1001, ""));
}
