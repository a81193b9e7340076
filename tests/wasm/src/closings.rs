//! The closing handshake: started by either side, answered or not, and with messages in flight.

use std::time::Duration;

use sockeye::browser::{Builder, Error, WebSocket};
use sockeye::{CloseCode, Closed};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{CLOSE, PING, PONG, Peer, TEXT, both, close_payload, frame, is_lost};
use super::support::{config, echo, for_all, for_all_echoes, name, now, within};

/// The longest reason (§5.5).
const LONG: &str = "lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs \
                    lachs lachs lachs lachs lachs lac";

/// Every payload that a server's Close may have (§5.5.1).
const PAYLOADS: [(CloseCode, &str); 6] = [
    (CloseCode::Status, ""),
    (CloseCode::Normal, ""),
    (CloseCode::Away, "gone fishing"),
    (CloseCode::Error, "odd"),
    (CloseCode::Other(4321), "\u{1f41f}"),
    (CloseCode::Normal, LONG),
];

/// Those that a program in a browser may send.
fn own_payloads() -> impl Iterator<Item = (CloseCode, &'static str)> {
    PAYLOADS.into_iter().filter(|(code, _)| !matches!(code, CloseCode::Away | CloseCode::Error))
}

fn payload(code: CloseCode, reason: &str) -> Vec<u8> {
    if code == CloseCode::Status { Vec::new() } else { close_payload(code.into(), reason) }
}

fn clean(code: CloseCode, reason: &str) -> Closed {
    Closed { code, reason: reason.to_owned(), was_clean: true }
}

async fn connect(builder: &Builder) -> WebSocket {
    within(builder.connect(&echo("/"))).await.unwrap()
}

