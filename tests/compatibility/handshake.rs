//! The opening handshake as programs take part in it: their headers, their subprotocols, their refusals.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;

use ws::{
    CloseCode, Error, ErrorKind, Handler, Handshake, Message, Request, Response, Result, Sender, connect,
};

use crate::support::{Peer, Server, guarded, upgrade_request};

/// Accepts clients that send their name, agrees on `chat.v2` if it is offered, and adds a header to the response.
struct Door {
    out: Sender,
    name: String,
}

impl Handler for Door {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let Some(name) = req.header("X-Name") else {
            return Ok(Response::new(401, "Unauthorized", b"who is it?".to_vec()));
        };
        self.name = String::from_utf8_lossy(name).into_owned();
        let mut res = Response::from_request(req)?;
        if req.protocols()?.contains(&"chat.v2") {
            res.set_protocol("chat.v2");
        }
        res.headers_mut().push(("X-Stamp".into(), b"door 1".to_vec()));
        Ok(res)
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        assert_eq!(shake.response.protocol()?, Some("chat.v2"));
        self.out.send(format!("welcome, {}, to {}", self.name, shake.request.resource()))
    }
}

/// Sends its name, and stores the response of the server.
struct Guest {
    out: Sender,
    log: Rc<RefCell<Vec<String>>>,
}

impl Handler for Guest {
    fn build_request(&mut self, url: &url::Url) -> Result<Request> {
        let mut req = Request::from_url(url)?;
        req.headers_mut().push(("X-Name".into(), b"Ada".to_vec()));
        req.headers_mut().push(("Origin".into(), b"http://localhost".to_vec()));
        req.add_protocol("chat.v3");
        req.add_protocol("chat.v2");
        Ok(req)
    }

    fn on_response(&mut self, res: &Response) -> Result<()> {
        let stamp = res.headers().iter().find(|(name, _)| name.eq_ignore_ascii_case("x-stamp"));
        let stamp = stamp.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        self.log.borrow_mut().push(format!("{} {:?} {:?}", res.status(), res.protocol()?, stamp));
        Ok(())
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        assert_eq!(shake.request.origin()?, Some("http://localhost"));
        assert!(shake.local_addr.is_some());
        self.log.borrow_mut().push(format!("open {}", shake.peer_addr.is_some()));
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.log.borrow_mut().push(msg.into_text()?);
        self.out.close(CloseCode::Normal)
    }
}

#[test]
fn both_ends_add_headers_and_negotiate_a_protocol() {
    guarded(|| {
        let server = Server::run(|| |out| Door { out, name: String::new() });
        let log = Rc::default();
        connect(server.at("/room"), |out| Guest { out, log: Rc::clone(&log) }).unwrap();
        let expected = ["101 Some(\"chat.v2\") Some(\"door 1\")", "open true", "welcome, Ada, to /room"];
        assert_eq!(*log.borrow(), expected);
        server.stop();
    });
}

#[test]
fn a_handler_can_reject_a_request_with_any_status() {
    guarded(|| {
        let server = Server::run(|| |out| Door { out, name: String::new() });
        let mut peer = Peer::connect(server.addr);
        peer.send(upgrade_request(server.addr, "GET").as_bytes());
        let answer = peer.rest_text();
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nwho is it?"), "{answer}");
        drop(peer);
        server.stop();
    });
}

#[test]
fn a_handler_can_redirect_a_client() {
    struct Elsewhere;
    impl Handler for Elsewhere {
        fn on_request(&mut self, req: &Request) -> Result<Response> {
            let mut res = Response::from_request(req)?;
            res.set_status(301);
            res.set_reason("Moved Permanently");
            res.headers_mut().push(("Location".into(), "ws://example.com/".into()));
            Ok(res)
        }
    }
    guarded(|| {
        let server = Server::run(|| |_| Elsewhere);
        let mut peer = Peer::connect(server.addr);
        peer.send(upgrade_request(server.addr, "GET").as_bytes());
        let answer = peer.rest_text();
        assert!(answer.starts_with("HTTP/1.1 301 Moved Permanently\r\n"), "{answer}");
        assert!(answer.contains("Location: ws://example.com/\r\n"), "{answer}");
        drop(peer);
        server.stop();
    });
}

/// Fails on the way in, with the kind that the resource names.
struct Refusing {
    errors: mpsc::Sender<String>,
}

impl Handler for Refusing {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let kind = if req.resource() == "/protocol" { ErrorKind::Protocol } else { ErrorKind::Internal };
        Err(Error::new(kind, "not in here"))
    }

    fn on_error(&mut self, err: Error) {
        self.errors.send(err.details.into_owned()).unwrap();
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        panic!("what was never open is not closed");
    }
}

#[test]
fn an_error_from_on_request_sends_an_error_status() {
    guarded(|| {
        let (errors, rx) = mpsc::channel();
        let server = Server::run(|| move |_| Refusing { errors: errors.clone() });
        for (resource, status) in [("/protocol", "400 Bad Request"), ("/other", "500 Internal Server Error")]
        {
            let mut peer = Peer::connect(server.addr);
            let request = upgrade_request(server.addr, "GET").replace("GET / ", &format!("GET {resource} "));
            peer.send(request.as_bytes());
            let answer = peer.rest_text();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
            assert_eq!(rx.recv().unwrap(), "not in here");
        }
        server.stop();
    });
}

/// Sends the address of the client.
struct Mirror(Sender);

impl Handler for Mirror {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let addr = shake.remote_addr()?.unwrap_or_else(|| "nowhere".into());
        assert_eq!(shake.peer_addr.map(|peer| peer.ip().to_string()), Some(addr.clone()));
        self.0.send(addr)
    }
}

#[test]
fn a_server_returns_the_address_of_its_client() {
    guarded(|| {
        let server = Server::run(|| Mirror);
        let seen = RefCell::new(String::new());
        connect(server.url(), |out| {
            let seen = &seen;
            move |msg: Message| {
                seen.replace(msg.into_text()?);
                out.close(CloseCode::Normal)
            }
        })
        .unwrap();
        assert_eq!(seen.into_inner(), "127.0.0.1");
        server.stop();
    });
}

/// Turns away a server that does not speak its protocol.
struct Picky {
    errors: Rc<RefCell<Vec<String>>>,
}

impl Handler for Picky {
    fn on_response(&mut self, res: &Response) -> Result<()> {
        match res.protocol()? {
            Some("mine") => Ok(()),
            _ => Err(Error::new(ErrorKind::Protocol, "not my protocol")),
        }
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        panic!("turned away before it was open");
    }

    fn on_error(&mut self, err: Error) {
        self.errors.borrow_mut().push(err.details.into_owned());
    }
}

#[test]
fn a_client_can_reject_a_response() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let errors = Rc::default();
        // Whether this is an error to the caller of `connect` is where Sockeye and `ws` part.
        let _ = connect(server.url(), |_| Picky { errors: Rc::clone(&errors) });
        assert_eq!(*errors.borrow(), ["not my protocol"]);
        server.stop();
    });
}
