//! A handler and a factory that write down every call, and the conversations they are put into.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use ws::util::{Timeout, Token};
use ws::{
    CloseCode, Error, ErrorKind, Factory, Frame, Handler, Handshake, Message, Request, Response, Result,
    Sender, WebSocket,
};

use crate::support::{Peer, Server, join};

pub(crate) type Log = Rc<RefCell<Vec<String>>>;

/// What the handler does with a message.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    Echo,
    Close,
    Fail,
}

struct Traced {
    log: Log,
    out: Sender,
    plan: Plan,
}

impl Traced {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

impl Handler for Traced {
    fn on_shutdown(&mut self) {
        self.note("handler on_shutdown");
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.note("on_open");
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.note(format!("on_message {msg}"));
        match self.plan {
            Plan::Echo => self.out.send(msg),
            Plan::Close => self.out.close(CloseCode::Normal),
            Plan::Fail => Err(Error::new(ErrorKind::Protocol, "planned")),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.note(format!("on_close {code:?} {reason:?}"));
    }

    fn on_error(&mut self, err: Error) {
        self.note(format!("on_error {}", err.details));
    }

    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.note("on_request");
        Response::from_request(req)
    }

    fn on_response(&mut self, _: &Response) -> Result<()> {
        self.note("on_response");
        Ok(())
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.note("on_timeout");
        Ok(())
    }

    fn on_new_timeout(&mut self, _: Token, _: Timeout) -> Result<()> {
        self.note("on_new_timeout");
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.note(format!("on_frame {}", frame.opcode()));
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.note(format!("on_send_frame {}", frame.opcode()));
        Ok(Some(frame))
    }

    fn build_request(&mut self, url: &url::Url) -> Result<Request> {
        self.note("build_request");
        Request::from_url(url)
    }
}

/// Makes traced handlers, and ends the loop when the first connection is gone.
struct Tracer {
    log: Log,
    plan: Plan,
}

impl Tracer {
    fn handler(&self, made: &str, out: Sender) -> Traced {
        let handler = Traced { log: Rc::clone(&self.log), out, plan: self.plan };
        handler.note(made);
        handler
    }
}

impl Factory for Tracer {
    type Handler = Traced;

    fn connection_made(&mut self, out: Sender) -> Traced {
        self.handler("connection_made", out)
    }

    fn server_connected(&mut self, out: Sender) -> Traced {
        self.handler("server_connected", out)
    }

    fn client_connected(&mut self, out: Sender) -> Traced {
        let handler = self.handler("client_connected", out);
        handler.out.send("first words").unwrap();
        handler
    }

    fn connection_lost(&mut self, handler: Traced) {
        handler.note("connection_lost");
        handler.out.shutdown().unwrap();
    }

    fn on_shutdown(&mut self) {
        self.log.borrow_mut().push("factory on_shutdown".into());
    }
}

/// Lets `peer` talk to a traced server, and gives back what was called there.
pub(crate) fn server_trace(plan: Plan, peer: impl FnOnce(Peer)) -> Vec<String> {
    let (tx, rx) = mpsc::channel();
    let thread = thread::spawn(move || {
        let log = Log::default();
        let socket =
            WebSocket::new(Tracer { log: Rc::clone(&log), plan }).unwrap().bind("127.0.0.1:0").unwrap();
        tx.send(socket.local_addr().unwrap()).unwrap();
        drop(socket.run().unwrap());
        log.take()
    });
    peer(Peer::open(rx.recv().unwrap()));
    join(thread)
}

/// What a traced client is called for that talks to `server`.
pub(crate) fn client_trace(plan: Plan, server: &Server) -> Vec<String> {
    let log = Log::default();
    let mut client = WebSocket::new(Tracer { log: Rc::clone(&log), plan }).unwrap();
    client.connect(server.url().parse().unwrap()).unwrap();
    drop(client.run().unwrap());
    log.take()
}