#[wasm_bindgen_test]
async fn m8_m9_m10_s7_1_each_end_closes_the_other() {
    for_all(async |builder| {
        for (code, reason) in own_payloads() {
            let path = name();
            let mut watch = within(builder.connect(&echo(&format!("/watch{path}")))).await.unwrap();
            let mut socket = within(builder.connect(&echo(&path))).await.unwrap();
            // Who is closed answers with the same code (§5.5.1), and without a reason.
            let closed = within(socket.close(code, reason)).await.unwrap();
            assert_eq!(closed, clean(code, ""));
            let received = within(watch.receive()).await.unwrap().unwrap();
            assert_eq!(received.as_text().unwrap(), format!("{code} {reason}"));
        }
        for (code, reason) in PAYLOADS {
            let number = if code == CloseCode::Status { 0 } else { u16::from(code) };
            let mut socket = connect(&builder).await;
            within(socket.send(format!("!close {number} {reason}"))).await.unwrap();
            assert_eq!(within(socket.receive()).await.unwrap(), None);
            assert_eq!(within(socket.closed()).await, clean(code, reason));
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn s7_1_3_both_ends_close_at_once() {
    for_all_echoes(async |mut socket| {
        socket.queue("!close 4000 server").await.unwrap();
        let closed = within(socket.close(CloseCode::Normal, "client")).await.unwrap();
        assert!(closed.was_clean, "{closed:?}");
    })
    .await;
}

#[wasm_bindgen_test]
async fn m18_m20_s5_5_1_the_close_of_the_peer_gets_a_reply() {
    for_all(async |builder| {
        for (code, reason) in PAYLOADS {
            let (mut socket, mut peer) = Peer::open(&builder).await;
            peer.send(CLOSE, &payload(code, reason)).await;
            let (received, ()) = both(socket.receive(), async {
                assert_eq!(peer.close_frame().await.get(..2), payload(code, "").get(..2));
                peer.command("fin").await;
                assert_eq!(peer.rest().await, b"");
            })
            .await;
            assert_eq!(received.unwrap(), None);
            assert_eq!(within(socket.closed()).await, clean(code, reason));
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn s5_5_1_a_close_can_arrive_byte_by_byte() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        for byte in frame(CLOSE, &close_payload(1001, "slowly")) {
            peer.send_bytes(&[byte]).await;
        }
        let closing = async {
            peer.close_frame().await;
            peer.command("fin").await;
        };
        let (received, ()) = both(socket.receive(), closing).await;
        assert_eq!(received.unwrap(), None);
        assert_eq!(within(socket.closed()).await, clean(CloseCode::Away, "slowly"));
    })
    .await;
}

#[wasm_bindgen_test]
async fn m23_all_messages_before_a_close_are_delivered() {
    for_all(async |builder| {
        for has_sender in [false, true] {
            let (socket, mut peer) = Peer::open(&builder).await;
            let all = [frame(TEXT, b"one"), frame(TEXT, b"two"), frame(CLOSE, b"")];
            peer.send_bytes(&all.concat()).await;
            let (sender, mut receiver) = socket.split();
            let sender = has_sender.then_some(sender);
            let receiving = async {
                assert_eq!(receiver.receive().await.unwrap(), Some("one".into()));
                assert_eq!(receiver.receive().await.unwrap(), Some("two".into()));
                assert_eq!(receiver.receive().await.unwrap(), None);
            };
            both(receiving, async {
                assert_eq!(peer.close_frame().await, b"");
                peer.command("fin").await;
            })
            .await;
            assert_eq!(within(receiver.closed()).await, clean(CloseCode::Status, ""));
            drop(sender);
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m8_m10_s7_1_2_close_returns_the_close_of_the_peer() {
    for_all(async |builder| {
        for (code, reason) in own_payloads() {
            let (mut socket, mut peer) = Peer::open(&builder).await;
            socket.queue("before").await.unwrap();
            let (closed, ()) = both(socket.close(code, reason), async {
                // The Close overtakes nothing.
                assert_eq!(peer.frame().await, (TEXT, b"before".to_vec()));
                assert_eq!(peer.close_frame().await, payload(code, reason));
                peer.finish(&close_payload(1001, "answer")).await;
            })
            .await;
            assert_eq!(closed.unwrap(), clean(CloseCode::Away, "answer"));
            assert!(socket.is_closed() && !socket.is_open());
            assert_eq!(within(socket.receive()).await.unwrap(), None);
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m10_messages_that_are_not_received_do_not_delay_the_end() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        for at in 0..20 {
            peer.send(TEXT, format!("{at}").as_bytes()).await;
        }
        assert_eq!(within(socket.receive()).await.unwrap(), Some("0".into()));
        let (closed, ()) = both(socket.close(CloseCode::Normal, ""), async {
            peer.close_frame().await;
            peer.send(TEXT, &[b'x'; 200_000]).await;
            peer.send(PING, b"?").await;
            peer.finish(&close_payload(1000, "")).await;
        })
        .await;
        assert_eq!(closed.unwrap(), clean(CloseCode::Normal, ""));
        // What had come by then can still be received; how much that is, the browser knows.
        let mut number = 1;
        while let Some(message) = within(socket.receive()).await.unwrap() {
            assert_eq!(message, format!("{number}").into());
            number += 1;
        }
        assert!(number <= 20);
    })
    .await;
}

#[wasm_bindgen_test]
async fn l7_a_close_that_is_not_answered_times_out() {
    for_all(async |builder| {
        let builder = builder.config(config(|config| config.close_timeout = Duration::from_millis(300)));
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let (observer, begun) = (socket.closed(), now());
        let (closed, frame) = both(socket.close(CloseCode::Normal, ""), peer.close_frame()).await;
        let (closed, took) = (closed.unwrap(), now() - begun);
        assert_eq!((closed.code, closed.was_clean), (CloseCode::Abnormal, false));
        assert_eq!(frame, close_payload(1000, ""));
        assert!(took >= 299.0, "{took}");
        assert_eq!(within(observer).await, closed);
        assert!(within(socket.receive()).await.is_err());
        assert_eq!(within(socket.receive()).await.unwrap(), None);
    })
    .await;
}

#[wasm_bindgen_test]
async fn m24_m25_s7_1_5_the_peer_ends_tcp_without_a_close() {
    for_all(async |builder| {
        for how in ["fin", "reset"] {
            let (mut socket, mut peer) = Peer::open(&builder).await;
            peer.send(TEXT, b"last").await;
            assert_eq!(within(socket.receive()).await.unwrap(), Some("last".into()));
            let observer = socket.closed();
            peer.command(how).await;
            assert!(is_lost(&within(socket.receive()).await.unwrap_err()));
            assert_eq!(within(socket.receive()).await.unwrap(), None);
            let closed = within(observer).await;
            assert_eq!((closed.code, closed.was_clean), (CloseCode::Abnormal, false), "{how}");
        }
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let (closed, ()) = both(socket.close(CloseCode::Normal, ""), async {
            peer.close_frame().await;
            peer.command("fin").await;
        })
        .await;
        assert!(!closed.unwrap().was_clean);
    })
    .await;
}

#[wasm_bindgen_test]
async fn m12_a_socket_that_is_dropped_sends_a_close() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let observer = socket.closed();
        socket.queue("last").await.unwrap();
        drop(socket);
        assert_eq!(peer.frame().await, (TEXT, b"last".to_vec()));
        assert_eq!(peer.close_frame().await, b"");
        assert!(!within(observer).await.was_clean);

        // Half a socket keeps the connection up.
        let (socket, mut peer) = Peer::open(&builder).await;
        let (sender, mut receiver) = socket.split();
        drop(sender);
        peer.send(TEXT, b"still here").await;
        assert_eq!(within(receiver.receive()).await.unwrap(), Some("still here".into()));
        peer.send(PING, b"?").await;
        assert_eq!(peer.frame().await, (PONG, b"?".to_vec()));
        drop(receiver);
        assert_eq!(peer.close_frame().await, b"");
    })
    .await;
}

#[wasm_bindgen_test]
async fn m11_abort_ends_the_connection_at_once() {
    for_all(async |builder| {
        let (socket, mut peer) = Peer::open(&builder).await;
        let observer = socket.closed();
        socket.abort();
        assert!(!within(observer).await.was_clean);
        assert_eq!(peer.close_frame().await, b"");
    })
    .await;
}

#[wasm_bindgen_test]
async fn m13_sending_on_a_closed_connection_is_an_error() {
    for_all_echoes(async |mut socket| {
        within(socket.close(CloseCode::Normal, "")).await.unwrap();
        let err = within(socket.send("late")).await.unwrap_err();
        assert!(matches!(err, Error::Closed), "{err:?}");
        // To close once more is none.
        assert_eq!(within(socket.close(CloseCode::Normal, "")).await.unwrap(), clean(CloseCode::Normal, ""));
    })
    .await;
    for_all_echoes(async |mut socket| {
        within(socket.send("!close 4000")).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), None);
        assert!(!socket.is_open() && socket.is_closed());
        assert!(within(socket.send("late")).await.is_err());
    })
    .await;
}

#[wasm_bindgen_test]
async fn m26_unsendable_codes_and_reasons_are_errors() {
    for_all_echoes(async |mut socket| {
        for code in (0..=u16::MAX).filter(|code| !matches!(code, 0 | 1000 | 1005 | 3000..=4999)) {
            assert!(within_now(socket.close(CloseCode::from(code), "")).is_err(), "{code}");
        }
        let long = format!("{LONG}x");
        for (code, reason) in [(CloseCode::Normal, &*long), (CloseCode::Status, "why")] {
            let err = within(socket.close(code, reason)).await.unwrap_err();
            assert!(matches!(err, Error::Protocol(_)), "{err:?}");
        }
        // The connection goes on.
        within(socket.send("salmon")).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some("salmon".into()));
        for code in [CloseCode::Normal, CloseCode::Other(3000), CloseCode::Other(4999), CloseCode::Away] {
            assert_eq!(CloseCode::from(u16::from(code)), code);
        }
    })
    .await;
}

/// What a future gives that does not wait.
fn within_now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).expect("it waits")
}
