//! Futures that are dropped, wherever they wait: no byte and no message is lost by that (A12).

use std::time::Duration;

use futures_util::AsyncReadExt;
use sockeye::{CloseCode, Message};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{Peer, TEXT, frame};
use super::support::{bytes, for_all, for_all_echoes, in_time, poll_once, sleep, within};

#[wasm_bindgen_test]
async fn a12_a_receive_can_be_dropped_at_every_await() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let texts = ["one", "two", "three", ""];
        let mut received = Vec::new();
        for byte in texts.map(|text| frame(TEXT, text.as_bytes())).concat() {
            peer.send_bytes(&[byte]).await;
            received.extend(poll_once(socket.receive()));
            sleep(Duration::ZERO).await;
        }
        while received.len() < texts.len() {
            received.extend(poll_once(socket.receive()));
            sleep(Duration::ZERO).await;
        }
        let received: Vec<_> = received.into_iter().map(|message| message.unwrap().unwrap()).collect();
        assert_eq!(received, texts.map(Message::from));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a12_a_read_of_bytes_can_be_dropped() {
    for_all_echoes(async |mut socket| {
        within(socket.send(bytes(100))).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 100 {
            let mut some = [0; 7];
            if let Some(len) = in_time(Duration::ZERO, AsyncReadExt::read(&mut socket, &mut some)).await {
                received.extend_from_slice(&some[..len.unwrap()]);
            }
        }
        assert_eq!(received, bytes(100));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a12_a_dropped_send_still_sends_the_whole_message() {
    for_all_echoes(async |mut socket| {
        for at in 0..20_usize {
            // The first poll has accepted the message.
            let _ = in_time(Duration::ZERO, socket.send(vec![0; at * 10_000])).await;
        }
        for at in 0..20 {
            let message = within(socket.receive()).await.unwrap().unwrap();
            assert_eq!(message.len(), at * 10_000);
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn a12_a_dropped_close_continues() {
    for_all_echoes(async |mut socket| {
        let observer = socket.closed();
        drop(in_time(Duration::ZERO, socket.close(CloseCode::Other(4000), "bye")).await);
        let closed = within(observer).await;
        assert_eq!((closed.code, closed.was_clean), (CloseCode::Other(4000), true));
        assert_eq!(within(socket.close(CloseCode::Normal, "")).await.unwrap(), closed);
    })
    .await;
}

#[wasm_bindgen_test]
async fn m24_many_tasks_can_wait_for_the_end_and_stop_waiting() {
    for_all_echoes(async |mut socket| {
        let stays: Vec<_> = (0..3).map(|_| socket.closed()).collect();
        for _ in 0..3 {
            assert!(in_time(Duration::ZERO, socket.closed()).await.is_none());
        }
        within(socket.send("!close 4001 x")).await.unwrap();
        // It is behind what was received, which is nothing.
        for ended in stays {
            assert_eq!(within(ended).await.code, CloseCode::Other(4001));
        }
    })
    .await;
}
