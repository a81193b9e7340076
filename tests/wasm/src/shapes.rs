//! The shapes of a socket: streams, sinks, bytes, halves, tasks.

use futures_channel::oneshot;
use futures_util::future::join;
use futures_util::stream::FusedStream;
use futures_util::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt};
use sockeye::browser::WebSocket;
use sockeye::{CloseCode, Message};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{Peer, both};
use super::support::{bytes, for_all, for_all_echoes, within};

#[wasm_bindgen_test]
async fn a1_a13_async_methods_run_on_the_executor_of_the_browser() {
    for_all_echoes(async |mut socket| {
        let (tx, rx) = oneshot::channel();
        spawn_local(async move {
            socket.send("salmon").await.unwrap();
            tx.send(socket.receive().await.unwrap()).unwrap();
        });
        assert_eq!(within(rx).await.unwrap(), Some("salmon".into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a2_a_socket_is_a_stream_of_messages() {
    for_all_echoes(async |mut socket| {
        within(socket.send("one")).await.unwrap();
        within(socket.send(&b"two"[..])).await.unwrap();
        within(socket.send("!close 4000 enough")).await.unwrap();
        assert!(!socket.is_terminated());
        let all: Vec<Message> = within(socket.by_ref().map(Result::unwrap).collect()).await;
        assert_eq!(all, [Message::text("one"), Message::binary("two")]);
        assert!(socket.is_terminated());
        assert!(within(socket.next()).await.is_none());
    })
    .await;
}

#[wasm_bindgen_test]
async fn a2_the_stream_ends_after_an_error() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        peer.command("fin").await;
        assert!(within(socket.next()).await.unwrap().is_err());
        assert!(within(socket.next()).await.is_none());
        assert!(within(socket.next()).await.is_none());
    })
    .await;
}

#[wasm_bindgen_test]
async fn a3_a_socket_is_a_sink_of_everything_that_converts_into_a_message() {
    for_all_echoes(async |mut socket| {
        within(SinkExt::<&str>::send(&mut socket, "a")).await.unwrap();
        within(SinkExt::<String>::send(&mut socket, "b".into())).await.unwrap();
        within(SinkExt::<&[u8]>::send(&mut socket, b"c")).await.unwrap();
        within(SinkExt::<Vec<u8>>::send(&mut socket, b"d".to_vec())).await.unwrap();
        within(SinkExt::<Message>::send(&mut socket, Message::text("e"))).await.unwrap();
        let mut received = Vec::new();
        for _ in 0..5 {
            received.push(within(socket.receive()).await.unwrap().unwrap());
        }
        let sent = [Message::text("a"), "b".into(), Message::binary("c"), Message::binary("d"), "e".into()];
        assert_eq!(received, sent);
        let (mut sender, receiver) = socket.split();
        within(SinkExt::<&str>::close(&mut sender)).await.unwrap();
        let closed = within(receiver.closed()).await;
        assert_eq!((closed.code, closed.was_clean), (CloseCode::Normal, true));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a4_async_read_and_write_transfer_bytes_as_messages() {
    for_all_echoes(async |mut socket| {
        AsyncWriteExt::write_all(&mut socket, b"sal").await.unwrap();
        within(WebSocket::send(&mut socket, "")).await.unwrap();
        AsyncWriteExt::write_all(&mut socket, b"mon!").await.unwrap();
        AsyncWriteExt::flush(&mut socket).await.unwrap();
        let mut buffer = [0; 5];
        within(AsyncReadExt::read_exact(&mut socket, &mut buffer)).await.unwrap();
        assert_eq!(&buffer, b"salmo");
        within(WebSocket::send(&mut socket, "!close 1000")).await.unwrap();
        let mut rest = Vec::new();
        within(AsyncReadExt::read_to_end(&mut socket, &mut rest)).await.unwrap();
        assert_eq!(rest, b"n!");
        // The end stays the end.
        assert_eq!(within(AsyncReadExt::read(&mut socket, &mut buffer)).await.unwrap(), 0);
    })
    .await;
    for_all_echoes(async |mut socket| {
        within(AsyncWriteExt::close(&mut socket)).await.unwrap();
        assert_eq!(within(socket.closed()).await.code, CloseCode::Normal);
        assert!(within(AsyncWriteExt::write(&mut socket, b"late")).await.is_err());
    })
    .await;
}

#[wasm_bindgen_test]
async fn a4_each_write_is_a_binary_message() {
    for_all(async |builder| {
        let (mut socket, mut peer) = Peer::open(&builder).await;
        let (written, received) = both(AsyncWriteExt::write(&mut socket, b"salmon"), peer.frame()).await;
        assert_eq!((written.unwrap(), received), (6, (0x82, b"salmon".to_vec())));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a7_a8_split_and_join_lose_no_data() {
    for_all_echoes(async |mut socket| {
        let mut received = Vec::new();
        within(socket.send(bytes(250))).await.unwrap();
        within(socket.send("tail")).await.unwrap();
        for _ in 0..10 {
            let mut some = [0; 10];
            within(AsyncReadExt::read_exact(&mut socket, &mut some)).await.unwrap();
            received.extend(some);
            let (sender, mut receiver) = socket.split();
            within(AsyncReadExt::read_exact(&mut receiver, &mut some)).await.unwrap();
            received.extend(some);
            socket = WebSocket::join(sender, receiver).unwrap();
        }
        // What is left of a message that was read in part is a message.
        let (mut sender, mut receiver) = socket.split();
        received.extend(within(receiver.receive()).await.unwrap().unwrap().into_data());
        assert_eq!(received, bytes(250));
        assert_eq!(within(receiver.receive()).await.unwrap(), Some("tail".into()));
        within(sender.send("more")).await.unwrap();
        assert_eq!(within(receiver.receive()).await.unwrap(), Some("more".into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a4_the_rest_of_a_message_comes_before_the_next_message() {
    for_all_echoes(async |mut socket| {
        within(socket.send("salmon")).await.unwrap();
        within(socket.send("lös")).await.unwrap();
        within(AsyncReadExt::read_exact(&mut socket, &mut [0; 3])).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some("mon".into()));
        // It is cut inside of the letter.
        within(AsyncReadExt::read_exact(&mut socket, &mut [0; 2])).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some("ös".as_bytes()[1..].into()));
    })
    .await;
}

#[wasm_bindgen_test]
async fn a8_halves_of_two_connections_do_not_join() {
    for_all(async |builder| {
        let (one, _peer) = Peer::open(&builder).await;
        let (other, _peer) = Peer::open(&builder).await;
        let ((sender, _receiver), (_sender, receiver)) = (one.split(), other.split());
        let err = WebSocket::join(sender, receiver).unwrap_err();
        assert_eq!(err.to_string(), "the halves belong to different connections");
        assert!(err.0.is_open() && err.1.is_open());
    })
    .await;
}

#[wasm_bindgen_test]
async fn a9_halves_in_two_tasks_send_and_receive() {
    for_all_echoes(async |socket| {
        let (mut sender, mut receiver) = socket.split();
        let sending = async {
            for at in 0..200_u32 {
                sender.send(at.to_string()).await.unwrap();
            }
            sender.flush().await.unwrap();
        };
        let receiving = async {
            for at in 0..200_u32 {
                assert_eq!(receiver.receive().await.unwrap(), Some(at.to_string().into()));
            }
        };
        within(join(sending, receiving)).await;
        let closed = receiver.closed();
        let (ours, theirs) = both(sender.close(CloseCode::Normal, "done"), closed).await;
        assert_eq!(ours.unwrap(), theirs);
        assert_eq!(within(receiver.receive()).await.unwrap(), None);
    })
    .await;
}
