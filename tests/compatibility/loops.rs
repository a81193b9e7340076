//! Loops: where they listen, where they connect to, and when they end.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use ws::{Builder, CloseCode, Error, ErrorKind, Handler, Message, Result, Sender, Settings, WebSocket};

use crate::support::{Server, bound, guarded, join};

struct Quiet;

impl Handler for Quiet {}

#[test]
fn local_addr_returns_the_bound_address() {
    let socket = WebSocket::new(|_| Quiet).unwrap();
    assert_eq!(socket.local_addr().unwrap_err().kind(), io::ErrorKind::NotFound);
    let socket = socket.bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    assert!(addr.ip().is_loopback() && addr.port() != 0);
}

#[test]
fn bind_uses_the_first_available_address() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = WebSocket::new(|_| Quiet).unwrap().bind(&[taken, any][..]).unwrap();
    assert_ne!(socket.local_addr().unwrap(), taken);
    let err = WebSocket::new(|_| Quiet).unwrap().bind(taken).err().unwrap();
    assert!(matches!(err.kind, ErrorKind::Io(_)), "{err}");
    drop(holder);
}

#[test]
fn a_loop_without_connections_can_be_shut_down() {
    guarded(|| {
        let factory = |_: Sender| -> Quiet { panic!("nobody came") };
        let socket = Builder::new().build(factory).unwrap().bind("127.0.0.1:0").unwrap();
        let stop = socket.broadcaster();
        let server = thread::spawn(move || socket.run().map(drop));
        stop.shutdown().unwrap();
        join(server).unwrap();
    });
}

#[test]
fn a_shutdown_requested_before_run_ends_the_loop() {
    guarded(|| {
        let socket = bound(Settings::default(), |_| Quiet);
        socket.broadcaster().shutdown().unwrap();
        drop(socket.run().unwrap());
    });
}

#[test]
fn many_connections_can_be_requested_before_run() {
    const MANY: usize = 40;
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let url: url::Url = server.url().parse().unwrap();
        let answers = RefCell::new(Vec::new());
        let mut clients = WebSocket::new(|out: Sender| {
            out.send(out.connection_id().to_string()).unwrap();
            let answers = &answers;
            move |msg: Message| {
                answers.borrow_mut().push(msg.as_text()?.parse::<usize>().unwrap());
                out.close(CloseCode::Normal)
            }
        })
        .unwrap();
        for _ in 0..MANY {
            clients.connect(url.clone()).unwrap();
        }
        // The loop of a pure client ends with its last connection.
        drop(clients.run().unwrap());
        let mut answers = answers.into_inner();
        answers.sort_unstable();
        assert!(answers.into_iter().eq(0..MANY));
        server.stop();
    });
}

#[test]
fn calls_of_connect_can_be_chained() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let url: url::Url = server.url().parse().unwrap();
        let mut clients = WebSocket::new(|out: Sender| {
            out.send("x").unwrap();
            move |_| out.close(CloseCode::Normal)
        })
        .unwrap();
        clients.connect(url.clone()).unwrap().connect(url).unwrap();
        drop(clients.run().unwrap());
        server.stop();
    });
}

/// A server, and its client on the same loop; `listen` is `bind` and `run` in one.
#[test]
fn listen_binds_and_runs() {
    guarded(|| {
        let target = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let mut both = WebSocket::new(|out: Sender| {
            out.send("x").unwrap();
            move |_| out.shutdown()
        })
        .unwrap();
        both.connect(target.url().parse().unwrap()).unwrap();
        both.listen("127.0.0.1:0").map(drop).unwrap();
        target.stop();
    });
}

#[test]
fn a_refused_connection_is_an_io_error_of_its_handler() {
    struct Refused<'a>(&'a Cell<Option<io::ErrorKind>>);
    impl Handler for Refused<'_> {
        fn on_error(&mut self, err: Error) {
            if let ErrorKind::Io(err) = err.kind {
                self.0.set(Some(err.kind()));
            }
        }

        fn on_message(&mut self, _: Message) -> Result<()> {
            unreachable!();
        }
    }
    guarded(|| {
        let seen = Cell::new(None);
        // Whether this is an error to the caller of `connect` is where Sockeye and `ws` part.
        let _ = ws::connect("ws://127.0.0.1:1", |_| Refused(&seen));
        assert_eq!(seen.get(), Some(io::ErrorKind::ConnectionRefused));
    });
}

/// Asks its loop to end from the outside, over and over: the `Sender` may be used by many threads at once.
#[test]
fn any_thread_can_request_a_shutdown() {
    guarded(|| {
        let server = Server::run(|| |_| Quiet);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let stop = server.all.clone();
                // Who comes too late finds the loop gone, and that is an error.
                thread::spawn(move || drop(stop.shutdown()))
            })
            .collect();
        threads.into_iter().for_each(join);
        server.wait();
    });
}
