//! Messages on an open connection.

use sockeye::browser::{Error, WebSocket};
use sockeye::protocol::{Event, ProtocolError};
use sockeye::{CloseCode, Message, OpCode};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{END, GO_ON, PING, PONG, Peer, TEXT, TEXT_BEGIN, both, frame, is_lost};
use super::support::{bytes, config, echo, for_all, for_all_echoes, is_browser, within};

/// The lengths at which a header changes its form (§5.2), and what no buffer holds.
const LENGTHS: [usize; 10] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 300_000, 3 << 20];

fn messages() -> impl Iterator<Item = Message> {
    LENGTHS.into_iter().flat_map(|len| {
        let text: String = "lach\u{df}e ".chars().cycle().take(len).collect();
        [Message::text(text), Message::binary(bytes(len))]
    })
}

async fn receive(socket: &mut WebSocket) -> Option<Message> {
    within(socket.receive()).await.unwrap()
}

#[wasm_bindgen_test]
async fn m1_m22_s5_2_messages_of_all_sizes_are_echoed() {
    for_all_echoes(async |mut socket| {
        for message in messages() {
            within(socket.send(message.clone())).await.unwrap();
            assert!(receive(&mut socket).await.as_ref() == Some(&message), "{}", message.len());
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m1_small_messages_are_sent_as_single_frames() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        for (message, first) in [("", TEXT), ("gr\u{fc}\u{df}e", TEXT)] {
            let (sent, received) = both(socket.send(message), peer.frame()).await;
            sent.unwrap();
            assert_eq!(received, (first, message.as_bytes().to_vec()));
        }
        for len in [0, 1, 70_000] {
            let (sent, received) = both(socket.send(bytes(len)), peer.frame()).await;
            sent.unwrap();
            assert!(received == (0x82, bytes(len)), "{len}");
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m7_s5_4_many_messages_keep_their_order() {
    for_all_echoes(async |mut socket| {
        for at in 0..500 {
            within(socket.queue(at.to_string())).await.unwrap();
        }
        within(socket.flush()).await.unwrap();
        assert_eq!(socket.buffered_amount(), 0);
        for at in 0..500 {
            assert_eq!(receive(&mut socket).await, Some(at.to_string().into()));
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m14_m17_s5_4_a_ping_between_fragments_does_not_change_the_message() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        // Cut within a character.
        peer.send(TEXT_BEGIN, b"sal\xc3").await;
        peer.send(PING, b"still there?").await;
        peer.send(GO_ON, b"").await;
        peer.send(END, b"\xb6mon").await;
        assert_eq!(receive(&mut socket).await, Some("sal\u{f6}mon".into()));
        assert_eq!(peer.frame().await, (PONG, b"still there?".to_vec()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn s5_2_frames_that_arrive_byte_by_byte() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        for byte in [frame(TEXT, "gr\u{fc}\u{df}e".as_bytes()), frame(TEXT, b"")].concat() {
            peer.send_bytes(&[byte]).await;
        }
        assert_eq!(receive(&mut socket).await, Some("gr\u{fc}\u{df}e".into()));
        assert_eq!(receive(&mut socket).await, Some("".into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn s7_4_1_violations_are_errors() {
    // The browser checks the frames of a peer, and Node checks less.
    if !is_browser() {
        return;
    }
    let cases: [(u8, &[u8]); 5] =
        [(0xc1, b"x"), (0x83, b"x"), (PING, &[0; 126]), (END, b"x"), (TEXT, b"\xff")];
    for_all(async |builder| {
        for (first, payload) in cases {
            let (mut socket, mut peer) = Peer::open(&builder).await;
            peer.send(TEXT, b"good").await;
            assert_eq!(receive(&mut socket).await, Some("good".into()));
            peer.send(first, payload).await;
            let err = within(socket.receive()).await.unwrap_err();
            assert!(is_lost(&err), "{err:?}");
            // Once.
            assert_eq!(receive(&mut socket).await, None);
            let closed = within(socket.closed()).await;
            assert!(!closed.was_clean, "{closed:?}");
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn m21_messages_are_appended_to_a_buffer() {
    for_all_echoes(async |mut socket| {
        let mut buffer = b">".to_vec();
        within(socket.send("one")).await.unwrap();
        assert_eq!(within(socket.receive_into(&mut buffer)).await.unwrap(), Some(OpCode::Text));
        within(socket.send(&b"two"[..])).await.unwrap();
        assert_eq!(within(socket.receive_into(&mut buffer)).await.unwrap(), Some(OpCode::Binary));
        assert_eq!(buffer, b">onetwo");
    })
    .await;
}

#[wasm_bindgen_test]
async fn m20_the_close_is_the_last_event() {
    for_all_echoes(async |mut socket| {
        within(socket.send("last")).await.unwrap();
        within(socket.send("!close 4321 \u{1f41f}")).await.unwrap();
        let event = within(socket.receive_event()).await.unwrap();
        assert!(matches!(event, Some(Event::Message(Message::Text(text))) if text == "last"));
        let event = within(socket.receive_event()).await.unwrap();
        let close = (CloseCode::Other(4321), "\u{1f41f}".to_owned());
        assert!(matches!(event, Some(Event::Close(code, reason)) if (code, reason.clone()) == close));
        assert!(within(socket.receive_event()).await.unwrap().is_none());
    })
    .await;
}

#[wasm_bindgen_test]
async fn m17_pings_are_answered_without_polling() {
    for_all(async |builder| {
        let (_socket, mut peer) = Peer::open(&builder).await;
        peer.send(PING, b"?").await;
        assert_eq!(peer.frame().await, (PONG, b"?".to_vec()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn x2_compressed_messages_are_received() {
    for_all_echoes(async |mut socket| {
        let text = "the quick brown fish ".repeat(10_000);
        within(socket.send(&*text)).await.unwrap();
        assert!(receive(&mut socket).await == Some(text.into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn l1_a_message_over_the_limit_is_an_error_and_closes_the_socket() {
    for_all(async |builder| {
        for message in [
            Message::binary(bytes(1001)),
            Message::text("x".repeat(1001)),
            Message::text("\u{df}".repeat(501)),
        ] {
            let builder = builder.clone().config(config(|config| config.max_message_size = 1000));
            let mut socket = within(builder.connect(&echo("/"))).await.unwrap();
            within(socket.send(bytes(1000))).await.unwrap();
            assert_eq!(receive(&mut socket).await, Some(bytes(1000).into()));
            within(socket.send(message)).await.unwrap();
            let err = within(socket.receive()).await.unwrap_err();
            assert!(matches!(err, Error::Protocol(ProtocolError::MessageTooLong)), "{err:?}");
            assert_eq!(receive(&mut socket).await, None);
            assert!(within(socket.send("more")).await.is_err());
            assert!(!within(socket.closed()).await.was_clean);
        }
    })
    .await;
}
