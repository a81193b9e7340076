//! A2: every method of a sender, called from every method of a handler and of a factory.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, ErrorKind, Factory, Frame, Handler, OpCode, QueueError, Request, Response, Result,
    Sender, Settings, WebSocket,
};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::{
    HandlerCall, HandlerCalls, Hook, Probe, Probes, send_too_much, wait_until_blocked,
};
use sockeye_test_support::server::Server;

type Deed = fn(&Sender) -> Result<()>;

/// The methods of a server's handler, in the order in which they are first called.
const OF_A_SERVER: [Hook; 11] = [
    Hook::Request,
    Hook::Open,
    Hook::NewTimeout,
    Hook::Timeout,
    Hook::SendFrame,
    Hook::Drain,
    Hook::Frame,
    Hook::Message,
    Hook::Error,
    Hook::Close,
    Hook::Shutdown,
];

/// Calls every method that ends nothing. The new connections that this makes go at once.
fn everything(out: &Sender) -> Result<()> {
    out.send("sent")?;
    out.try_send("tried").ok();
    out.broadcast("broadcast")?;
    out.ping(b"ping".to_vec())?;
    out.pong(b"pong".to_vec())?;
    out.pause()?;
    out.resume()?;
    out.connect("ws://127.0.0.1:1/refused".parse().unwrap())?;
    out.accept(stream_without_client())?;
    assert_eq!((out.connection_id(), out.token()), (0, Token(0)));
    assert!(out.is_open() || out.buffered_amount() < usize::MAX);
    // A closed connection has no timeouts.
    out.timeout(1, Token(7))
}

fn stream_without_client() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    listener.accept().unwrap().0
}

/// Does the deed within the first call of a method of the first handler, and sees to it that every method is called.
fn act(hook: Hook, deed: Deed) -> impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static {
    let is_done = AtomicBool::new(false);
    move |called, out| {
        if called == hook && out.connection_id() == 0 && !is_done.swap(true, Ordering::Relaxed) {
            deed(out)?;
        }
        match called {
            Hook::Open if hook == Hook::Drain => send_too_much(out),
            Hook::Open => {
                out.timeout(0, Token(1))?;
                out.send("hello")
            }
            Hook::Message => Err(Error::new(ErrorKind::Custom("to be reported".into()), "")),
            _ => Ok(()),
        }
    }
}

/// A server whose first handler acts, and its client, which has sent what makes the handler act.
fn provoke(hook: Hook, deed: Deed) -> (Server, HandlerCalls, Peer) {
    let (server, calls) = Probes::listen(Settings::default(), act(hook, deed));
    let mut peer = Peer::connect(server.addr);
    peer.send(UPGRADE);
    match hook {
        Hook::Message | Hook::Frame | Hook::Error => peer.send_text("hello"),
        Hook::Close => peer.send(Frame::close(CloseCode::Normal, "")),
        Hook::Shutdown => {
            peer.head();
            server.all.shutdown().unwrap();
        }
        _ => {}
    }
    if hook == Hook::Drain {
        wait_until_blocked(calls.first());
    }
    if hook != Hook::Shutdown {
        peer.head();
    }
    (server, calls, peer)
}

/// Every handler has come back to the factory, and `on_close` was called exactly if `on_open` was.
fn check_books(events: &[(u32, HandlerCall)]) {
    let mut books: HashMap<u32, [u32; 4]> = HashMap::new();
    for (id, received) in events {
        let entry = books.entry(*id).or_default();
        match received {
            HandlerCall::Made(_) => entry[0] += 1,
            HandlerCall::Lost => entry[1] += 1,
            HandlerCall::Open => entry[2] += 1,
            HandlerCall::Close(..) => entry[3] += 1,
            _ => {}
        }
    }
    for (id, [made, lost, opened, closed]) in books {
        assert_eq!((made, lost, opened), (1, 1, closed), "connection {id}: {events:?}");
    }
}

#[test]
fn a2_every_non_closing_call_is_allowed_in_every_server_callback() {
    for hook in OF_A_SERVER {
        let (server, calls, mut peer) = provoke(hook, everything);
        if hook != Hook::Close {
            for text in ["sent", "broadcast"] {
                while peer.next_frame().unwrap().payload() != text.as_bytes() {}
            }
        }
        if !matches!(hook, Hook::Close | Hook::Shutdown) {
            peer.send_text("still there?");
            peer.send(Frame::close(CloseCode::Normal, ""));
        }
        assert!(matches!(peer.ending(), Ending::Close(_)), "{hook:?}");
        drop(peer);
        let mut events = Vec::new();
        while !matches!(events.last(), Some((0, HandlerCall::Lost))) {
            events.push(calls.next());
        }
        if hook != Hook::Shutdown {
            server.all.shutdown().unwrap();
        }
        server.join().unwrap().unwrap();
        events.extend(calls.rest());
        check_books(&events);
        let made = events.iter().filter(|(_, call)| matches!(call, HandlerCall::Made(_))).count();
        // A loop that ends makes no more connections.
        assert_eq!(made, if hook == Hook::Shutdown { 1 } else { 3 }, "{hook:?}");
    }
}

