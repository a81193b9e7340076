//! Types that implement `Factory`: they distinguish the two roles, keep state, and get their handlers back.

use std::cell::RefCell;
use std::rc::Rc;

use ws::{CloseCode, Factory, Handler, Handshake, Message, Result, Sender, WebSocket};

use crate::support::{bound, guarded};

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Which end of a connection a handler stands at.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Client,
    Server,
}

struct End {
    role: Role,
    out: Sender,
    received: usize,
}

impl Handler for End {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        match self.role {
            Role::Client => self.out.send("question"),
            Role::Server => Ok(()),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.received += msg.len();
        match self.role {
            Role::Client => self.out.close(CloseCode::Normal),
            Role::Server => self.out.send("answer"),
        }
    }
}

/// Records what it is asked for, and ends the loop when both ends are back.
struct Recorder {
    log: Log,
    lost: usize,
    received: usize,
}

impl Recorder {
    fn new(log: &Log) -> Self {
        Self { log: Rc::clone(log), lost: 0, received: 0 }
    }

    fn note(&self, what: &'static str) {
        self.log.borrow_mut().push(what);
    }
}

impl Factory for Recorder {
    type Handler = End;

    fn connection_made(&mut self, _: Sender) -> End {
        unreachable!("both roles are distinguished");
    }

    fn client_connected(&mut self, out: Sender) -> End {
        self.note("client_connected");
        End { role: Role::Client, out, received: 0 }
    }

    fn server_connected(&mut self, out: Sender) -> End {
        self.note("server_connected");
        End { role: Role::Server, out, received: 0 }
    }

    fn connection_lost(&mut self, end: End) {
        self.note("connection_lost");
        self.lost += 1;
        self.received += end.received;
        if self.lost == 2 {
            assert_eq!(self.received, "question".len() + "answer".len());
            end.out.shutdown().unwrap();
        }
    }

    fn on_shutdown(&mut self) {
        self.note("on_shutdown");
    }
}

#[test]
fn factory_methods_are_called_in_order_for_both_roles() {
    guarded(|| {
        let log = Log::default();
        let mut socket = bound(ws::Settings::default(), Recorder::new(&log));
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        assert_eq!(
            *log.borrow(),
            ["client_connected", "server_connected", "connection_lost", "connection_lost", "on_shutdown"]
        );
    });
}

/// Needs nothing but the one method that has no default, and adds up in a place that it borrows.
struct Tally<'a> {
    totals: &'a mut Vec<usize>,
}

impl Factory for Tally<'_> {
    type Handler = End;

    fn connection_made(&mut self, out: Sender) -> End {
        let role = if self.totals.is_empty() { Role::Client } else { Role::Server };
        self.totals.push(0);
        End { role, out, received: 0 }
    }

    fn connection_lost(&mut self, end: End) {
        self.totals[usize::from(end.role == Role::Server)] += end.received;
        if self.totals.iter().all(|total| *total > 0) {
            end.out.shutdown().unwrap();
        }
    }
}

#[test]
fn connection_made_serves_both_roles_and_connection_lost_returns_the_handler() {
    guarded(|| {
        let mut totals = Vec::new();
        let mut socket = bound(ws::Settings::default(), Tally { totals: &mut totals });
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        assert_eq!(totals, ["answer".len(), "question".len()]);
    });
}

/// Hands out handlers of one boxed type behind a struct, numbered.
struct Numbered(u32);

struct Either(Box<dyn Handler>);

impl Handler for Either {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.on_message(msg)
    }
}

impl Factory for Numbered {
    type Handler = Either;

    fn connection_made(&mut self, out: Sender) -> Either {
        self.0 += 1;
        if self.0 == 1 {
            out.send("first").unwrap();
            Either(Box::new(move |_| out.shutdown()))
        } else {
            Either(Box::new(move |msg| out.send(msg)))
        }
    }
}

#[test]
fn a_factory_can_return_different_boxed_handlers_in_one_type() {
    guarded(|| {
        let socket = WebSocket::new(Numbered(0)).unwrap();
        let mut socket = socket.bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
    });
}
