//! `Error`: built as a literal, matched by kind, made by `?`; and what an error of a handler does to its connection.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::io;
use std::rc::Rc;

use ws::{CloseCode, Error, ErrorKind, Handler, Message, Result, Sender, Settings, connect};

use crate::support::{Server, guarded};

/// Names every kind; exhaustive, as programs write it.
fn name(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Internal => "internal",
        ErrorKind::Capacity => "capacity",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Encoding(_) => "encoding",
        ErrorKind::Io(_) => "io",
        ErrorKind::Http(_) => "http",
        ErrorKind::Queue(_) => "queue",
        ErrorKind::Custom(_) => "custom",
        #[cfg(feature = "ssl")]
        ErrorKind::Ssl(_) => "ssl",
        #[cfg(feature = "ssl")]
        ErrorKind::SslHandshake(_) => "ssl handshake",
    }
}

#[test]
fn errors_can_be_built_and_destructured() {
    let err = Error { kind: ErrorKind::Internal, details: "out of tea".into() };
    let Error { kind, details } = err;
    assert_eq!((name(&kind), &*details), ("internal", "out of tea"));
    let owned = Error { kind: ErrorKind::Capacity, details: format!("{} of {}", 3, 2).into() };
    assert_eq!(owned.to_string(), "3 of 2");
    let silent = Error::new(ErrorKind::Protocol, "").to_string();
    assert!(!silent.is_empty() && !silent.ends_with(": "), "{silent}");
    assert_eq!(Error::new(ErrorKind::Internal, String::from("x")).details, "x");
    assert!(format!("{:?}", Error::new(ErrorKind::Internal, "why")).contains("why"));
}

#[test]
fn errors_convert_from_other_errors() {
    fn io_error() -> Result<()> {
        Err(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(())
    }
    fn parse_error() -> Result<i32> {
        Ok("x".parse::<i32>().map_err(Box::new)?)
    }
    fn utf8_error() -> Result<String> {
        Ok(std::str::from_utf8([0xff].as_slice())?.to_owned())
    }
    assert!(
        matches!(io_error().unwrap_err().kind, ErrorKind::Io(err) if err.kind() == io::ErrorKind::NotFound)
    );
    assert_eq!(name(&parse_error().unwrap_err().kind), "custom");
    assert_eq!(name(&utf8_error().unwrap_err().kind), "encoding");
    let custom = Error::new(ErrorKind::Custom("any text".into()), "details");
    assert!(matches!(&custom.kind, ErrorKind::Custom(inner) if inner.to_string() == "any text"));
    assert_eq!(name(&custom.kind), "custom");
}

#[test]
fn errors_convert_into_boxes() {
    fn program() -> std::result::Result<(), Box<dyn StdError>> {
        Err(Error::new(ErrorKind::Protocol, "boxed"))?;
        Ok(())
    }
    assert_eq!(program().unwrap_err().to_string(), "boxed");
    let boxed: Box<dyn StdError> = Error::new(ErrorKind::Internal, "in a box").into_box();
    assert!(!boxed.to_string().is_empty());
    let inner = Error::new(ErrorKind::Custom(Box::new(io::Error::other("deep"))), "").into_box();
    assert_eq!(inner.to_string(), "deep");
}

#[test]
fn an_invalid_url_is_an_immediate_error() {
    let err = connect("no url at all", |_| |_| Ok(())).unwrap_err();
    assert_eq!(name(&err.kind), "internal");
}

/// Fails in the way that a message asks for.
struct Fragile {
    out: Sender,
    kinds: Rc<RefCell<Vec<&'static str>>>,
}

impl Handler for Fragile {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        let kind = match msg.as_text()? {
            "internal" => ErrorKind::Internal,
            "capacity" => ErrorKind::Capacity,
            "protocol" => ErrorKind::Protocol,
            "custom" => ErrorKind::Custom("harmless".into()),
            "io" => ErrorKind::Io(io::ErrorKind::Other.into()),
            _ => return self.out.send(msg),
        };
        Err(Error::new(kind, "as you wish"))
    }

    fn on_error(&mut self, err: Error) {
        self.kinds.borrow_mut().push(name(&err.kind));
        if let ErrorKind::Custom(_) = err.kind {
            self.out.send("reported").unwrap();
        }
    }
}

struct Asker<'a> {
    closed: &'a RefCell<Option<CloseCode>>,
    out: Sender,
}

impl Handler for Asker<'_> {
    fn on_message(&mut self, _: Message) -> Result<()> {
        self.out.close(CloseCode::Normal)
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.closed.replace(Some(code));
    }
}

/// Sends the words, and gives back the code that the connection was closed with.
fn closed_after(server: &Server, words: &[&[u8]]) -> CloseCode {
    let closed = RefCell::new(None);
    connect(server.url(), |out| {
        for word in words {
            match std::str::from_utf8(word) {
                Ok(text) => out.send(text).unwrap(),
                Err(_) => out.send(*word).unwrap(),
            }
        }
        Asker { closed: &closed, out }
    })
    .unwrap();
    closed.take().unwrap()
}

#[test]
fn every_error_kind_of_a_handler_has_its_close_code() {
    guarded(|| {
        let settings = Settings { panic_on_internal: false, ..Settings::default() };
        let server = Server::run_with(settings, || {
            let kinds = Rc::default();
            move |out| Fragile { out, kinds: Rc::clone(&kinds) }
        });
        assert_eq!(closed_after(&server, &[b"internal"]), CloseCode::Error);
        assert_eq!(closed_after(&server, &[b"capacity"]), CloseCode::Size);
        assert_eq!(closed_after(&server, &[b"protocol"]), CloseCode::Protocol);
        assert_eq!(closed_after(&server, &[&[0xff]]), CloseCode::Invalid);
        assert_eq!(closed_after(&server, &[b"io"]), CloseCode::Abnormal);
        server.stop();
    });
}

#[test]
fn a_custom_error_is_reported_and_the_connection_stays_open() {
    guarded(|| {
        let kinds: Rc<RefCell<Vec<&str>>> = Rc::default();
        let mut socket = crate::support::bound(Settings::default(), |out: Sender| {
            let client = out.connection_id() == 0;
            if client {
                out.send("custom").unwrap();
            }
            let fragile = Fragile { out: out.clone(), kinds: Rc::clone(&kinds) };
            Either { fragile, client: client.then_some(out) }
        });
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        assert_eq!(*kinds.borrow(), ["custom"]);
    });
}

/// The fragile server, or the client that asks it to go on, and then ends the loop.
struct Either {
    fragile: Fragile,
    client: Option<Sender>,
}

impl Handler for Either {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        match (&self.client, msg.as_text()?) {
            (Some(out), "reported") => out.send("and on"),
            (Some(out), _) => out.shutdown(),
            (None, _) => self.fragile.on_message(msg),
        }
    }

    fn on_error(&mut self, err: Error) {
        self.fragile.on_error(err);
    }
}

#[test]
fn a_sender_of_an_ended_loop_returns_a_queue_error() {
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let sender = server.all.clone();
        server.stop();
        let err = sender.send("too late").unwrap_err();
        match err.kind {
            ErrorKind::Queue(_) => {}
            other => panic!("{other:?}"),
        }
    });
}
