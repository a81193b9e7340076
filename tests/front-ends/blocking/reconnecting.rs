//! Clients that connect again. The waits are zero, or end because the program ends them.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sockeye::blocking::{
    Bare, Builder, Error, ReconnectEvent, Reconnecting, ReconnectingSender, Socket, TimeoutKind, WebSocket,
};
use sockeye::protocol::Config;
use sockeye::{CloseCode, Message, Reconnect};

use sockeye_test_support::bytes::{CLOSE, close_payload};
use sockeye_test_support::host::{Host, answer_to};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::{LIMIT, NEVER, join};

/// Connects again at once.
const AT_ONCE: Reconnect = Reconnect {
    first_wait: Duration::ZERO,
    longest_wait: Duration::ZERO,
    stable_after: Duration::ZERO,
    max_attempts: None,
};

fn client(host: &Host) -> Reconnecting<Socket> {
    Builder::new().connect_with(&host.url(), AT_ONCE).unwrap()
}

/// What a test asserts about the next event.
fn next(client: &mut Reconnecting<Socket>) -> String {
    match client.receive_event().unwrap() {
        None => "end".to_owned(),
        Some(ReconnectEvent::Opened) => "opened".to_owned(),
        Some(ReconnectEvent::Message(message)) => message.to_string(),
        Some(ReconnectEvent::Lost { lost, .. }) => {
            let reason = match (lost.closed(), lost.status()) {
                (Some(closed), _) => closed.code.to_string(),
                (None, Some(status)) => status.to_string(),
                (None, None) => "failed".to_owned(),
            };
            format!("lost {reason}, {}", if lost.wait().is_some() { "retries" } else { "stops" })
        }
        Some(other) => panic!("{other:?}"),
    }
}

/// Closes a connection. A client waits for the server to end TCP first (RFC 6455 §7.1.1).
fn finish(mut peer: Peer) {
    peer.send_frame(CLOSE, &close_payload(1000, "bye"));
    assert_eq!(peer.close_code(), Some(1000));
}

fn is_send<T: Send>(_: &T) {}

fn is_send_sync<T: Send + Sync + Clone>(_: &T) {}

#[test]
fn r1_subscriptions_precede_the_queue_after_each_opening() {
    let host = Host::new();
    let mut client = client(&host);
    let sender = client.sender();
    is_send(&client);
    is_send_sync(&sender);
    let server = thread::spawn(move || {
        let mut peer = host.open();
        assert_eq!([(); 3].map(|()| peer.message()), ["subscribe", "queued", "from a thread"]);
        peer.send_text("a");
        peer.reset();
        let mut peer = host.open();
        assert_eq!([(); 2].map(|()| peer.message()), ["subscribe", "while disconnected"]);
        peer.send_text("b");
        assert_eq!(peer.message(), "direct");
        finish(peer);
    });
    client.send("queued").unwrap();
    sender.send("from a thread").unwrap();
    assert_eq!((client.buffered_amount(), sender.buffered_amount()), (19, 19));
    assert_eq!(next(&mut client), "opened");
    client.send("subscribe").unwrap();
    assert_eq!(next(&mut client), "a");
    assert_eq!(next(&mut client), "lost 1006, retries");
    sender.send("while disconnected").unwrap();
    assert_eq!(next(&mut client), "opened");
    client.send("subscribe").unwrap();
    assert_eq!((next(&mut client), client.buffered_amount()), ("b".to_owned(), 0));
    sender.send("direct").unwrap();
    assert_eq!(next(&mut client), "lost 1000, stops");
    assert_eq!(next(&mut client), "end");
    assert_eq!(client.closed().unwrap().reason, "bye");
    assert!(matches!(sender.send("late"), Err(Error::Closed)));
    assert!(matches!(client.send("late"), Err(Error::Closed)));
    join(server).unwrap();
}

