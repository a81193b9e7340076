//! The results of every method of a `Sender` in every state of its connection, according to the table in its documentation.

use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use sockeye::util::Token;
use sockeye::{CloseCode, Error, ErrorKind, Frame, OpCode, QueueError, Result, Sender, Settings};

use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::{HandlerCall, Hook, Probes};
use sockeye_test_support::{LIMIT, wait_until};

/// The outcome of a call, as the table names it.
fn outcome(result: &Result<()>) -> &'static str {
    match result {
        Ok(()) => "Ok",
        Err(Error { kind: ErrorKind::Protocol, .. }) => "Protocol",
        Err(Error { kind: ErrorKind::Queue(QueueError::Disconnected), .. }) => "Disconnected",
        Err(err) => panic!("unexpected error: {err:?}"),
    }
}

/// The outcomes of the methods that concern the connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcomes {
    is_open: bool,
    /// `send`, `send_uncompressed`, `broadcast`, `ping` and `pong`, which have the same outcome.
    send: &'static str,
    try_send: &'static str,
    timeout: &'static str,
    /// `pause` and `resume`.
    pause: &'static str,
}

fn outcomes(out: &Sender) -> Outcomes {
    let sends = [
        out.send("text"),
        out.send_uncompressed("text"),
        out.broadcast("text"),
        out.ping(Vec::new()),
        out.pong(Vec::new()),
    ];
    let send = outcome(&sends[0]);
    assert!(sends.iter().all(|result| outcome(result) == send), "{sends:?}");
    let (pause, resume) = (out.pause(), out.resume());
    assert_eq!(outcome(&pause), outcome(&resume));
    Outcomes {
        is_open: out.is_open(),
        send,
        try_send: outcome(&out.try_send("text")),
        timeout: outcome(&out.timeout(0, Token(7))),
        pause: outcome(&pause),
    }
}

const CONNECTING: Outcomes =
    Outcomes { is_open: false, send: "Ok", try_send: "Protocol", timeout: "Ok", pause: "Ok" };
const OPEN: Outcomes = Outcomes { is_open: true, send: "Ok", try_send: "Ok", timeout: "Ok", pause: "Ok" };
const CLOSING: Outcomes =
    Outcomes { is_open: false, send: "Ok", try_send: "Protocol", timeout: "Ok", pause: "Ok" };
const CLOSED: Outcomes =
    Outcomes { is_open: false, send: "Ok", try_send: "Protocol", timeout: "Disconnected", pause: "Ok" };

/// Records the outcomes within one method of a server's handler, which closes the connection in another one.
fn record_in(hook: Hook, closes_in: Hook, talk: impl FnOnce(&mut Peer)) -> (Outcomes, Vec<HandlerCall>) {
    let (tx, rx) = channel();
    let tx = Mutex::new(Some(tx));
    let (server, calls) = Probes::listen(Settings::default(), move |called, out| {
        if called == hook
            && let Some(tx) = tx.lock().unwrap().take()
        {
            tx.send(outcomes(out)).ok();
        }
        if called == closes_in { out.close(CloseCode::Normal) } else { Ok(()) }
    });
    let mut peer = Peer::open(server.addr);
    talk(&mut peer);
    let outcomes = rx.recv_timeout(LIMIT).unwrap();
    let received = match outcomes.timeout {
        "Ok" => {
            vec![calls.find(|_, call| matches!(call, HandlerCall::Timeout(Token(7))).then_some(call))]
        }
        _ => Vec::new(),
    };
    drop(peer);
    server.stop();
    (outcomes, received.into_iter().chain(calls.rest().into_iter().map(|(_, call)| call)).collect())
}

#[test]
fn senders_return_the_documented_results_while_connecting() {
    let (outcomes, _) = record_in(Hook::Request, Hook::Message, |_| {});
    assert_eq!(outcomes, CONNECTING);
}

#[test]
fn senders_return_the_documented_results_while_open() {
    let (outcomes, _) = record_in(Hook::Open, Hook::Message, |_| {});
    assert_eq!(outcomes, OPEN);
}

#[test]
fn senders_return_the_documented_results_while_closing() {
    let (outcomes, _) = record_in(Hook::Frame, Hook::Open, |peer| {
        assert_eq!(peer.next_frame().unwrap().opcode(), OpCode::Close);
        peer.send(Frame::ping(Vec::new()));
    });
    assert_eq!(outcomes, CLOSING);
}

#[test]
fn senders_return_the_documented_results_in_on_close() {
    let (outcomes, received) = record_in(Hook::Close, Hook::Message, |peer| {
        peer.send(Frame::close(CloseCode::Normal, ""));
    });
    assert_eq!(outcomes, CLOSED);
    assert!(
        !received.iter().any(|call| matches!(call, HandlerCall::NewTimeout(_) | HandlerCall::Timeout(_))),
        "{received:?}"
    );
}

#[test]
fn senders_return_the_documented_results_in_on_close_after_a_lost_connection() {
    let (outcomes, _) = record_in(Hook::Close, Hook::Message, |peer| {
        peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    assert_eq!(outcomes, CLOSED);
}

#[test]
fn senders_on_other_threads_return_the_documented_results_after_the_close() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let peer = Peer::open(server.addr);
    let out = calls.opened();
    let next = Peer::open(server.addr);
    drop(peer);
    calls.lost();
    assert_eq!(outcomes(&out), CLOSED);
    // Another connection is in the same slot now.
    let mut again = Peer::open(server.addr);
    let successor = calls.opened();
    assert_eq!((successor.token(), successor.is_open()), (out.token(), true));
    assert_eq!(outcomes(&out), CLOSED);
    assert_eq!(again.message(), "text");
    drop((next, again));
    server.stop();
}

#[test]
fn senders_return_the_documented_results_after_a_failed_connection_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("ws://{}", busy.local_addr().unwrap()).parse().unwrap();
    let (tx, rx) = channel();
    let tx = Mutex::new(tx);
    let (probes, calls) = Probes::new(move |hook, out| {
        if hook == Hook::Error {
            tx.lock().unwrap().send(outcomes(out)).ok();
        }
        Ok(())
    });
    let mut socket = sockeye::WebSocket::new(probes).unwrap();
    socket.connect(url).unwrap();
    socket.run().unwrap();
    assert_eq!(rx.recv().unwrap(), CLOSED);
    assert!(!calls.rest().iter().any(|(_, call)| matches!(call, HandlerCall::NewTimeout(_))));
}

/// What only the loop can do is refused once it is shutting down, because it would never happen.
#[test]
fn new_connections_are_rejected_while_the_loop_shuts_down() {
    let (tx, rx) = channel();
    let tx = Mutex::new(tx);
    let (server, calls) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Shutdown {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let results = [
                out.send("last words"),
                out.timeout(0, Token(7)),
                out.shutdown(),
                out.connect("ws://127.0.0.1:1".parse().unwrap()),
                out.accept(stream),
            ];
            tx.lock().unwrap().send(results.each_ref().map(outcome)).ok();
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    calls.opened();
    server.all.shutdown().unwrap();
    assert_eq!(rx.recv_timeout(LIMIT).unwrap(), ["Ok", "Ok", "Ok", "Disconnected", "Disconnected"]);
    assert_eq!(peer.message(), "last words");
    wait_until("the loop refuses commands", || !server.all.is_open());
    assert_eq!(outcome(&server.all.send("late")), "Disconnected");
    drop(peer);
    server.join().unwrap().unwrap();
}
