//! A shutdown loses nothing, notifies every connection, and calls every hook at the end of a connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use ws::{CloseCode, Factory, Handler, Message, Result, Sender, WebSocket, connect};

use crate::support::{Peer, Server, guarded, join};

const MANY: usize = 5_000;

/// Sends a lot of data, and shuts the loop down at once.
struct LastWords {
    out: Sender,
    log: Rc<RefCell<Vec<&'static str>>>,
}

impl Handler for LastWords {
    fn on_shutdown(&mut self) {
        self.log.borrow_mut().push("handler on_shutdown");
    }

    fn on_message(&mut self, _: Message) -> Result<()> {
        for number in 0..MANY {
            self.out.send(number.to_string())?;
        }
        self.out.shutdown()
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        assert_eq!(code, CloseCode::Away);
        self.log.borrow_mut().push("on_close");
    }
}

struct Speakers {
    log: Rc<RefCell<Vec<&'static str>>>,
}

impl Factory for Speakers {
    type Handler = LastWords;

    fn connection_made(&mut self, out: Sender) -> LastWords {
        LastWords { out, log: Rc::clone(&self.log) }
    }

    fn connection_lost(&mut self, handler: LastWords) {
        handler.log.borrow_mut().push("connection_lost");
    }

    fn on_shutdown(&mut self) {
        self.log.borrow_mut().push("factory on_shutdown");
    }
}

struct Audience<'a> {
    received: &'a RefCell<Vec<String>>,
}

impl Handler for Audience<'_> {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.received.borrow_mut().push(msg.into_text()?);
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        assert_eq!(code, CloseCode::Away);
        self.received.borrow_mut().push("closed".into());
    }
}

#[test]
fn a_shutdown_sends_queued_messages_and_then_1001() {
    guarded(|| {
        let (tx, rx) = mpsc::channel();
        let server = thread::spawn(move || {
            let log = Rc::default();
            let socket =
                WebSocket::new(Speakers { log: Rc::clone(&log) }).unwrap().bind("127.0.0.1:0").unwrap();
            tx.send(socket.local_addr().unwrap()).unwrap();
            drop(socket.run().unwrap());
            log.take()
        });
        let received = RefCell::new(Vec::new());
        connect(format!("ws://{}", rx.recv().unwrap()), |out| {
            out.send("your last words?").unwrap();
            Audience { received: &received }
        })
        .unwrap();
        let received = received.into_inner();
        assert_eq!(received.len(), MANY + 1);
        assert!((0..MANY).map(|number| number.to_string()).eq(received[..MANY].iter().cloned()));
        assert_eq!(received[MANY], "closed");

        let mut log = join(server);
        log.retain(|what| *what != "factory on_shutdown");
        assert_eq!(log, ["handler on_shutdown", "on_close", "connection_lost"]);
    });
}

#[test]
fn a_connecting_peer_does_not_block_a_shutdown() {
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let mut peer = Peer::connect(server.addr);
        peer.send(b"GET / HTTP/1.1\r\nHost: ");
        // Behind the first in the queue of the listener; when it is open, the first has been accepted.
        let mut open = Peer::open(server.addr);
        server.all.shutdown().unwrap();
        assert_eq!(open.close_code(), Some(1001));
        open.send(ws::Frame::close(CloseCode::Away, ""));
        assert!(!peer.rest_text().starts_with("HTTP/1.1 101"));
        drop((peer, open));
        server.wait();
    });
}
