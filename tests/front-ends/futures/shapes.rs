//! Streams, sinks, bytes, halves.

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::{AsyncReadExt, AsyncWriteExt, Sink, SinkExt, Stream, StreamExt};
use sockeye::futures::{Builder, Ended, Receiver, Sender, WebSocket};
use sockeye::protocol::Event;
use sockeye::{CloseCode, Message, OpCode};

use crate::support::{End, Woken, close_payload, frame, masked, now, open_client, open_server, poll, ready};

fn assert_send_sync<T: Send + Sync>() {}

#[test]
fn a1_a9_halves_can_be_sent_to_other_threads() {
    assert_send_sync::<WebSocket<End>>();
    assert_send_sync::<Sender<End>>();
    assert_send_sync::<Receiver<End>>();
    assert_send_sync::<Ended<End>>();
}

#[test]
fn a2_a_socket_is_a_stream_of_messages() {
    fn is_stream<T: Stream<Item = sockeye::futures::Result<Message>>>(stream: T) -> T {
        stream
    }
    let (socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x81, b"a"), frame(0x82, b"b"), frame(0x88, b"")].concat());
    raw.end();
    let mut socket = is_stream(socket);
    assert_eq!(ready(socket.next()).unwrap().unwrap(), "a".into());
    assert_eq!(ready(socket.next()).unwrap().unwrap(), b"b".to_vec().into());
    assert!(ready(socket.next()).is_none() && ready(socket.next()).is_none());
}

#[test]
fn a2_a_stream_returns_its_error_once() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.end();
    assert!(ready(socket.next()).unwrap().is_err());
    assert!(ready(socket.next()).is_none());
}

#[test]
fn a3_sink_of_everything_that_converts_into_a_message() {
    fn is_sink<T: Sink<&'static str> + Sink<String> + Sink<&'static [u8]> + Sink<Vec<u8>> + Sink<Message>>(
        _: &T,
    ) {
    }
    let (mut socket, raw) = open_server(&Builder::new());
    is_sink(&socket);
    ready(SinkExt::send(&mut socket, "a")).unwrap();
    ready(SinkExt::feed(&mut socket, String::from("b"))).unwrap();
    ready(SinkExt::send(&mut socket, &b"c"[..])).unwrap();
    assert_eq!(raw.read(), b"\x81\x01a\x81\x01b\x82\x01c");
    assert!(now(SinkExt::<Message>::close(&mut socket)).is_none());
    assert_eq!(raw.read(), frame(0x88, &close_payload(1000, "")));
    raw.write(masked(0x88, &close_payload(1000, "")));
    raw.end();
    ready(SinkExt::<Message>::close(&mut socket)).unwrap();
}

#[test]
fn a4_async_read_and_write_transfer_bytes_as_messages() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write([masked(0x82, b"abc"), masked(0x82, b""), masked(0x81, b"def")].concat());
    let mut bytes = [0; 5];
    ready(socket.read_exact(&mut bytes)).unwrap();
    assert_eq!(&bytes, b"abcde");
    ready(socket.write_all(b"xyz")).unwrap();
    ready(AsyncWriteExt::flush(&mut socket)).unwrap();
    assert_eq!(raw.read(), b"\x82\x03xyz");
    raw.write(masked(0x88, b""));
    raw.end();
    let mut rest = Vec::new();
    ready(socket.read_to_end(&mut rest)).unwrap();
    assert_eq!(rest, b"f");
}

#[test]
fn a4_an_end_without_a_close_is_an_error() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.end();
    assert!(ready(socket.read(&mut [0; 1])).is_err());
}

#[test]
fn a4_a_split_keeps_the_rest_of_a_message() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write(masked(0x82, b"abcdef"));
    ready(socket.read_exact(&mut [0; 2])).unwrap();
    let (sender, mut receiver) = socket.split();
    ready(receiver.read_exact(&mut [0; 1])).unwrap();
    let mut socket = WebSocket::join(sender, receiver).unwrap();
    assert_eq!(ready(socket.receive()).unwrap(), Some(b"def".to_vec().into()));
}

#[test]
fn a4_the_rest_of_a_message_comes_before_the_next_message() {
    let (mut socket, raw) = open_server(&Builder::new());
    let messages = ["salmon", "lös", "trout", "char", "next", "last"];
    raw.write(messages.map(|message| masked(0x81, message.as_bytes())).concat());
    let mut half = [0; 3];
    ready(socket.read_exact(&mut half)).unwrap();
    assert_eq!(ready(socket.receive()).unwrap(), Some(Message::text("mon")));
    // It is cut inside of the letter.
    ready(socket.read_exact(&mut half[..2])).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(ready(socket.receive_into(&mut buffer)).unwrap(), Some(OpCode::Binary));
    assert_eq!(buffer, "ös".as_bytes()[1..]);
    ready(socket.read_exact(&mut half)).unwrap();
    assert_eq!(ready(socket.next()).unwrap().unwrap(), Message::text("ut"));
    ready(socket.read_exact(&mut half)).unwrap();
    let frame = ready(socket.receive_frame()).unwrap().unwrap();
    assert_eq!((frame.opcode(), &frame.payload()[..]), (OpCode::Text, &b"r"[..]));
    ready(socket.read_exact(&mut half)).unwrap();
    let Some(Event::Message(rest)) = ready(socket.receive_event()).unwrap() else { panic!("no message") };
    assert_eq!(rest, "t".into());
    // A message that was read to its end leaves nothing.
    ready(socket.read_exact(&mut [0; 4])).unwrap();
    raw.write(masked(0x88, b""));
    raw.end();
    assert_eq!(ready(socket.receive()).unwrap(), None);
}

