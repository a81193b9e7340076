//! What errors print, and what they contain.

use std::error::Error as _;
use std::io;
use std::net::TcpListener;

use ws::{CloseCode, Error, ErrorKind, Handler, Message, Result, Sender, WebSocket, connect};

use crate::support::{Peer, Server, guarded};
use sockeye_test_support::child;

/// Every method of this handler is the default, except for one that fails.
struct Failing(#[expect(dead_code, reason = "a factory is a function of the sender")] Sender);

impl Handler for Failing {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        match msg.as_text()? {
            "internal" => Err(Error::new(ErrorKind::Internal, "out of tea")),
            _ => Err(Error::new(ErrorKind::Custom("out of coffee".into()), "")),
        }
    }
}

/// Lets the default `on_error` be called by every kind of cause. No logger is installed.
fn provoke_errors() {
    let server = Server::run(|| Failing);
    for text in ["custom", "internal"] {
        Peer::open(server.addr).send_text(text);
    }
    let mut peer = Peer::open(server.addr);
    peer.send_frame(0xf1, b"reserved bits");
    assert_eq!(peer.close_code(), Some(CloseCode::Protocol.into()));
    drop(Peer::open(server.addr));
    server.stop();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(connect(format!("ws://{refused}"), Failing).is_err());
    assert!(connect("ws://unknown.invalid", Failing).is_err());
}

#[test]
fn nothing_is_printed_to_standard_output() {
    const NAME: &str = "differences::errors::nothing_is_printed_to_standard_output";
    if child::is_child(NAME) {
        return provoke_errors();
    }
    guarded(|| {
        let output = child::output_of(NAME);
        let is_harness = |line: &&str| {
            line.is_empty()
                || ["running 1 test", "test result: "].iter().any(|start| line.starts_with(start))
                || *line == format!("test {NAME} ... ok")
        };
        let others: Vec<&str> = output.lines().filter(|line| !is_harness(line)).collect();
        assert!(others.is_empty() && output.contains(NAME), "{output}");
    });
}

#[test]
fn display_and_debug_are_the_same_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let err = WebSocket::new(Failing).unwrap().bind(address).unwrap_err();
    let expected = TcpListener::bind(address).unwrap_err();
    let sentence = format!("cannot listen on {address}: {expected}");
    assert_eq!((err.to_string(), format!("{err:?}")), (sentence.clone(), sentence));
    let fields = format!("{err:#?}");
    assert!(fields.starts_with("Error {") && fields.contains("kind: Io("), "{fields}");
    let ErrorKind::Io(cause) = &err.kind else { panic!("{fields}") };
    assert_eq!(cause.raw_os_error(), expected.raw_os_error());
}

#[test]
fn the_kinds_have_other_texts() {
    for (kind, text) in [
        (ErrorKind::Internal, "internal application error"),
        (ErrorKind::Capacity, "a limit was exceeded"),
        (ErrorKind::Protocol, "the WebSocket protocol was violated"),
    ] {
        assert_eq!(Error::new(kind, "").to_string(), text);
    }
    // The details replace the text of a kind without a cause, and precede that of a cause.
    assert_eq!(Error::new(ErrorKind::Internal, "out of tea").to_string(), "out of tea");
    let err = Error::new(ErrorKind::Custom("out of coffee".into()), "cannot serve breakfast");
    assert_eq!(err.to_string(), "cannot serve breakfast: out of coffee");
}

#[test]
fn source_returns_the_cause() {
    let err = Error::from(io::Error::from(io::ErrorKind::NotFound));
    assert!(err.source().is_some_and(|cause| cause.is::<io::Error>()));
    let err = Error::new(ErrorKind::Custom("out of coffee".into()), "cannot serve breakfast");
    assert_eq!(err.source().map(ToString::to_string).as_deref(), Some("out of coffee"));
    assert!(Error::new(ErrorKind::Internal, "out of tea").source().is_none());
}