#[test]
fn r1_messages_of_a_thread_keep_their_order_across_connections() {
    let host = Host::new();
    let mut client = client(&host);
    let (sender, is_done) = (client.sender(), Arc::new(AtomicBool::new(false)));
    let receiving = thread::spawn(move || client.receive().unwrap());
    let done = Arc::clone(&is_done);
    let sending = thread::spawn(move || {
        let mut number = 0_u32;
        while !done.load(Ordering::Relaxed) {
            match sender.send(number.to_string()) {
                Ok(()) => number += 1,
                Err(Error::Full(_)) => thread::yield_now(),
                Err(err) => panic!("{err}"),
            }
        }
        sender.close(CloseCode::Normal, "").unwrap();
    });
    let mut received: Vec<u32> = Vec::new();
    for connection in 0..6 {
        let mut peer = host.open();
        received.extend((0..50).map(|_| peer.message().parse::<u32>().unwrap()));
        if connection < 5 {
            peer.reset();
        } else {
            is_done.store(true, Ordering::Relaxed);
            assert_eq!(peer.close_code(), Some(1000));
        }
    }
    // Messages are lost with their connections. None is repeated, and none overtakes another one.
    assert!(received.is_sorted_by(|one, next| one < next), "{received:?}");
    join(sending).unwrap();
    assert_eq!(join(receiving).unwrap(), None);
}

#[test]
fn r2_a_client_receives_across_connections_without_looking_at_them() {
    let host = Host::new();
    let mut client = client(&host);
    let server = thread::spawn(move || {
        for text in ["a", "b", "c"] {
            host.open().send_text(text);
        }
        finish(host.open());
    });
    let received: Vec<Message> = std::iter::from_fn(|| client.receive().unwrap()).collect();
    assert_eq!(received, ["a", "b", "c"].map(Message::from));
    assert_eq!(client.receive().unwrap(), None);
    join(server).unwrap();
}

#[test]
fn r3_a_server_that_is_not_there_yet_is_tried_again() {
    let (host, attempts) = (Host::new(), Arc::new(AtomicU32::new(0)));
    // This socket is bound and does not listen, so that connections are refused.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    closed.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let closed_url = format!("ws://{}/", closed.local_addr().unwrap().as_socket().unwrap());
    let (url, counter) = (host.url(), Arc::clone(&attempts));
    let mut client = Reconnecting::new(AT_ONCE, move || {
        let is_there = counter.fetch_add(1, Ordering::Relaxed) >= 3;
        WebSocket::connect(if is_there { &url } else { &closed_url })
    });
    let server = thread::spawn(move || finish(host.open()));
    for number in 0..3 {
        let Some(ReconnectEvent::Lost { lost, error }) = client.receive_event().unwrap() else {
            panic!("the connection is refused");
        };
        assert_eq!((lost.attempts(), lost.closed()), (number, None));
        assert!(matches!(error, Some(Error::Connect { .. })), "{error:?}");
    }
    assert_eq!([(); 3].map(|()| next(&mut client)), ["opened", "lost 1000, stops", "end"]);
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
    join(server).unwrap();
}

#[test]
fn r4_a_silent_peer_is_a_loss() {
    let host = Host::new();
    let config = Config { idle_timeout: Some(Duration::from_millis(50)), ..Config::default() };
    let mut client = Builder::new().config(config).connect_with(&host.url(), AT_ONCE).unwrap();
    let server = thread::spawn(move || (host.open(), host));
    assert_eq!(next(&mut client), "opened");
    // This peer never ends its connection.
    let silent = join(server).unwrap();
    let Some(ReconnectEvent::Lost { lost, error }) = client.receive_event().unwrap() else {
        panic!("the peer is silent");
    };
    assert!(lost.wait().is_some());
    assert!(matches!(error, Some(Error::Timeout(TimeoutKind::Idle))), "{error:?}");
    drop(silent);
}

/// Answers one request with this status and these headers.
fn reject(host: &Host, status: &str, headers: &str) -> Option<String> {
    let mut peer = host.accept();
    let head = peer.head();
    peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n").as_str());
    head.header("Authorization").map(str::to_owned)
}

#[test]
fn r5_a_status_4xx_stops_the_client_with_its_response() {
    let host = Host::new();
    let mut client = client(&host);
    let server = thread::spawn(move || reject(&host, "401 Unauthorized", "X-Why: expired\r\n"));
    assert_eq!(next(&mut client), "lost 401, stops");
    let err = client.receive().unwrap_err();
    assert_eq!(err.rejected().unwrap().response().header("X-Why"), Some(&b"expired".to_vec()));
    assert_eq!((client.receive().unwrap(), client.closed()), (None, None));
    assert!(matches!(client.sender().send("late"), Err(Error::Closed)));
    join(server).unwrap();
}

