//! T3, T4, T6, O5: between threads and their loop.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye::util::Token;
use sockeye::{Builder, CloseCode, Drain, ErrorKind, Frame, QueueError, Result, Sender, Settings, WebSocket};

use sockeye::protocol::Role;
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::{Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, join, wait_until};

fn is_refused(result: &Result<()>, reason: QueueError) -> bool {
    matches!(result, Err(err) if matches!(err.kind, ErrorKind::Queue(why) if why == reason))
}

/// Every method of a sender that asks something of the loop.
fn ask_everything(out: &Sender) -> Vec<Result<()>> {
    vec![
        out.send("text"),
        out.try_send("text"),
        out.broadcast("text"),
        out.close(CloseCode::Normal),
        out.ping(Vec::new()),
        out.pong(Vec::new()),
        out.connect("ws://127.0.0.1:1".parse().unwrap()),
        out.timeout(1, Token(1)),
        out.pause(),
        out.resume(),
        out.drain(Drain::new()),
        out.shutdown(),
    ]
}

fn check_disconnected(out: &Sender) {
    assert!(!out.is_open());
    assert_eq!(out.buffered_amount(), 0);
    for (number, answer) in ask_everything(out).iter().enumerate() {
        assert!(is_refused(answer, QueueError::Disconnected), "call {number}: {answer:?}");
    }
}

#[test]
fn t3_a_sender_of_a_finished_loop_returns_disconnected() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let _peer = Peer::open(server.addr);
    let (one, all) = (calls.opened(), server.all.clone());
    drop(_peer);
    server.stop();
    check_disconnected(&one);
    check_disconnected(&all);

    let socket = WebSocket::new(|_| |_| Ok(())).unwrap();
    let all = socket.broadcaster();
    drop(socket);
    check_disconnected(&all);
}

#[test]
fn t3_a_queue_is_full_exactly_at_its_limit() {
    let settings = Settings { queue_size: 3, max_connections: 2, ..Settings::default() };
    let (probes, calls) =
        Probes::new(|hook, out| if hook == Hook::Message { out.shutdown() } else { Ok(()) });
    let mut socket =
        Builder::new().with_settings(settings).build(probes).unwrap().bind("127.0.0.1:0").unwrap();
    let all = socket.broadcaster();
    let url = format!("ws://{}", socket.local_addr().unwrap());
    // What is asked of the loop itself takes no place in the queue.
    socket.connect(url.parse().unwrap()).unwrap();
    for number in 0..6 {
        all.send(number.to_string()).unwrap();
    }
    assert!(is_refused(&all.send("6"), QueueError::Full));
    socket.run().unwrap();
    assert_eq!(calls.message(), "0");
}

/// A loop with one client, a sender for it, and a sender for all. The loop does not run.
fn waiting(settings: Settings) -> (WebSocket<impl sockeye::Factory>, Sender) {
    let socket = Builder::new().with_settings(settings).build(|_| |_| Ok(())).unwrap();
    let all = socket.broadcaster();
    (socket, all)
}

#[test]
fn w9_a_full_queue_accepts_control_commands() {
    let settings = Settings { queue_size: 3, max_connections: 2, ..Settings::default() };
    let (socket, all) = waiting(settings);
    (0..6).for_each(|number| all.send(number.to_string()).unwrap());
    for _ in 0..10_000 {
        let controls =
            [all.pause(), all.resume(), all.close(CloseCode::Away), all.drain(Drain::new()), all.shutdown()];
        controls.into_iter().for_each(Result::unwrap);
    }
    assert!(is_refused(&all.send("6"), QueueError::Full), "they take no place of others");
    socket.run().unwrap();
}

#[test]
fn w9_shutdown_ends_a_loop_whose_queue_is_full() {
    let settings = Settings { queue_size: 1, max_connections: 1, ..Settings::default() };
    let (socket, all) = waiting(settings);
    let socket = socket.bind("127.0.0.1:0").unwrap();
    while all.send("flood").is_ok() {}
    all.shutdown().unwrap();
    socket.run().unwrap();
    check_disconnected(&all);
}

