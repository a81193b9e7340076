//! What waits, how much of it, and how long.

use std::time::Duration;

use sockeye::browser::{Builder, Error, Interface};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{Peer, TEXT, both, frame};
use super::support::{bytes, config, echo, for_all, in_time, is_browser, now, sleep, within};

/// More than the buffers of two TCP sockets and of a browser take.
const MUCH: usize = 64 << 20;

#[wasm_bindgen_test]
async fn l3_senders_wait_for_the_peer() {
    for_all(async |builder| {
        let builder = builder.high_water(100_000).max_buffered(MUCH);
        let (mut socket, mut peer) = Peer::open(&builder).await;
        peer.pause_reading().await;
        let mut sent = 0;
        let waited = loop {
            let queued = in_time(Duration::from_millis(500), socket.queue(bytes(100_000))).await;
            sent += 100_000;
            match queued {
                Some(queued) => queued.unwrap(),
                None => break true,
            }
            if sent >= MUCH {
                break false;
            }
        };
        assert!(waited, "a program can send {sent} bytes without waiting");
        assert!((100_001..=300_000).contains(&socket.buffered_amount()), "{}", socket.buffered_amount());
        // It goes on when the peer does, and nothing is lost.
        peer.command("resume").await;
        let hearing = async {
            // The browser cuts messages into fragments as it likes.
            let mut received = Vec::new();
            while received.len() < sent {
                received.extend(peer.frame().await.1);
            }
            assert!(received.chunks(100_000).all(|message| message == bytes(100_000)));
        };
        let (flushed, ()) = both(socket.flush(), hearing).await;
        flushed.unwrap();
        assert_eq!(socket.buffered_amount(), 0);
    })
    .await;
}

#[wasm_bindgen_test]
async fn l3_a_message_over_the_output_limit_is_an_error() {
    for_all(async |builder| {
        let builder = builder.high_water(MUCH).max_buffered(1 << 20);
        let (mut socket, mut peer) = Peer::open(&builder).await;
        peer.pause_reading().await;
        let err = loop {
            if let Err(err) = within(socket.queue(bytes(1 << 20))).await {
                break err;
            }
            assert!(socket.buffered_amount() < MUCH);
            sleep(Duration::from_millis(20)).await;
        };
        assert!(matches!(&err, Error::Full(message) if message.len() == 1 << 20), "{err:?}");
        // The connection goes on.
        assert!(socket.is_open());
        peer.command("resume").await;
        let (flushed, _) = both(socket.flush(), peer.frame()).await;
        flushed.unwrap();
    })
    .await;
}

#[wasm_bindgen_test]
async fn l4_the_stream_slows_down_the_peer() {
    if !is_browser() {
        return;
    }
    // By its own limits it would fail at once.
    let builder = Builder::new().interface(Interface::Stream).max_received(1000).max_received_messages(1);
    let mut socket = within(builder.connect(&echo("/"))).await.unwrap();
    within(socket.send("!flood 200 200000")).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    for _ in 0..200 {
        assert_eq!(within(socket.receive()).await.unwrap().map(|message| message.len()), Some(200_000));
    }
    within(socket.send("still there?")).await.unwrap();
    assert_eq!(within(socket.receive()).await.unwrap(), Some("still there?".into()));
}

#[wasm_bindgen_test]
async fn l4_t4_a_standard_socket_over_its_receive_limits_is_closed() {
    let standard = Builder::new().interface(Interface::Standard);
    let by_bytes = standard.clone().max_received(10_000);
    let by_number = standard.max_received_messages(10);
    for (builder, order) in [(by_bytes, "!flood 50 1000"), (by_number, "!flood 50 0")] {
        let path = super::support::name();
        let mut watch = within(builder.connect(&echo(&format!("/watch{path}")))).await.unwrap();
        let mut socket = within(builder.connect(&echo(&path))).await.unwrap();
        let observer = socket.closed();
        within(socket.send(order)).await.unwrap();
        assert!(!within(observer).await.was_clean);
        // The socket is closed, and the peer receives a code that browsers can send.
        let received = within(watch.receive()).await.unwrap().unwrap();
        assert_eq!(received.as_text().unwrap().trim(), "4009");
        assert!(within(socket.send("more")).await.is_err());
        // Earlier messages are still delivered, and the error is returned once.
        for _ in 0..10 {
            assert!(within(socket.receive()).await.unwrap().is_some());
        }
        let err = within(socket.receive()).await.unwrap_err();
        assert!(matches!(err, Error::Overflow), "{err:?}");
        for _ in 0..3 {
            assert_eq!(within(socket.receive()).await.unwrap(), None);
        }
    }
}

#[wasm_bindgen_test]
async fn l4_a_single_message_may_exceed_the_receive_limit() {
    for_all(async |builder| {
        let mut socket = within(builder.max_received(10).connect(&echo("/"))).await.unwrap();
        within(socket.send(bytes(1000))).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some(bytes(1000).into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn l7_a_silent_peer_times_out() {
    for_all(async |builder| {
        // A busy machine is late by some tenths of a second.
        let patience = Duration::from_secs(1);
        let builder = builder.config(config(|config| config.idle_timeout = Some(patience)));
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let begun = now();
        for _ in 0..5 {
            sleep(patience / 4).await;
            peer.send(TEXT, b"I am here").await;
            assert!(within(socket.receive()).await.unwrap().is_some());
        }
        let (err, close) = both(socket.receive(), peer.close_frame()).await;
        let (err, took) = (err.unwrap_err(), now() - begun);
        assert!(err.to_string().contains("silent"), "{err:?}");
        assert!(took >= 2249.0, "{took}");
        assert_eq!(close, b"");
        assert_eq!(within(socket.receive()).await.unwrap(), None);
    })
    .await;
}

#[wasm_bindgen_test]
async fn l7_a_program_that_does_not_receive_is_not_a_silent_peer() {
    for_all(async |builder| {
        let builder = builder.config(config(|config| config.idle_timeout = Some(Duration::from_millis(200))));
        let (mut socket, mut peer) = Peer::open(&builder).await;
        peer.send_bytes(&[frame(TEXT, b"one"), frame(TEXT, b"two")].concat()).await;
        sleep(Duration::from_millis(700)).await;
        assert_eq!(within(socket.receive()).await.unwrap(), Some("one".into()));
        assert_eq!(within(socket.receive()).await.unwrap(), Some("two".into()));
        assert!(socket.is_open());
    })
    .await;
}
