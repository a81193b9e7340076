//! A server that looks at the resource first, and lets another handler do the rest.

use std::cell::RefCell;

use ws::{CloseCode, Frame, Handler, Handshake, Message, Request, Response, Result, Sender, connect};

use crate::support::{Peer, Server, guarded};

/// Every connection begins here; `on_request` decides who goes on with it.
struct Router {
    out: Sender,
    inner: Box<dyn Handler>,
}

/// Stands in until the request is known.
struct Undecided;

impl Handler for Undecided {}

struct NotFound;

impl Handler for NotFound {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let mut res = Response::from_request(req)?;
        res.set_status(404);
        res.set_reason("Not Found");
        Ok(res)
    }
}

struct Shout {
    out: Sender,
    mark: char,
}

impl Handler for Shout {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.out.send(format!("shouting at {}", shake.request.resource()))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(format!("{}{}", msg.as_text()?.to_uppercase(), self.mark))
    }
}

impl Handler for Router {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let out = self.out.clone();
        self.inner = match req.resource() {
            // A closure is a handler like any other.
            "/echo" => Box::new(move |msg| out.send(msg)),
            "/shout" => Box::new(Shout { out, mark: '!' }),
            "/count" => {
                let lengths = RefCell::new(0);
                Box::new(move |msg: Message| {
                    *lengths.borrow_mut() += msg.len();
                    out.send(lengths.borrow().to_string())
                })
            }
            _ => Box::new(NotFound),
        };
        self.inner.on_request(req)
    }

    fn on_shutdown(&mut self) {
        self.inner.on_shutdown();
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.inner.on_open(shake)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.inner.on_message(msg)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.inner.on_close(code, reason);
    }

    fn on_error(&mut self, err: ws::Error) {
        self.inner.on_error(err);
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner.on_frame(frame)
    }
}

fn router() -> Server {
    Server::run(|| |out| Router { out, inner: Box::new(Undecided) })
}

/// Sends `lines`, and gives back the first `count` answers.
fn talk(url: String, lines: &[&str], count: usize) -> Vec<String> {
    let answers = RefCell::new(Vec::new());
    connect(url, |out| {
        for line in lines {
            out.send(*line).unwrap();
        }
        let answers = &answers;
        move |msg: Message| {
            answers.borrow_mut().push(msg.into_text()?);
            if answers.borrow().len() == count { out.close(CloseCode::Normal) } else { Ok(()) }
        }
    })
    .unwrap();
    answers.into_inner()
}

#[test]
fn a_router_selects_a_boxed_handler_by_resource() {
    guarded(|| {
        let server = router();
        assert_eq!(talk(server.at("/echo"), &["as it is"], 1), ["as it is"]);
        assert_eq!(talk(server.at("/shout"), &["hey"], 2), ["shouting at /shout", "HEY!"]);
        assert_eq!(talk(server.at("/count"), &["1", "22", "333"], 3), ["1", "3", "6"]);
        server.stop();
    });
}

#[test]
fn an_unknown_resource_is_not_found() {
    guarded(|| {
        let server = router();
        let mut peer = Peer::connect(server.addr);
        let request = crate::support::upgrade_request(server.addr, "GET").replace("GET / ", "GET /nowhere ");
        peer.send(request.as_bytes());
        let head = peer.head().text;
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        peer.rest_text();
        drop(peer);
        server.stop();
    });
}