#[test]
fn r6_a_new_token_is_sent_with_the_next_request() {
    let (host, token) = (Host::new(), Arc::new(AtomicU32::new(1)));
    let (url, current) = (host.url(), Arc::clone(&token));
    let mut client = Reconnecting::new(AT_ONCE, move || {
        let token = current.load(Ordering::Relaxed).to_string();
        Builder::new().add_header("Authorization", token)?.connect(&url)
    });
    let server = thread::spawn(move || {
        assert_eq!(reject(&host, "401 Unauthorized", "").as_deref(), Some("1"));
        let mut peer = host.accept();
        let head = peer.head();
        assert_eq!(head.header("Authorization"), Some("2"));
        peer.send(answer_to(&head, "").as_str());
        finish(peer);
    });
    let Some(ReconnectEvent::Lost { lost, .. }) = client.receive_event().unwrap() else {
        panic!("the token is rejected");
    };
    assert_eq!((lost.status(), lost.wait()), (Some(401), None));
    lost.retry_in(Duration::ZERO);
    token.store(2, Ordering::Relaxed);
    assert_eq!(next(&mut client), "opened");
    assert_eq!(client.socket().unwrap().request().unwrap().header("Authorization"), Some(&b"2".to_vec()));
    assert_eq!(next(&mut client), "lost 1000, stops");
    join(server).unwrap();
}

#[test]
fn r7_retry_after_sets_the_wait_and_the_program_can_change_it() {
    let host = Host::new();
    let mut client = client(&host);
    let server = thread::spawn(move || {
        reject(&host, "503 Service Unavailable", "Retry-After: 1800\r\n");
        finish(host.open());
    });
    let Some(ReconnectEvent::Lost { lost, .. }) = client.receive_event().unwrap() else {
        panic!("the server is not available");
    };
    assert_eq!((lost.status(), lost.wait()), (Some(503), Some(Duration::from_secs(1800))));
    lost.retry_in(Duration::ZERO);
    assert_eq!([(); 2].map(|()| next(&mut client)), ["opened", "lost 1000, stops"]);
    join(server).unwrap();
}

#[test]
fn r8_close_codes_decide_whether_the_client_goes_on() {
    let host = Host::new();
    let mut client = client(&host);
    let codes = [1001, 1011, 1012, 1013, 4000, 1008];
    let server = thread::spawn(move || {
        for code in codes {
            let mut peer = host.open();
            peer.send_frame(CLOSE, &close_payload(code, "because"));
            assert_eq!(peer.close_code(), Some(code));
        }
    });
    for code in codes {
        assert_eq!(next(&mut client), "opened");
        let plan = if code == 1008 { "stops" } else { "retries" };
        assert_eq!(next(&mut client), format!("lost {code}, {plan}"));
    }
    assert_eq!(client.receive().unwrap(), None);
    assert_eq!(client.closed().unwrap().reason, "because");
    join(server).unwrap();
}

#[test]
fn r9_another_thread_ends_a_wait() {
    let mut client = Reconnecting::<Socket>::new(AT_ONCE, || Err(Error::Tls("not yet".into())));
    let Some(ReconnectEvent::Lost { lost, .. }) = client.receive_event().unwrap() else {
        panic!("the attempt fails");
    };
    lost.retry_in(NEVER);
    // A call that receives returns before, if it must.
    client.set_read_timeout(Some(Duration::from_millis(1)));
    assert!(matches!(client.receive(), Err(Error::Timeout(TimeoutKind::Read))));
    client.set_read_timeout(None);
    let sender = client.sender();
    assert!(matches!(sender.close(CloseCode::Abnormal, ""), Err(Error::Protocol(_))));
    sender.send("the client goes on").unwrap();
    let receiving = thread::spawn(move || (client.receive().unwrap(), client.receive().unwrap(), client));
    sender.close(CloseCode::Normal, "done").unwrap();
    let (first, second, client) = join(receiving).unwrap();
    assert_eq!((first, second, client.closed()), (None, None, None));
    assert!(matches!(sender.send("late"), Err(Error::Closed)));
}

#[test]
fn r9_another_thread_ends_a_connection() {
    let host = Host::new();
    let mut client = client(&host);
    let server = thread::spawn(move || {
        let mut peer = host.open();
        peer.send_text("a");
        peer.expect_close(1000);
        peer.send_frame(CLOSE, &close_payload(1000, "bye"));
        peer.end_writing();
        peer.drain();
        host
    });
    assert_eq!([(); 2].map(|()| next(&mut client)), ["opened", "a"]);
    let sender = client.sender();
    let receiving = thread::spawn(move || (next(&mut client), client));
    sender.close(CloseCode::Normal, "done").unwrap();
    let (last, client) = join(receiving).unwrap();
    assert_eq!((last.as_str(), &*client.closed().unwrap().reason), ("end", "bye"));
    assert!(join(server).unwrap().try_accept().is_none(), "there is no further connection");
}

