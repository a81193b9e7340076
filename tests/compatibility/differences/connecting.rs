//! A connection that fails to open: its handler and the caller of `connect` receive the reason.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::thread;

use ws::{CloseCode, Error, ErrorKind, Handler, Handshake, Request, Response, Result, connect};

use crate::support::{Server, guarded, join};

type Log = Rc<RefCell<Vec<String>>>;

struct Traced {
    log: Log,
}

impl Traced {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

impl Handler for Traced {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.note("open");
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        self.note("close");
    }

    fn on_error(&mut self, _: Error) {
        self.note("error");
    }

    fn on_rejected(&mut self, res: &Response) {
        self.note(format!("rejected with {}", res.status()));
    }
}

/// The error of `connect`, and the calls of the handler.
fn attempt(url: String) -> (Error, Vec<String>) {
    let log = Log::default();
    let err = connect(url, |_| Traced { log: Rc::clone(&log) }).unwrap_err();
    (err, log.take())
}

#[test]
fn a_refused_connection_is_an_error() {
    guarded(|| {
        let (err, log) = attempt("ws://127.0.0.1:1".into());
        assert!(matches!(err.kind, ErrorKind::Io(_)), "{err:?}");
        assert_eq!(log, ["error"]);
    });
}

#[test]
fn an_unknown_scheme_is_an_error() {
    guarded(|| {
        for url in ["http://127.0.0.1:1", "gopher://127.0.0.1:1"] {
            let (err, log) = attempt(url.into());
            assert!(!err.to_string().is_empty());
            assert_eq!(log, ["error"], "{url}");
        }
    });
}

#[test]
fn an_unknown_host_is_an_error() {
    guarded(|| {
        let (_, log) = attempt("ws://nobody.invalid:1".into());
        assert_eq!(log, ["error"]);
    });
}

#[test]
fn a_disconnect_before_the_response_is_an_error() {
    guarded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || drop(listener.accept().unwrap()));
        let (_, log) = attempt(url);
        assert_eq!(log, ["error"]);
        join(server);
    });
}

struct Status(u16);

impl Handler for Status {
    fn on_request(&mut self, _: &Request) -> Result<Response> {
        let mut res = Response::new(self.0, "", Vec::new());
        res.headers_mut().push(("Location".into(), b"/elsewhere".to_vec()));
        Ok(res)
    }
}

#[test]
fn another_status_calls_on_rejected_and_is_an_error() {
    guarded(|| {
        for status in [200, 302, 404, 503] {
            let server = Server::run(move || move |_| Status(status));
            let (_, log) = attempt(server.url());
            assert_eq!(log, [format!("rejected with {status}"), "error".into()]);
            server.stop();
        }
    });
}

#[test]
fn a_client_that_rejects_the_response_gets_no_on_open_or_on_close() {
    struct Picky(Traced);
    impl Handler for Picky {
        fn on_response(&mut self, _: &Response) -> Result<()> {
            Err(Error::new(ErrorKind::Protocol, "not like this"))
        }
        fn on_open(&mut self, shake: Handshake) -> Result<()> {
            self.0.on_open(shake)
        }
        fn on_close(&mut self, code: CloseCode, reason: &str) {
            self.0.on_close(code, reason);
        }
        fn on_error(&mut self, err: Error) {
            self.0.on_error(err);
        }
    }
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let log = Log::default();
        let err = connect(server.url(), |_| Picky(Traced { log: Rc::clone(&log) })).unwrap_err();
        assert_eq!(err.details, "not like this");
        assert_eq!(*log.borrow(), ["error"]);
        server.stop();
    });
}

/// A server that is full may respond as soon as it has accepted, before it has read a request.
#[test]
fn a_response_that_arrives_before_the_request_is_sent_is_received() {
    const ATTEMPTS: usize = 20;
    guarded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(ATTEMPTS) {
                let mut stream = stream.unwrap();
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
                // Until the client has gone.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        for _ in 0..ATTEMPTS {
            let (_, log) = attempt(url.clone());
            assert_eq!(log, ["rejected with 503", "error"]);
        }
        join(server);
    });
}
