//! How a connection begins.

use std::time::Duration;

use sockeye::browser::{Builder, Error, Interface, TimeoutKind, WebSocket};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{Peer, both};
use super::support::{config, echo, for_all, in_time, interfaces, is_browser, now, port, within};

#[wasm_bindgen_test]
async fn c1_a_client_connects_by_url() {
    for_all(async |builder| {
        let mut peer = Peer::listen().await;
        let url = format!("{}?token=1&next=%20", peer.url);
        let (socket, ()) = both(builder.connect(&url), peer.answer(|_| {})).await;
        let request = peer.request.as_ref().unwrap();
        assert_eq!(request.resource(), "/chat?token=1&next=%20");
        let host = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).unwrap();
        assert_eq!(request.header("Host").unwrap(), host.as_bytes());
        assert_eq!(socket.unwrap().url(), url);
    })
    .await;
    within(WebSocket::connect(&echo("/"))).await.unwrap();
}

#[wasm_bindgen_test]
async fn c2_a_client_connects_over_tls() {
    // Only the browser of the test trusts the certificate of the test.
    if port(2) == "0" || !is_browser() {
        return;
    }
    for_all(async |builder| {
        let mut socket = within(builder.connect(&format!("wss://127.0.0.1:{}/", port(2)))).await.unwrap();
        within(socket.send("salmon")).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some("salmon".into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn c4_a_builder_opens_several_connections() {
    let builder = Builder::new().config(config(|config| config.subprotocols = vec!["three".to_owned()]));
    let one = within(builder.connect(&echo("/"))).await.unwrap();
    let other = within(builder.connect(&echo("/"))).await.unwrap();
    assert_eq!((one.protocol(), other.protocol()), (Some("three"), Some("three")));
}

#[wasm_bindgen_test]
async fn c6_c7_subprotocols_are_offered_and_one_is_chosen() {
    for_all(async |builder| {
        let builder = builder.add_subprotocol("one").add_subprotocol("three").add_subprotocol("two");
        let socket = within(builder.connect(&echo("/"))).await.unwrap();
        assert_eq!(socket.protocol(), Some("two"));
        let builder = builder.remove_subprotocol("two");
        let socket = within(builder.connect(&echo("/"))).await.unwrap();
        assert_eq!(socket.protocol(), Some("three"));
        let (sender, receiver) = socket.split();
        assert_eq!((sender.protocol(), receiver.protocol()), (Some("three"), Some("three")));

        // Who offers some does not go on without one.
        let mut peer = Peer::listen().await;
        let url = peer.url.clone();
        let (socket, ()) = both(builder.connect(&url), peer.answer(|_| {})).await;
        assert!(socket.is_err() || !is_browser());
        let offered = peer.request.as_ref().unwrap().header("Sec-WebSocket-Protocol").unwrap();
        assert_eq!(offered, b"one, three");
    })
    .await;
    let socket = within(WebSocket::connect(&echo("/"))).await.unwrap();
    assert_eq!(socket.protocol(), None);
}

#[wasm_bindgen_test]
async fn c9_a_server_rejection_is_an_error() {
    for_all(async |builder| {
        for status in [403, 302, 200] {
            let mut peer = Peer::listen().await;
            let url = peer.url.clone();
            let answer = async {
                peer.head().await;
                let head =
                    format!("HTTP/1.1 {status} No\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
                peer.send_bytes(head.as_bytes()).await;
                peer.command("fin").await;
            };
            let (socket, ()) = both(builder.connect(&url), answer).await;
            assert!(matches!(socket, Err(Error::Connect { .. })), "{status}");
        }
        // No server listens here.
        let err = within(builder.connect("ws://127.0.0.1:1/")).await.unwrap_err();
        assert!(matches!(err, Error::Connect { .. }), "{err:?}");
    })
    .await;
}

#[wasm_bindgen_test]
async fn c12_c13_c14_the_browser_checks_the_response() {
    let spoil: [(&str, &str); 3] = [
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Protocol", "unwanted"),
        ("Sec-WebSocket-Extensions", "unwanted"),
    ];
    for_all(async |builder| {
        for (name, value) in spoil {
            let mut peer = Peer::listen().await;
            let url = peer.url.clone();
            let answer = peer.answer(|response| response.set_header(name, value).unwrap());
            let (socket, ()) = both(builder.connect(&url), answer).await;
            assert!(matches!(socket, Err(Error::Connect { .. })), "{name}");
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn c15_frames_that_arrive_with_the_response_are_received() {
    for_all(async |builder| {
        let mut peer = Peer::listen().await;
        let url = peer.url.clone();
        let answer = async {
            let request = peer.head().await;
            let mut bytes = Vec::new();
            sockeye::Response::from_request(&request).unwrap().format(&mut bytes).unwrap();
            bytes.extend(super::peer::frame(super::peer::TEXT, b"early"));
            peer.send_bytes(&bytes).await;
        };
        let (socket, ()) = both(builder.connect(&url), answer).await;
        assert_eq!(within(socket.unwrap().receive()).await.unwrap(), Some("early".into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn c17_the_standard_interface_is_used_unless_another_is_selected() {
    assert!(Interface::Standard.is_supported());
    assert_eq!(Interface::Stream.is_supported(), is_browser());
    assert_eq!(interfaces().len(), if is_browser() { 2 } else { 1 });
    assert_eq!(within(WebSocket::connect(&echo("/"))).await.unwrap().interface(), Interface::Standard);
    for interface in [Interface::Stream, Interface::Standard] {
        let connected = within(Builder::new().interface(interface).connect(&echo("/"))).await;
        match connected {
            Ok(socket) => assert_eq!(socket.interface(), interface),
            Err(err) => {
                assert!(!interface.is_supported() && matches!(err, Error::Io(_)), "{err:?}")
            }
        }
    }
}

#[wasm_bindgen_test]
async fn c4_options_that_the_browser_rejects_are_errors() {
    for_all(async |builder| {
        let twice = builder.clone().add_subprotocol("one").add_subprotocol("one");
        let odd = builder.clone().add_subprotocol("two words");
        for (builder, url) in
            [(&builder, "ws://["), (&builder, "ftp://host/"), (&twice, "ws://h/"), (&odd, "ws://h/")]
        {
            let err = within(builder.connect(url)).await.unwrap_err();
            assert!(matches!(err, Error::Url(_)), "{url}: {err:?}");
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn a11_halves_return_url_protocol_interface_and_extensions() {
    for_all(async |builder| {
        let socket = within(builder.add_subprotocol("two").connect(&echo("/path?query"))).await.unwrap();
        let interface = socket.interface();
        let has_deflate = socket.extensions().starts_with("permessage-deflate");
        assert!(has_deflate || !is_browser(), "x2: {:?}", socket.extensions());
        assert_eq!(socket.url(), echo("/path?query"));
        let (sender, receiver) = socket.split();
        assert_eq!((sender.url(), receiver.url()), (&*echo("/path?query"), &*echo("/path?query")));
        assert_eq!((sender.interface(), receiver.interface()), (interface, interface));
        assert_eq!(sender.extensions(), receiver.extensions());
        assert!(sender.is_open() && receiver.is_open() && !sender.is_closed() && !receiver.is_closed());
    })
    .await;
}

#[wasm_bindgen_test]
async fn l7_connecting_has_a_timeout() {
    for_all(async |builder| {
        let mut peer = Peer::listen().await;
        let builder = builder
            .connect_timeout(Duration::from_millis(100))
            .config(config(|config| config.handshake_timeout = Duration::from_millis(200)));
        let (url, begun) = (peer.url.clone(), now());
        let err = within(builder.connect(&url)).await.unwrap_err();
        let took = now() - begun;
        assert!(matches!(err, Error::Timeout(TimeoutKind::Connect)), "{err:?}");
        assert!(took >= 299.0, "{took}");
        peer.rest().await;
    })
    .await;
}

#[wasm_bindgen_test]
async fn a12_a_connect_can_be_dropped() {
    for_all(async |builder| {
        let mut peer = Peer::listen().await;
        let url = peer.url.clone();
        assert!(in_time(Duration::from_millis(100), builder.connect(&url)).await.is_none());
        // The browser lets go of it.
        peer.head().await;
        assert_eq!(peer.rest().await, b"");
    })
    .await;
}