#[test]
fn r9_the_program_closes_the_connection() {
    let host = Host::new();
    let mut client = client(&host);
    let server = thread::spawn(move || {
        let mut peer = host.open();
        peer.expect_close(1001);
        peer.send_frame(CLOSE, &close_payload(1001, ""));
        peer.end_writing();
        peer.drain();
    });
    assert_eq!(next(&mut client), "opened");
    let closed = client.close(CloseCode::Away, "").unwrap().unwrap();
    assert_eq!((closed.code, client.closed()), (CloseCode::Away, Some(&closed)));
    assert_eq!(client.receive().unwrap(), None);
    // A second close has no connection.
    assert_eq!(client.close(CloseCode::Normal, "").unwrap(), None);
    join(server).unwrap();
}

/// The server reads nothing while it writes, and the queue does not fit into the buffers of the system.
#[test]
fn r10_a_long_queue_does_not_block_receiving() {
    const COUNT: u32 = 400;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    sockeye_test_support::limit_buffers(&listener);
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut socket = WebSocket::accept(listener.accept().unwrap().0).unwrap();
        while let Some(message) = socket.receive().unwrap() {
            socket.send(message).unwrap();
        }
    });
    let mut client = Builder::new().connect_with(&url, AT_ONCE).unwrap().max_queued(16 << 20);
    for number in 0..COUNT {
        client.send(number.to_string().repeat(10_000)).unwrap();
    }
    for number in 0..COUNT {
        assert_eq!(client.receive().unwrap(), Some(number.to_string().repeat(10_000).into()));
    }
    assert_eq!(client.buffered_amount(), 0);
    assert_eq!(client.close(CloseCode::Normal, "").unwrap().unwrap().code, CloseCode::Normal);
    join(server).unwrap();
}

#[test]
fn r11_what_was_not_sent_is_counted() {
    const LEN: usize = 16 << 20;
    let host = Host::new();
    let mut client = client(&host);
    let sender = client.sender();
    let server = thread::spawn(move || {
        let mut peer = host.open();
        peer.send_text("a");
        // More is sent than the system takes, and only a part of it is read.
        assert!(peer.receives_within(LIMIT));
        peer.reset();
    });
    assert_eq!([(); 2].map(|()| next(&mut client)), ["opened", "a"]);
    let first = thread::scope(|scope| {
        // The message is lost together with its connection. That is a loss, and no error of `send`.
        scope.spawn(|| sender.send(vec![7; LEN]).unwrap());
        client.receive_event().unwrap()
    });
    let Some(ReconnectEvent::Lost { lost, .. }) = first else { panic!("the connection is lost") };
    assert!((1..LEN).contains(&lost.unsent()), "{}", lost.unsent());
    join(server).unwrap();
}

#[test]
fn r12_a_stream_without_a_second_handle_stops_the_client() {
    let host = Host::new();
    let address = host.address();
    let mut client = Reconnecting::new(AT_ONCE, move || {
        let stream = std::net::TcpStream::connect(address)?;
        Builder::new().client(Bare(stream), "ws://localhost/")?.open()
    });
    let server = thread::spawn(move || host.open().drain());
    assert!(matches!(client.receive(), Err(Error::Io(err)) if err.kind() == std::io::ErrorKind::Unsupported));
    assert_eq!(client.receive().unwrap(), None);
    join(server).unwrap();
}

#[test]
fn r12_a_url_that_cannot_be_used_is_refused_at_once() {
    let err = Builder::new().connect_with("ftp://example.com/", AT_ONCE).unwrap_err();
    assert!(matches!(err, Error::Url(_)), "{err}");
    // A function that connects can find this out later.
    let mut client = Reconnecting::new(AT_ONCE, || WebSocket::connect("ftp://example.com/"));
    assert!(matches!(client.receive(), Err(Error::Url(_))));
    assert!(matches!(client.receive(), Ok(None)));
}

#[test]
fn r12_a_client_that_is_dropped_ends_its_senders_and_its_connection() {
    let host = Host::new();
    let mut client = client(&host);
    let sender: ReconnectingSender = client.sender();
    let server = thread::spawn(move || host.open().close_code());
    assert_eq!(next(&mut client), "opened");
    drop(client);
    assert_eq!(join(server).unwrap(), Some(1001));
    assert!(matches!(sender.send("late"), Err(Error::Closed)));
}