#[test]
fn a4_small_reads_of_a_large_message_take_linear_time() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write(masked(0x82, &vec![7; 4 << 20]));
    // If every read moved the rest of the message, this would take hours.
    let end = std::time::Instant::now() + sockeye_test_support::LIMIT;
    let mut piece = [0; 16];
    for _ in 0..(4 << 20) / 16 {
        ready(socket.read_exact(&mut piece)).unwrap();
        assert!(std::time::Instant::now() < end, "the reads take too long");
    }
}

#[test]
fn a7_the_receiver_sends_replies_without_the_sender() {
    let (socket, raw) = open_server(&Builder::new());
    let (sender, mut receiver) = socket.split();
    raw.write([masked(0x89, b"p"), masked(0x88, b"")].concat());
    assert!(now(receiver.receive()).is_none());
    let received: Vec<OpCode> = raw.read_frames().iter().map(sockeye::Frame::opcode).collect();
    assert_eq!(received, [OpCode::Pong, OpCode::Close]);
    drop(sender);
}

#[test]
fn a7_the_sender_sends_replies_without_the_receiver() {
    let (socket, raw) = open_server(&Builder::new());
    let (mut sender, mut receiver) = socket.split();
    raw.write([masked(0x89, b"p"), masked(0x81, b"kept"), masked(0x88, b"")].concat());
    ready(sender.send("x")).unwrap();
    assert_eq!(raw.read_frames().len(), 2, "the Pong goes along");
    assert!(sender.is_open(), "the Close is behind a message that was not received");
    assert_eq!(ready(receiver.receive()).unwrap(), Some("kept".into()));
    ready(sender.flush()).unwrap();
    assert_eq!(raw.read_frames()[0].opcode(), OpCode::Close);
    assert!(ready(sender.send("late")).is_err());
}

#[test]
fn a7_a_blocked_sender_does_not_block_the_receiver() {
    let (socket, raw) = open_server(&Builder::new());
    let (mut sender, mut receiver) = socket.split();
    raw.limit(10);
    let mut sending = Box::pin(sender.send(vec![0; 100]));
    assert!(poll(&mut sending).is_pending());
    raw.write(masked(0x81, b"through"));
    assert_eq!(ready(receiver.receive()).unwrap(), Some("through".into()));
    raw.limit(usize::MAX);
    raw.read();
    assert!(poll(&mut sending).is_ready());
}

#[test]
fn a7_each_half_is_woken_by_actions_of_the_other() {
    let (socket, raw) = open_client(&Builder::new());
    let (mut sender, mut receiver) = socket.split();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut receiving = Box::pin(receiver.receive());
    assert!(receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // The sender comes first, and finds what is for the receiver.
    raw.write(frame(0x81, b"a"));
    let before = woken.count();
    ready(sender.send("x")).unwrap();
    assert!(woken.count() > before || before > 0);
    assert_eq!(ready(receiving).unwrap(), Some("a".into()));
}

#[test]
fn a8_join_keeps_the_connection_and_rejects_other_halves() {
    let builder = Builder::new();
    let ((one, raw), (other, _raw)) = (open_client(&builder), open_client(&builder));
    let (sender, receiver) = one.split();
    let (strange, stranger) = other.split();
    let err = WebSocket::join(sender, stranger).unwrap_err();
    let mut socket = WebSocket::join(err.0, receiver).unwrap();
    assert_eq!(socket.request().unwrap().resource(), "/chat");
    assert_eq!(socket.response().unwrap().status(), 101);
    raw.write(frame(0x81, b"a"));
    assert_eq!(ready(socket.receive()).unwrap(), Some("a".into()));
    drop((strange, err.1));
}

#[test]
fn a10_empty_frames_keep_their_type() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x89, b""), frame(0x8a, b""), frame(0x88, b"")].concat());
    for opcode in [OpCode::Ping, OpCode::Pong, OpCode::Close] {
        assert_eq!(ready(socket.receive_frame()).unwrap().unwrap().opcode(), opcode);
    }
}

#[test]
fn a11_halves_have_the_getters_of_the_socket() {
    let (socket, _raw) = open_client(&Builder::new());
    let (sender, receiver) = socket.split();
    assert_eq!(
        (sender.request().unwrap().resource(), receiver.request().unwrap().resource()),
        ("/chat", "/chat")
    );
    assert_eq!((sender.protocol(), receiver.protocol()), (None, None));
    assert!(sender.is_open() && receiver.is_open());
}

#[test]
fn a16_the_closed_future_of_one_half_completes_the_close_of_the_other() {
    let (socket, raw) = open_client(&Builder::new());
    let (mut sender, receiver) = socket.split();
    assert!(now(sender.close(CloseCode::Normal, "")).is_none());
    raw.write(frame(0x88, &close_payload(1000, "")));
    raw.end();
    assert!(ready(receiver.closed()).was_clean);
}