#[test]
fn w9_drain_ends_a_loop_whose_queue_is_full() {
    let settings = Settings { queue_size: 1, max_connections: 1, ..Settings::default() };
    let (socket, all) = waiting(settings);
    let socket = socket.bind("127.0.0.1:0").unwrap();
    while all.send("flood").is_ok() {}
    assert!(!all.is_draining());
    all.drain(Drain::new()).unwrap();
    socket.run().unwrap();
    assert!(all.is_draining());
    check_disconnected(&all);
}

#[test]
fn w10_the_queue_is_limited_in_bytes() {
    let (_socket, all) = waiting(Settings { queue_bytes: 1 << 20, ..Settings::default() });
    all.send(vec![0; 3 << 20]).unwrap();
    assert!(
        is_refused(&all.send("more"), QueueError::Full),
        "a larger message is accepted by an empty queue only"
    );
    all.send("").unwrap();

    let (_socket, all) = waiting(Settings { queue_bytes: 1 << 20, ..Settings::default() });
    (0..16).for_each(|_| all.send(vec![0; 1 << 16]).unwrap());
    assert!(is_refused(&all.send("1"), QueueError::Full), "the limit is inclusive");

    let (_socket, all) = waiting(Settings::default());
    let accepted = (0..800).take_while(|_| all.broadcast(vec![0; 1 << 20]).is_ok()).count();
    assert_eq!(accepted, 64);
}

#[test]
fn w10_bytes_leave_the_queue_when_the_loop_takes_the_commands() {
    let settings = Settings { queue_bytes: 1000, ..Settings::default() };
    let (server, calls) = Probes::listen(settings, |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    for _ in 0..100 {
        wait_until("there is room", || out.send(vec![7; 600]).is_ok());
        assert_eq!(peer.frame().1.len(), 600);
    }
}

#[test]
fn messages_sent_before_the_loop_runs_are_delivered_in_order() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut socket = WebSocket::new(|_| |_| Ok(())).unwrap();
    socket.connect(server.url().parse().unwrap()).unwrap();
    let all = socket.broadcaster();
    (0..100).for_each(|number| all.send(number.to_string()).unwrap());
    all.close(CloseCode::Normal).unwrap();
    all.send("too late").unwrap();
    socket.run().unwrap();
    (0..100).for_each(|number| assert_eq!(calls.message(), number.to_string()));
    assert_eq!(calls.close(), CloseCode::Normal);
}

#[test]
fn t6_messages_of_each_thread_are_delivered_in_order() {
    const EACH: usize = 10_000;
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let out = out.clone();
            thread::spawn(move || (0..EACH).for_each(|count| out.send(format!("{number} {count}")).unwrap()))
        })
        .collect();
    let mut next = [0; 4];
    while next != [EACH; 4] {
        let message = peer.message();
        let (number, count) = message.split_once(' ').unwrap();
        let expected = &mut next[number.parse::<usize>().unwrap()];
        assert_eq!(count, expected.to_string());
        *expected += 1;
    }
    threads.into_iter().for_each(|thread| join(thread).unwrap());
    peer.finish();
    server.stop();
}

#[test]
fn t6_messages_before_a_close_are_sent_and_messages_after_it_are_dropped() {
    const EACH: usize = 2000;
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    for _ in 0..5 {
        let mut peer = Peer::open(server.addr);
        let out = calls.opened();
        let thread = thread::spawn(move || {
            (0..EACH).for_each(|count| out.send(count.to_string()).unwrap());
            out.close(CloseCode::Again).unwrap();
            out.send("too late").unwrap();
        });
        for count in 0..EACH {
            assert_eq!(peer.message(), count.to_string());
        }
        assert_eq!(peer.next_frame().map(|frame| frame.into_data()), Some(vec![0x03, 0xf5]));
        peer.send(Frame::close(CloseCode::Again, ""));
        assert_eq!(peer.ending(), Ending::Cut);
        join(thread).unwrap();
    }
    server.stop();
}

