//! A3: an error of every kind, returned from every method of a handler.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use httparse::Error as HttpError;
use sockeye::{CloseCode, Error, ErrorKind, QueueError, Settings};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::{
    HandlerCall, HandlerCalls, Hook, Probes, send_too_much, wait_until_blocked,
};
use sockeye_test_support::server::Server;

const KINDS: [&str; 8] = ["internal", "capacity", "protocol", "encoding", "io", "http", "queue", "custom"];

#[expect(invalid_from_utf8, reason = "an error is wanted")]
fn error(kind: &str) -> Error {
    let kind = match kind {
        "internal" => ErrorKind::Internal,
        "capacity" => ErrorKind::Capacity,
        "protocol" => ErrorKind::Protocol,
        "encoding" => ErrorKind::Encoding(std::str::from_utf8(&[0xff]).unwrap_err()),
        "io" => ErrorKind::Io(io::ErrorKind::Other.into()),
        "http" => ErrorKind::Http(HttpError::Token),
        "queue" => ErrorKind::Queue(QueueError::Full),
        _ => ErrorKind::Custom("custom".into()),
    };
    Error::new(kind, "a detail that must stay here")
}

fn is_same(a: &ErrorKind, b: &ErrorKind) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// The table in the documentation of `Handler`; `None` where the connection goes on.
fn documented(kind: &str) -> Option<Ending> {
    match kind {
        "internal" => Some(Ending::Close(CloseCode::Error)),
        "capacity" => Some(Ending::Close(CloseCode::Size)),
        "protocol" => Some(Ending::Close(CloseCode::Protocol)),
        "encoding" => Some(Ending::Close(CloseCode::Invalid)),
        "io" | "http" => Some(Ending::Cut),
        _ => None,
    }
}

/// A server whose handlers return an error from one method, once; they see to it that the method is called.
fn failing(hook: Hook, kind: &'static str) -> (Server, HandlerCalls) {
    let has_failed = AtomicBool::new(false);
    Probes::listen(Settings::default(), move |called, out| {
        match (hook, called) {
            (Hook::Timeout | Hook::NewTimeout, Hook::Open) => out.timeout(0, 1.into())?,
            (_, Hook::Message) => out.send("answer")?,
            _ => {}
        }
        if called == hook && !has_failed.swap(true, Ordering::Relaxed) { Err(error(kind)) } else { Ok(()) }
    })
}

fn check(hook: Hook, kind: &'static str) {
    let (server, calls) = failing(hook, kind);
    let mut peer = Peer::connect(server.addr);
    peer.send(UPGRADE);
    if matches!(hook, Hook::Message | Hook::Frame | Hook::SendFrame) || documented(kind).is_none() {
        peer.send_text("question");
    }
    match documented(kind) {
        Some(Ending::Cut) => {
            // A connection that is dropped early was never open for its peer.
            let received = peer.rest().0;
            assert!(received.is_empty() || received.ends_with(b"\r\n\r\n"), "{hook:?} {kind}");
        }
        expected => {
            assert!(peer.head().text.starts_with("HTTP/1.1 101 "));
            match expected {
                Some(expected) => assert_eq!(peer.ending(), expected, "{hook:?} {kind}"),
                None if matches!(hook, Hook::Frame | Hook::SendFrame) => {}
                None => assert_eq!(peer.message(), "answer", "{hook:?} {kind}"),
            }
        }
    }
    let received = calls.error();
    assert!(is_same(&received, &error(kind).kind), "{hook:?} {kind}: {received:?}");
    drop(peer);
    assert_eq!(calls.close(), CloseCode::Abnormal, "{hook:?} {kind}");
    calls.lost();
    server.stop();
}

#[test]
fn a3_every_error_kind_of_an_open_connection_has_its_documented_effect() {
    for hook in [Hook::Open, Hook::Message, Hook::Frame, Hook::SendFrame, Hook::Timeout, Hook::NewTimeout] {
        for kind in KINDS {
            check(hook, kind);
        }
    }
}

#[test]
fn a3_every_error_kind_for_a_sent_close_has_its_documented_effect() {
    for kind in KINDS {
        let (server, calls) = Probes::listen(Settings::default(), move |called, out| match called {
            Hook::Message => out.close(CloseCode::Normal),
            Hook::SendFrame => Err(error(kind)),
            _ => Ok(()),
        });
        let mut peer = Peer::open(server.addr);
        peer.send_text("close");
        assert!(is_same(&calls.error(), &error(kind).kind), "{kind}");
        match documented(kind) {
            // The Close by which the error is answered is not shown to the handler again, and goes out.
            Some(expected) => assert_eq!(peer.ending(), expected, "{kind}"),
            None => {
                // The Close is not sent, and the connection goes on until it closes by itself.
                peer.send_text("close");
                assert!(is_same(&calls.error(), &error(kind).kind), "{kind}");
            }
        }
        drop(peer);
        assert_eq!(calls.close(), CloseCode::Abnormal);
        server.stop();
    }
}

#[test]
fn a3_every_error_kind_of_on_drain_has_its_documented_effect() {
    for kind in KINDS {
        let (server, calls) = Probes::listen(Settings::default(), move |called, out| match called {
            Hook::Open => send_too_much(out),
            Hook::Message => out.send("answer"),
            Hook::Drain => Err(error(kind)),
            _ => Ok(()),
        });
        let mut peer = Peer::open(server.addr);
        wait_until_blocked(calls.first());
        match documented(kind) {
            Some(expected) => assert_eq!(peer.ending(), expected, "{kind}"),
            None => {
                while !peer.next_frame().unwrap().is_final() {}
                assert!(is_same(&calls.error(), &error(kind).kind));
                peer.send_text("question");
                assert_eq!(peer.message(), "answer");
            }
        }
        drop(peer);
        server.stop();
    }
}

#[test]
fn a3_every_error_kind_of_on_request_has_its_documented_effect() {
    for kind in KINDS {
        let (server, calls) = failing(Hook::Request, kind);
        let mut peer = Peer::connect(server.addr);
        peer.send(UPGRADE);
        let status = match kind {
            "protocol" => Some("HTTP/1.1 400 "),
            "io" => None,
            _ => Some("HTTP/1.1 500 "),
        };
        let response = String::from_utf8(peer.rest().0).unwrap();
        assert!(response.starts_with(status.unwrap_or_default()), "{kind}: {response}");
        assert_eq!(response.is_empty(), status.is_none(), "{kind}: {response}");
        assert!(!response.contains("detail"), "{kind}: {response}");
        drop(peer);
        assert!(is_same(&calls.error(), &error(kind).kind));
        calls.lost();
        server.stop();
        assert!(
            !calls.rest().iter().any(|(_, call)| matches!(call, HandlerCall::Open | HandlerCall::Close(..)))
        );
    }
}

#[test]
fn a3_every_error_kind_of_a_connecting_client_ends_the_attempt() {
    let server = Server::start(Settings::default(), |_| |_| Ok(()));
    for hook in [Hook::BuildRequest, Hook::Response] {
        for kind in KINDS {
            let (probes, calls) =
                Probes::new(move |called, _| if called == hook { Err(error(kind)) } else { Ok(()) });
            let mut socket = sockeye::WebSocket::new(probes).unwrap();
            socket.connect(server.url().parse().unwrap()).unwrap();
            socket.run().unwrap();
            assert!(is_same(&calls.error(), &error(kind).kind), "{hook:?} {kind}");
            calls.lost();
            assert!(
                !calls
                    .rest()
                    .iter()
                    .any(|(_, call)| matches!(call, HandlerCall::Open | HandlerCall::Close(..)))
            );
        }
    }
}
