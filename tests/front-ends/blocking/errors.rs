//! Each kind of failure is a variant of its own, with a cause and a text that contains the address or the host.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;

use sockeye::blocking::{Error, WebSocket};
use sockeye::protocol::{Config, ProtocolError};
use sockeye_test_support::bytes::{TEXT, masked};

use crate::{pair, served};

/// Checks the form of a text, and returns it.
fn text(err: &Error) -> String {
    let text = err.to_string();
    assert!(text.starts_with(|first: char| !first.is_uppercase()) && !text.ends_with('.'), "{text}");
    text
}

#[test]
fn a_lost_connection_is_not_a_protocol_error() {
    let (client, mut server) = pair();
    client.abort();
    let err = server.receive().unwrap_err();
    assert!(matches!(&err, Error::ConnectionLost(err) if err.kind() == ErrorKind::UnexpectedEof), "{err:?}");
    assert!(err.source().is_some() && text(&err).contains("lost"), "{err}");

    let (mut socket, peer) = served(Config::default());
    peer.reset();
    let err = socket.receive().unwrap_err();
    assert!(matches!(&err, Error::ConnectionLost(err) if err.raw_os_error().is_some()), "{err:?}");
    assert!(matches!(socket.send("late"), Err(Error::Closed)));
}

#[test]
fn a_protocol_error_contains_the_violated_rule() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&masked(TEXT, b"\xff"));
    let receiving = thread::spawn(move || socket.receive().unwrap_err());
    peer.expect_failure(1007);
    let err = receiving.join().unwrap();
    assert!(matches!(err, Error::Protocol(ProtocolError::InvalidUtf8)), "{err:?}");
    assert_eq!(err.source().unwrap().downcast_ref(), Some(&ProtocolError::InvalidUtf8));
    text(&err);
}

#[test]
fn a_refused_connection_is_an_error_that_contains_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let err = WebSocket::connect(&format!("ws://{address}/")).unwrap_err();
    assert!(text(&err).contains(&address.to_string()), "{err}");
    let Error::Connect { target, source } = &err else { panic!("{err:?}") };
    assert_eq!(*target, address.to_string());
    assert!(source.raw_os_error().is_some(), "{source:?}");
    // It stays recognizable in the error of the event loop.
    let err = sockeye::Error::from(err);
    assert!(err.to_string().contains(&address.to_string()), "{err}");
    assert!(matches!(err.kind, sockeye::ErrorKind::Io(err) if err.kind() == ErrorKind::ConnectionRefused));
}

#[test]
fn an_unsuitable_url_is_an_error_that_contains_it() {
    for (url, part) in [
        ("ws://[", "ws://["),
        ("ftp://example.com/", "ftp://example.com/"),
        ("ws://user:secret@[", "ws://***@["),
        ("ftp://user:secret@example.com/", "ftp://***@example.com/"),
    ] {
        let err = WebSocket::connect(url).unwrap_err();
        assert!(matches!(err, Error::Url(_)) && text(&err).contains(part), "{err}");
        assert!(!format!("{err} {err:?} {:?}", err.source()).contains("secret"), "{err:?}");
    }
    let err = WebSocket::connect("ws://[").unwrap_err();
    assert!(
        err.source().and_then(|err| err.source()).is_some_and(|err| err.is::<sockeye::url::ParseError>())
    );
}