/// A server that sends its messages through a channel.
fn telling() -> (Server, std::sync::mpsc::Receiver<()>, Arc<Mutex<Option<Sender>>>) {
    let (tx, rx) = channel();
    let out = Arc::new(Mutex::new(None));
    let place = Arc::clone(&out);
    let server = Server::start(Settings::default(), move |out: Sender| {
        *place.lock().unwrap() = Some(out);
        let tx = tx.clone();
        move |_| {
            tx.send(()).ok();
            Ok(())
        }
    });
    (server, rx, out)
}

#[test]
fn t4_no_wake_up_is_lost() {
    let (server, rx, out) = telling();
    let peer = Peer::open(server.addr);
    let out = out.lock().unwrap().take().unwrap();
    let mut echoing = peer.stream.try_clone().unwrap();
    let echo = thread::spawn(move || {
        let mut peer = Peer::over(&mut echoing, Role::Client);
        while let Some(frame) = peer.next_frame() {
            if frame.opcode() == sockeye::OpCode::Text {
                peer.send(frame);
            }
        }
    });
    for round in 0..5000u32 {
        out.send("ping").unwrap();
        rx.recv_timeout(LIMIT).unwrap();
        // The loop is on its way to sleep: meet it at different points of that way.
        (0..round % 64 * 16).for_each(|_| std::hint::spin_loop());
    }
    peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
    join(echo).unwrap();
    server.stop();
}

#[test]
fn o5_no_wake_up_is_lost_after_a_turn_reaches_its_command_limit() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    for round in 0..60 {
        // Around one, two and three times what is done in one turn.
        let count = 256 * (round % 3 + 1) + round / 3 - 10;
        (0..count).for_each(|number| out.send(number.to_string()).unwrap());
        (0..count).for_each(|number| assert_eq!(peer.message(), number.to_string()));
    }
    peer.finish();
    server.stop();
}

#[test]
fn l5_messages_queued_by_other_threads_before_a_shutdown_are_sent() {
    const COUNT: usize = 2000;
    let (entered, in_callback) = channel();
    let (release, released) = channel::<()>();
    let parts = Mutex::new((entered, released));
    let (server, calls) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Message {
            let parts = parts.lock().unwrap();
            parts.0.send(()).ok();
            parts.1.recv_timeout(LIMIT).ok();
            return out.shutdown();
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    peer.send_text("shut down");
    in_callback.recv_timeout(LIMIT).unwrap();
    (0..COUNT).for_each(|count| out.send(count.to_string()).unwrap());
    drop(release);
    (0..COUNT).for_each(|count| assert_eq!(peer.message(), count.to_string()));
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Away));
    drop(peer);
    server.join().unwrap().unwrap();
    check_disconnected(&out);
}

#[test]
fn a_loop_can_run_again() {
    let server = Server::start(Settings::default(), |out: Sender| move |msg| out.send(msg));
    let (probes, calls) =
        Probes::new(|hook, out| if hook == Hook::Message { out.close(CloseCode::Normal) } else { Ok(()) });
    let mut socket = WebSocket::new(probes).unwrap();
    let all = socket.broadcaster();
    for _ in 0..3 {
        socket.connect(server.url().parse().unwrap()).unwrap();
        let helper = thread::spawn({
            let all = all.clone();
            move || wait_until("the loop runs", || all.send("hello").is_ok())
        });
        socket = socket.run().unwrap();
        join(helper).unwrap();
        assert_eq!(calls.message(), "hello");
        assert_eq!(calls.close(), CloseCode::Normal);
        check_disconnected(&all);
    }
    // As a server, after having been a client.
    let socket = socket.bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let runner = thread::spawn(move || socket.run().map(drop));
    let peer = Peer::open(addr);
    all.shutdown().unwrap();
    drop(peer);
    join(runner).unwrap().unwrap();
}