#[test]
fn a2_close_is_allowed_in_every_server_callback() {
    for hook in OF_A_SERVER {
        let (server, calls, mut peer) =
            provoke(hook, |out| out.close_with_reason(CloseCode::Again, "enough"));
        assert_eq!(peer.ending(), Ending::Close(CloseCode::Again), "{hook:?}");
        drop(peer);
        if hook != Hook::Shutdown {
            server.all.shutdown().unwrap();
        }
        server.join().unwrap().unwrap();
        check_books(&calls.rest());
    }
}

#[test]
fn a2_shutdown_is_allowed_in_every_server_callback() {
    for hook in OF_A_SERVER {
        let (server, calls, mut peer) = provoke_shutdown(hook);
        let expected = match hook {
            Hook::Close => Ending::Close(CloseCode::Normal),
            _ => Ending::Close(CloseCode::Away),
        };
        assert_eq!(peer.ending(), expected, "{hook:?}");
        drop(peer);
        server.join().unwrap().unwrap();
        let events = calls.rest();
        check_books(&events);
        assert_eq!(events.iter().filter(|(_, call)| matches!(call, HandlerCall::End)).count(), 1);
    }
}

fn provoke_shutdown(hook: Hook) -> (Server, HandlerCalls, Peer) {
    provoke(hook, Sender::shutdown)
}

/// Lets no Close out.
struct Stubborn;

impl Handler for Stubborn {
    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        Ok((frame.opcode() != OpCode::Close).then_some(frame))
    }
}

#[test]
fn a2_a_handler_that_drops_its_close_does_not_block_a_shutdown() {
    let server = Server::start(Settings::default(), |_| Stubborn);
    let mut peer = Peer::open(server.addr);
    server.all.shutdown().unwrap();
    assert_eq!(peer.ending(), Ending::Cut);
    server.join().unwrap().unwrap();
}

#[test]
fn a2_messages_sent_in_on_shutdown_are_delivered() {
    let (server, _ear) = Probes::listen(Settings::default(), |hook, out| {
        if hook == Hook::Shutdown {
            out.send("at")?;
            out.try_send("last")?;
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    server.all.shutdown().unwrap();
    assert_eq!([peer.message(), peer.message()], ["at", "last"]);
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Away));
    drop(peer);
    server.join().unwrap().unwrap();
}

/// Runs a client whose handler does the deed, to a server that lets it in or does not.
fn run_client(hook: Hook, deed: Deed) -> Vec<(u32, HandlerCall)> {
    struct Doorman(bool);
    impl Handler for Doorman {
        fn on_request(&mut self, req: &Request) -> Result<Response> {
            if self.0 { Response::from_request(req) } else { Ok(Response::new(404, "Not Found", Vec::new())) }
        }
    }
    let server = Server::start(Settings::default(), move |_| Doorman(hook != Hook::Rejected));
    let (probes, calls) = Probes::new(move |called, out| {
        if called == hook && out.connection_id() == 0 {
            deed(out)?;
        }
        if called == Hook::Open { out.close(CloseCode::Normal) } else { Ok(()) }
    });
    let mut socket = WebSocket::new(probes).unwrap();
    socket.connect(server.url().parse().unwrap()).unwrap();
    socket.run().unwrap();
    calls.rest()
}

#[test]
fn a2_every_call_is_allowed_in_every_client_callback() {
    for hook in [Hook::BuildRequest, Hook::Response, Hook::Rejected] {
        for deed in [everything, |out: &Sender| out.close(CloseCode::Again), Sender::shutdown] {
            check_books(&run_client(hook, deed));
        }
    }
}

/// A factory that does everything in each of its methods.
struct Busy(Probes);

impl Factory for Busy {
    type Handler = Probe;

    fn connection_made(&mut self, out: Sender) -> Probe {
        if out.connection_id() == 0 {
            everything(&out).unwrap();
        }
        self.0.connection_made(out)
    }

    fn connection_lost(&mut self, probe: Probe) {
        if probe.out.connection_id() == 0 {
            let err = everything(&probe.out).unwrap_err();
            assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected)), "{err:?}");
        }
        self.0.connection_lost(probe);
    }

    fn on_shutdown(&mut self) {
        self.0.on_shutdown();
    }
}

#[test]
fn a2_every_call_is_allowed_in_every_factory_callback() {
    let (probes, calls) = Probes::quiet();
    let server = Server::start(Settings::default(), Busy(probes));
    let mut peer = Peer::open(server.addr);
    assert_eq!([peer.message(), peer.message()], ["sent", "broadcast"]);
    peer.finish();
    let mut lost = [false; 5];
    while lost.contains(&false) {
        let (id, call) = calls.next();
        lost[id as usize] |= matches!(call, HandlerCall::Lost);
    }
    server.stop();
}
