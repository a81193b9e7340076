//! The opening handshake of servers (RFC 8441 §5).

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::{HeaderMap, Method, StatusCode};

use crate::support::{Kind, SERVERS, USUAL, h2_client, raw, serve, within};

const VERSION: (&str, &str) = ("sec-websocket-version", "13");

async fn answer(sender: &SendRequest<Bytes>, request: hyper::Request<()>) -> (StatusCode, HeaderMap) {
    let mut sender = within(sender.clone().ready()).await.unwrap();
    let is_connect = request.method() == Method::CONNECT;
    let (response, _send) = sender.send_request(request, !is_connect).unwrap();
    let (head, _) = within(response).await.unwrap().into_parts();
    (head.status, head.headers)
}

/// Sends the request to each server, and expects this status.
async fn expect(status: u16, request: impl Fn() -> hyper::Request<()>) -> HeaderMap {
    let mut last = HeaderMap::new();
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let (found, headers) = answer(&sender, request()).await;
        assert_eq!(found, status, "{kind:?}");
        // RFC 9113 §8.2.2, and RFC 8441 §5.
        for forbidden in ["connection", "upgrade", "sec-websocket-accept", "transfer-encoding"] {
            assert!(!headers.contains_key(forbidden), "{kind:?}: {forbidden}");
        }
        last = headers;
    }
    last
}

fn connect(protocol: Option<&'static str>, headers: &[(&str, &str)]) -> hyper::Request<()> {
    raw(Method::CONNECT, protocol, headers)
}

#[tokio::test]
async fn s5_a_request_without_a_key_is_accepted_with_200() {
    let headers = expect(200, || connect(Some("websocket"), &[VERSION])).await;
    assert!(
        !headers.contains_key("sec-websocket-protocol") && !headers.contains_key("sec-websocket-extensions")
    );
}

#[tokio::test]
async fn s5_a_key_is_ignored() {
    expect(200, || connect(Some("websocket"), &[VERSION, ("sec-websocket-key", "invalid")])).await;
}

#[tokio::test]
async fn s4_another_protocol_is_not_implemented() {
    for protocol in ["connect-udp", "WebSocket", "websockets"] {
        expect(501, || connect(Some(protocol), &[VERSION])).await;
    }
}

#[tokio::test]
async fn s4_a_connect_without_a_protocol_is_rejected() {
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let (status, _) = answer(&sender, connect(None, &[VERSION])).await;
        // Such a request has no path, so axum's router finds nothing.
        assert_eq!(status, if kind == Kind::Axum { 404 } else { 501 }, "{kind:?}");
    }
}

#[tokio::test]
async fn a_get_is_not_allowed() {
    let headers = expect(405, || raw(Method::GET, None, &[VERSION])).await;
    assert_eq!(headers["allow"], "CONNECT");
}

#[tokio::test]
async fn rfc6455_s4_4_another_version_is_rejected_with_the_supported_one() {
    for headers in [&[("sec-websocket-version", "8")][..], &[], &[VERSION, VERSION]] {
        let headers = expect(400, || connect(Some("websocket"), headers)).await;
        if headers.contains_key("sec-websocket-version") {
            assert_eq!(headers["sec-websocket-version"], "13");
        }
    }
}

#[tokio::test]
async fn rfc6455_s10_2_the_origin_is_checked() {
    expect(200, || connect(Some("websocket"), &[VERSION, ("origin", "https://example.com")])).await;
    expect(403, || connect(Some("websocket"), &[VERSION, ("origin", "https://example.org")])).await;
}

#[tokio::test]
async fn rfc9113_s8_3_1_a_different_host_is_malformed() {
    expect(400, || connect(Some("websocket"), &[VERSION, ("host", "example.org")])).await;
    expect(200, || connect(Some("websocket"), &[VERSION, ("host", "example.com")])).await;
}

#[tokio::test]
async fn subprotocols_are_chosen_and_lists_are_checked() {
    let offer =
        |value: &'static str| connect(Some("websocket"), &[VERSION, ("sec-websocket-protocol", value)]);
    let headers = expect(200, || offer("a, b")).await;
    assert_eq!(headers["sec-websocket-protocol"], "b");
    assert!(!expect(200, || offer("c")).await.contains_key("sec-websocket-protocol"));
    expect(400, || offer("a, a")).await;
    expect(400, || connect(Some("websocket"), &[VERSION, ("sec-websocket-extensions", "a; b=\"")])).await;
}
