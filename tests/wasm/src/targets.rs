//! What is compiled for both targets, and what a browser cannot do.

use sockeye::browser::{Builder, Error};
use sockeye::protocol::ProtocolError;
use sockeye::{ClientBuilder, ClientTls};
use wasm_bindgen_test::wasm_bindgen_test;

use super::portable::{converse, harmless, is_unsupported, with_options_that_browsers_lack};
use super::support::{echo, within};

#[wasm_bindgen_test]
async fn c4_c5_a_program_for_both_targets_runs_in_a_browser() {
    let builder = harmless().unwrap();
    assert!(!within(converse(&builder, &echo("/"))).await.unwrap(), "a browser sends no Pings");
}

#[wasm_bindgen_test]
async fn c3_c5_options_that_a_browser_cannot_apply_are_errors_of_connect() {
    // Nothing listens here, so another error would be `Connect`.
    let url = "wss://127.0.0.1:1/";
    for (builder, option) in with_options_that_browsers_lack().unwrap().into_iter().zip([
        "a browser cannot send the header `Authorization`",
        "a browser does not have the TLS option `danger_accept_any_certificate`",
    ]) {
        let connected = within(builder.connect(url)).await;
        assert!(is_unsupported(&connected), "{connected:?}");
        assert_eq!(connected.unwrap_err().to_string(), option);
    }
    // Without encryption, TLS options do not matter.
    let tls = ClientTls::builder().trust("root.pem").build().unwrap();
    let builder = ClientBuilder::new().client_tls(tls);
    within(builder.connect(&echo("/"))).await.unwrap();
    let relative = within(builder.connect("/relative")).await;
    assert!(is_unsupported(&relative), "{relative:?}");
}

#[wasm_bindgen_test]
async fn c5_headers_that_the_browser_sends_itself_are_accepted() {
    let builder = Builder::new().add_header("origin", "https://example.com").unwrap();
    let builder = builder.add_header("User-Agent", "salmon").unwrap();
    let mut peer = super::peer::Peer::listen().await;
    let url = peer.url.clone();
    let (socket, ()) = super::peer::both(builder.connect(&url), peer.answer(|_| {})).await;
    socket.unwrap();
    let request = peer.request.unwrap();
    assert_ne!(request.header("User-Agent").map(|value| &**value), Some(&b"salmon"[..]));
    assert_ne!(request.header("Origin").map(|value| &**value), Some(&b"https://example.com"[..]));
}

#[wasm_bindgen_test]
fn c5_headers_that_no_client_can_send_are_errors() {
    for (name, value) in [("X-Fish", "a\r\nb"), ("X Fish", "a"), ("X-Fish\n", "a")] {
        let err = Builder::new().add_header(name, value).unwrap_err();
        assert!(matches!(err, Error::Protocol(ProtocolError::UnsendableHead)), "{name:?}: {err:?}");
    }
}

#[wasm_bindgen_test]
fn the_values_of_headers_are_not_stored() {
    let builder = Builder::new().add_header("Authorization", "Bearer salmon").unwrap();
    assert!(!format!("{builder:?}").contains("salmon"), "{builder:?}");
}
