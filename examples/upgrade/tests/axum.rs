//! The extractor over HTTP/1.1. `tests/http2` contains the tests over HTTP/2.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::any;
use sockeye::axum::{WebSocketUpgrade, WebSocketUpgradeRejection};
use sockeye::futures::{Builder, Error};
use sockeye::protocol::{Config, ProtocolError};
use sockeye::{CloseCode, Deflate, Origins};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tower::ServiceExt;

const VALID: [(&str, &str); 5] = [
    ("host", "example.com"),
    ("upgrade", "websocket"),
    ("connection", "keep-alive, Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A valid request, with one header replaced, or removed if the value is empty.
fn request(method: &str, version: Version, changed: (&str, &str)) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/echo").version(version);
    for (name, value) in VALID {
        let value = if name == changed.0 { changed.1 } else { value };
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    request.body(Body::empty()).unwrap()
}

async fn status(request: Request<Body>) -> StatusCode {
    let handler = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|_| async {});
    let app: Router = Router::new().route("/echo", any(handler));
    app.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn s4_2_1_rejections_have_the_status_for_the_reason() {
    let get = |changed| request("GET", Version::HTTP_11, changed);
    assert_eq!(status(get(("sec-websocket-key", ""))).await, 400);
    assert_eq!(status(get(("sec-websocket-key", "short"))).await, 400);
    assert_eq!(status(get(("host", ""))).await, 400);
    assert_eq!(status(get(("upgrade", ""))).await, 426);
    assert_eq!(status(get(("connection", "close"))).await, 426);
    assert_eq!(status(get(("sec-websocket-version", "8"))).await, 426);
    assert_eq!(status(request("POST", Version::HTTP_11, ("", ""))).await, 405);
    assert_eq!(status(request("GET", Version::HTTP_10, ("", ""))).await, 505);
    assert_eq!(status(request("GET", Version::HTTP_2, ("", ""))).await, 405);
    assert_eq!(status(request("CONNECT", Version::HTTP_2, ("", ""))).await, 501);
}

#[tokio::test]
async fn a_server_without_upgrades_is_a_rejection() {
    assert_eq!(status(request("GET", Version::HTTP_11, ("", ""))).await, 426);
}

#[tokio::test]
async fn a_handler_can_look_at_the_rejection() {
    let handler = async |upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>| {
        let rejection = upgrade.map(drop).unwrap_err();
        assert_eq!(rejection.reason(), Some(ProtocolError::InvalidKey));
        rejection.status().to_string()
    };
    let app: Router = Router::new().route("/echo", any(handler));
    let asked = request("GET", Version::HTTP_11, ("sec-websocket-key", ""));
    assert_eq!(app.oneshot(asked).await.unwrap().status(), 200);
}

/// Serves a router, and returns the URL of the route.
async fn serve<H, T>(handler: H) -> String
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/echo", any(handler));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("ws://{address}/echo")
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let names: Vec<_> = upgrade.requested_protocols().cloned().collect();
    assert!(names.iter().all(|name| name == "a" || name == "b"));
    let upgrade = upgrade.protocols(["c", "b", "a"]).deflate(Deflate::default());
    let selected = upgrade.selected_protocol().cloned();
    upgrade.max_message_size(1_000).origins(Origins::Only(&["https://example.com"])).on_upgrade(
        async move |mut socket| {
            assert_eq!(selected.as_ref().map(HeaderValue::as_bytes), socket.protocol().map(str::as_bytes));
            while let Ok(Some(message)) = socket.receive().await {
                let _ = socket.send(message).await;
            }
        },
    )
}

#[tokio::test]
async fn subprotocols_and_compression_are_negotiated() {
    let url = serve(echo).await;
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let builder = Builder::new().config(config).add_subprotocol("a").add_subprotocol("b");
    let mut socket = builder.connect(&url).await.unwrap();
    assert_eq!(socket.protocol(), Some("b"));
    assert!(socket.response().unwrap().extensions().unwrap()[0].starts_with("permessage-deflate"));
    socket.send("salmon ".repeat(100)).await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), Some("salmon ".repeat(100).into()));
    assert!(socket.close(CloseCode::Normal, "").await.unwrap().was_clean);
}

#[tokio::test]
async fn the_limits_of_the_extractor_apply() {
    let mut socket = Builder::new().connect(&serve(echo).await).await.unwrap();
    assert_eq!(socket.protocol(), None);
    socket.send(vec![7; 1_001]).await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), None);
    assert_eq!(socket.closed().await.code, CloseCode::Size);
}

#[tokio::test]
async fn s10_2_another_origin_is_rejected_with_403() {
    let builder = Builder::new().add_header("Origin", "https://example.org").unwrap();
    let Err(Error::Rejected(rejected)) = builder.connect(&serve(echo).await).await else {
        panic!("accepted")
    };
    assert_eq!(rejected.response().status(), 403);
}

#[tokio::test]
async fn s4_2_2_a_subprotocol_that_is_not_offered_is_not_selected() {
    let handler = async |mut upgrade: WebSocketUpgrade| {
        upgrade.set_selected_protocol(HeaderValue::from_static("other"));
        upgrade.on_upgrade(|_| async {})
    };
    let Err(Error::Rejected(rejected)) = Builder::new().connect(&serve(handler).await).await else {
        panic!("accepted")
    };
    assert_eq!(rejected.response().status(), 500);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_response_calls_on_failed_upgrade() {
    let (failed, mut failures) = unbounded_channel();
    let (asked, mut requests) = unbounded_channel();
    let handler = async move |upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.on_failed_upgrade(move |error| drop(failed.send(error)));
        let response = upgrade.on_upgrade(|_| async { unreachable!("the connection was not opened") });
        asked.send(()).unwrap();
        // The response is never sent.
        std::future::pending::<()>().await;
        response
    };
    let url = serve(handler).await;
    let address = url.trim_start_matches("ws://").trim_end_matches("/echo");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head: String = VALID.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("GET /echo HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
    requests.recv().await.unwrap();
    drop(stream);
    assert!(matches!(failures.recv().await.unwrap(), Error::ConnectionLost(_)));
}
