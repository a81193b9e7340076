//! The client of hyper over both versions of HTTP, and how clients check responses.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::server::conn::http1 as server_http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye::CloseCode;
use sockeye::futures::Error;
use sockeye::hyper as websocket;
use sockeye::protocol::ProtocolError;
use tokio::io::duplex;

use crate::support::{SERVERS, USUAL, h2_client, open, request, serve, within};

type Body = Empty<Bytes>;

#[tokio::test]
async fn hyper_connects_over_http2() {
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let (mut sender, connection) =
            http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (asked, pending) = websocket::http2_request(request().add_subprotocol("a")).unwrap();
        let response = within(sender.send_request(asked)).await.unwrap();
        let mut socket = within(websocket::open(pending, response)).await.unwrap();
        assert_eq!(socket.protocol(), Some("a"), "{kind:?}");
        within(socket.send("x".repeat(300_000))).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap().map(|message| message.len()), Some(300_000));
        assert!(within(socket.close(CloseCode::Normal, "")).await.unwrap().was_clean, "{kind:?}");
    }
}

/// Serves one connection of HTTP/1.1 with this function.
async fn http1_client(
    answer: impl Fn(Request<Incoming>) -> Response<Full<Bytes>> + Copy + Send + 'static,
) -> http1::SendRequest<Body> {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let answer = answer(request);
            async { Ok::<_, Infallible>(answer) }
        });
        let _ =
            server_http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades().await;
    });
    let (sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

#[tokio::test]
async fn hyper_connects_over_http1() {
    let mut sender = http1_client(|mut request| {
        websocket::upgrade(&mut request, crate::support::config(), |mut socket| async move {
            while let Ok(Some(message)) = socket.receive().await {
                let _ = socket.send(message).await;
            }
        })
    })
    .await;
    let (asked, pending) = websocket::http1_request(request().add_subprotocol("a")).unwrap();
    let response = within(sender.send_request(asked)).await.unwrap();
    let mut socket = within(websocket::open(pending, response)).await.unwrap();
    assert_eq!(socket.protocol(), Some("a"));
    within(socket.send("salmon")).await.unwrap();
    assert_eq!(within(socket.receive()).await.unwrap(), Some("salmon".into()));
    assert!(within(socket.close(CloseCode::Normal, "")).await.unwrap().was_clean);
}

#[tokio::test]
async fn a_rejection_contains_the_status_and_the_headers() {
    let asked = || request().add_header("Origin", "https://example.org").unwrap();
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let Err(Error::Rejected(rejected)) = open(&sender, asked()).await else {
            panic!("{kind:?}: accepted")
        };
        assert_eq!(rejected.response().status(), 403, "{kind:?}");
        assert!(rejected.response().header("content-type").is_some(), "{kind:?}");
    }
}

/// What a client finds in the response of a server over HTTP/1.1.
async fn open_http1(answer: fn(Request<Incoming>) -> Response<Full<Bytes>>) -> Error {
    let mut sender = http1_client(answer).await;
    let (asked, pending) = websocket::http1_request(request().add_subprotocol("a")).unwrap();
    let response = within(sender.send_request(asked)).await.unwrap();
    within(websocket::open(pending, response)).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn rfc6455_s4_1_invalid_responses_are_errors() {
    let error = open_http1(|_| Response::new(Full::from("a page"))).await;
    assert!(matches!(&error, Error::Rejected(rejected) if rejected.response().status() == 200), "{error:?}");

    let error = open_http1(|mut request| {
        let mut accepted = websocket::accept(&mut request, crate::support::config()).unwrap();
        accepted.upgrade_mut().response_mut().set_header("Sec-WebSocket-Accept", "x").unwrap();
        accepted.response().unwrap()
    })
    .await;
    assert!(matches!(error, Error::Protocol(ProtocolError::AcceptMismatch)), "{error:?}");

    let error = open_http1(|mut request| {
        let mut accepted = websocket::accept(&mut request, crate::support::config()).unwrap();
        accepted.upgrade_mut().response_mut().set_protocol("c");
        accepted.response().unwrap()
    })
    .await;
    assert!(matches!(error, Error::Protocol(ProtocolError::UnsolicitedProtocol)), "{error:?}");
}
