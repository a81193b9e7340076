//! Structs as handlers: state, shared state that cannot leave its thread, borrowed state, handlers around handlers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::thread;

use ws::util::{Timeout, Token};
use ws::{
    CloseCode, Error, Frame, Handler, Handshake, Message, Request, Response, Result, Sender, WebSocket,
    connect,
};

use crate::support::{Server, bound, guarded, join};

/// Answers every message with its number, and closes after the third.
struct Counter {
    out: Sender,
    count: usize,
}

impl Handler for Counter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        assert_eq!(shake.request.resource(), "/count?from=0");
        assert_eq!(shake.response.status(), 101);
        self.out.send("ready")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.count += 1;
        self.out.send(format!("{}: {msg}", self.count))?;
        if self.count == 3 {
            self.out.close_with_reason(CloseCode::Other(4000), "three it is")?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Transcript {
    lines: Vec<String>,
    closed: Option<(CloseCode, String)>,
}

/// Stores its messages where the caller of `connect` finds them afterwards.
struct Listener<'a> {
    out: Sender,
    transcript: &'a mut Transcript,
}

impl Handler for Listener<'_> {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        for line in ["a", "b", "c"] {
            self.out.send(line)?;
        }
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.transcript.lines.push(msg.into_text()?);
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.transcript.closed = Some((code, reason.to_owned()));
    }
}

#[test]
fn handlers_can_have_state_and_borrow() {
    guarded(|| {
        let server = Server::run(|| |out| Counter { out, count: 0 });
        let mut transcript = Transcript::default();
        {
            let mut place = Some(&mut transcript);
            connect(server.at("/count?from=0"), |out| Listener { out, transcript: place.take().unwrap() })
                .unwrap();
        }
        assert_eq!(transcript.lines, ["ready", "1: a", "2: b", "3: c"]);
        assert_eq!(transcript.closed, Some((CloseCode::Other(4000), "three it is".to_owned())));
        server.stop();
    });
}

/// A room is shared by its members, all on one thread: `Rc`, no lock.
type Room = Rc<RefCell<HashMap<Token, Sender>>>;

struct Member {
    out: Sender,
    room: Room,
    left: Rc<Cell<usize>>,
}

impl Handler for Member {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.room.borrow_mut().insert(self.out.token(), self.out.clone());
        if self.room.borrow().len() == 3 {
            for member in self.room.borrow().values() {
                member.send("the room is full")?;
            }
        }
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        self.room.borrow_mut().remove(&self.out.token());
        self.left.set(self.left.get() + 1);
        if self.room.borrow().is_empty() {
            self.out.shutdown().unwrap();
        }
    }
}

#[test]
fn handlers_can_share_values_that_are_not_send() {
    guarded(|| {
        let server = Server::run(|| {
            let room = Room::default();
            let left = Rc::new(Cell::new(0));
            move |out| Member { out, room: Rc::clone(&room), left: Rc::clone(&left) }
        });
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let url = server.url();
                thread::spawn(move || {
                    connect(url, |out| {
                        move |msg: Message| {
                            assert_eq!(msg.as_text()?, "the room is full");
                            out.close(CloseCode::Normal)
                        }
                    })
                })
            })
            .collect();
        for client in clients {
            join(client).unwrap();
        }
        server.wait();
    });
}

/// Every hook has a default.
struct Silent;

impl Handler for Silent {}

#[test]
fn a_handler_without_methods_uses_the_defaults() {
    guarded(|| {
        let server = Server::run(|| |_| Silent);
        let opened = Cell::new(false);
        struct Once<'a>(Sender, &'a Cell<bool>);
        impl Handler for Once<'_> {
            fn on_open(&mut self, _: Handshake) -> Result<()> {
                self.1.set(true);
                self.0.send("nobody answers")?;
                self.0.ping(Vec::new())?;
                self.0.close(CloseCode::Normal)
            }
        }
        connect(server.url(), |out| Once(out, &opened)).unwrap();
        assert!(opened.get());
        server.stop();
    });
}

/// A handler around a handler passes every hook on, as programs do that add one thing to somebody else's handler.
struct Counted<H> {
    inner: H,
    calls: Rc<Cell<usize>>,
}

impl<H> Counted<H> {
    fn inner(&mut self) -> &mut H {
        self.calls.set(self.calls.get() + 1);
        &mut self.inner
    }
}

impl<H: Handler> Handler for Counted<H> {
    fn on_shutdown(&mut self) {
        self.inner().on_shutdown();
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.inner().on_open(shake)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.inner().on_message(msg)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.inner().on_close(code, reason);
    }

    fn on_error(&mut self, err: Error) {
        self.inner().on_error(err);
    }

    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.inner().on_request(req)
    }

    fn on_response(&mut self, res: &Response) -> Result<()> {
        self.inner().on_response(res)
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.inner().on_timeout(event)
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        self.inner().on_new_timeout(event, timeout)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner().on_frame(frame)
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner().on_send_frame(frame)
    }

    fn build_request(&mut self, url: &url::Url) -> Result<Request> {
        self.inner().build_request(url)
    }
}

#[test]
fn a_wrapping_handler_can_delegate_every_hook() {
    guarded(|| {
        let calls = Rc::new(Cell::new(0));
        let mut socket = bound(ws::Settings::default(), |out: Sender| {
            let client = out.connection_id() == 0;
            if client {
                out.send("there and back").unwrap();
            }
            let inner = move |msg| if client { out.shutdown() } else { out.send(msg) };
            Counted { inner, calls: Rc::clone(&calls) }
        });
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        // Client: build_request, on_response, on_open, on_send_frame, on_frame, on_message; the server one less.
        assert!(calls.get() >= 11, "{}", calls.get());
    });
}

#[test]
fn a_socket_with_send_handlers_can_move_to_another_thread() {
    guarded(|| {
        let socket = WebSocket::new(|out| Counter { out, count: 0 }).unwrap().bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/count?from=0", socket.local_addr().unwrap());
        let stop = socket.broadcaster();
        let server = thread::spawn(move || socket.run().map(drop));
        let mut transcript = Some(Transcript::default());
        let mut transcript = transcript.as_mut();
        connect(url, |out| Listener { out, transcript: transcript.take().unwrap() }).unwrap();
        stop.shutdown().unwrap();
        join(server).unwrap();
    });
}
