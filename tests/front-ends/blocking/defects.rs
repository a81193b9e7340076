//! Defects of other libraries that this front end must not have. The protocol core has tests of its own.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use sockeye::protocol::Config;
use sockeye::{CloseCode, OpCode};

use crate::{pair, served};
use sockeye_test_support::bytes::{
    CLOSE, LAST, PING, PONG, TEXT, TEXT_START, close_payload, masked, masked_close,
};
use sockeye_test_support::peer::End;

/// T1: a Close that is received is answered, and then nothing can be sent.
#[test]
fn t1_the_close_of_the_peer_gets_a_reply() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&masked_close(4321, "bye"));
    let reading = thread::spawn(move || {
        assert_eq!(socket.receive_frame().unwrap().unwrap().opcode(), OpCode::Close);
        assert!(socket.send("late").is_err());
    });
    assert_eq!(peer.frame(), (CLOSE, close_payload(4321, "")));
    reading.join().unwrap();
}

/// T2, T3: `close` waits, returns the Close of the peer, and TCP ends.
#[test]
fn t2_t3_close_waits_for_the_peer_and_ends_tcp() {
    let (mut socket, mut peer) = served(Config::default());
    let closing = thread::spawn(move || {
        let closed = socket.close(CloseCode::Normal, "ours").unwrap();
        assert!(socket.send("late").is_err());
        (closed, socket)
    });
    assert_eq!(peer.frame(), (CLOSE, close_payload(1000, "ours")));
    assert!(!peer.receives_within(Duration::from_millis(50)));
    peer.send(&masked_close(3000, "theirs"));
    // The socket is not dropped yet.
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    let (closed, _socket) = closing.join().unwrap();
    assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::Other(3000), "theirs"));
}

/// T4: a message beyond the limit closes the socket, and is reported once.
#[test]
fn t4_a_message_over_the_limit_closes_the_socket() {
    let (mut socket, mut peer) = served(Config { max_message_size: 10, ..Config::default() });
    peer.send(&masked(TEXT, b"eleven char"));
    let reading = thread::spawn(move || {
        assert!(socket.receive().is_err());
        assert!(socket.send("late").is_err());
        assert!(socket.receive().unwrap().is_none());
    });
    peer.expect_failure(1009);
    reading.join().unwrap();
}

/// T7: a Close with and without a code comes in one shape.
#[test]
fn t7_a_close_without_a_code_is_clean() {
    for (payload, code) in [(Vec::new(), CloseCode::Status), (close_payload(1001, ""), CloseCode::Away)] {
        let (mut socket, mut peer) = served(Config::default());
        peer.send(&masked(CLOSE, &payload));
        peer.end_writing();
        assert_eq!(socket.receive().unwrap(), None);
        let closed = socket.closed().unwrap();
        assert!(closed.was_clean && closed.code == code);
        // A frame without a payload is what it is.
        let (mut socket, mut peer) = served(Config::default());
        peer.send(&[masked(PING, b""), masked(CLOSE, &payload)].concat());
        assert_eq!(socket.receive_frame().unwrap().unwrap().opcode(), OpCode::Ping);
        assert_eq!(socket.receive_frame().unwrap().unwrap().opcode(), OpCode::Close);
    }
}

/// rouille: a message and a Close in one read, of which only the Close was seen.
#[test]
fn messages_before_a_close_are_delivered() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&[masked(TEXT, b"one"), masked(TEXT, b"two"), masked(CLOSE, b"")].concat());
    peer.end_writing();
    assert_eq!(socket.receive().unwrap(), Some("one".into()));
    assert_eq!(socket.receive().unwrap(), Some("two".into()));
    assert_eq!(socket.receive().unwrap(), None);
}

/// rouille: an empty frame stalled until the next byte.
#[test]
fn an_empty_frame_is_delivered_immediately() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&masked(TEXT, b""));
    assert_eq!(socket.receive().unwrap(), Some("".into()));
    peer.send(&masked(CLOSE, b""));
    let reading = thread::spawn(move || socket.receive().unwrap());
    assert_eq!(peer.frame(), (CLOSE, Vec::new()));
    peer.end_writing();
    assert_eq!(reading.join().unwrap(), None);
}

/// rouille: the Close of an error had text where the code belongs; and 200 bytes of a Ping came back.
#[test]
fn a_violation_sends_a_close_with_its_code() {
    for (bytes, code) in [
        (masked(TEXT, b"\xff"), 1007),
        (masked(PING, &[7; 200]), 1002),
        (masked(LAST, b"orphan"), 1002),
        ([masked(TEXT_START, b""), masked(TEXT, b"x")].concat(), 1002),
        (masked(CLOSE, b"x"), 1002),
        (masked(CLOSE, &[3, 232, 0xff]), 1007),
        (vec![TEXT, 1, b'x'], 1002),
    ] {
        let (mut socket, mut peer) = served(Config::default());
        peer.send(&bytes);
        let reading = thread::spawn(move || socket.receive().is_err());
        assert_eq!(peer.frame(), (CLOSE, u16::to_be_bytes(code).to_vec()));
        peer.end_writing();
        assert!(reading.join().unwrap());
    }
}

/// rouille: dropping the socket cut TCP without a Close.
#[test]
fn dropping_the_last_handle_sends_a_close() {
    let (socket, mut peer) = served(Config::default());
    let clone = socket.try_clone().unwrap();
    drop(socket);
    assert!(!peer.receives_within(Duration::from_millis(30)));
    drop(clone);
    peer.expect_failure(1001);
}

#[test]
fn two_handles_that_are_dropped_at_once_send_a_close() {
    for _ in 0..200 {
        let (mut client, server) = pair();
        let handles = [server.try_clone().unwrap(), server];
        let together = Barrier::new(handles.len());
        thread::scope(|scope| {
            for handle in handles {
                scope.spawn(|| {
                    together.wait();
                    drop(handle);
                });
            }
        });
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().unwrap().code, CloseCode::Away);
    }
}

/// websockets: text that is cut within a character could not be received.
#[test]
fn text_can_be_split_anywhere() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&[masked(TEXT_START, b"\xf0\x9f"), masked(LAST, b"\x90\x9f")].concat());
    assert_eq!(socket.receive().unwrap(), Some("\u{1f41f}".into()));
}

/// websockets, soketto: a receive that was given up lost its place.
#[test]
fn a_read_that_would_block_loses_no_data() {
    let (mut socket, mut peer) = served(Config::default());
    socket.get_ref().unwrap().set_nonblocking(true).unwrap();
    for byte in masked(TEXT, b"salmon") {
        let err = socket.receive().unwrap_err();
        assert!(
            matches!(err, sockeye::blocking::Error::Io(err) if err.kind() == std::io::ErrorKind::WouldBlock)
        );
        peer.send(&[byte]);
    }
    socket.get_ref().unwrap().set_nonblocking(false).unwrap();
    assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
}

/// soketto: after `close`, the Close of the peer could not be answered, nor a Ping that came before it.
#[test]
fn a_pong_is_sent_while_close_waits() {
    let (mut socket, mut peer) = served(Config::default());
    let closing = thread::spawn(move || socket.close(CloseCode::Normal, "").unwrap());
    assert_eq!(peer.frame().0, CLOSE);
    peer.send(&[masked(PING, b"?"), masked_close(1000, "")].concat());
    assert_eq!(peer.frame(), (PONG, b"?".to_vec()));
    assert!(closing.join().unwrap().was_clean);
}

/// websocket-web: small reads of a large message took quadratic time.
#[test]
fn small_reads_of_a_large_message_take_linear_time() {
    use std::io::Read;

    let (mut client, mut server) = pair();
    let sending = thread::spawn(move || {
        client.send(vec![7; 8 << 20]).unwrap();
        client
    });
    let mut buffer = [0; 64];
    for _ in 0..(8 << 20) / 64 {
        server.read_exact(&mut buffer).unwrap();
    }
    sending.join().unwrap();
}

/// rouille: what breaks a rule of frames was taken; websockets: RSV bits, a Ping in fragments, a lone continuation.
#[test]
fn invalid_frames_are_refused() {
    for bytes in
        [masked(0xc1, b"x"), masked(0x91, b"x"), masked(0x09, b"x"), masked(LAST, b"x"), masked(0x83, b"x")]
    {
        let (mut socket, mut peer) = served(Config::default());
        // After a whole message, and before any.
        peer.send(&[masked(TEXT, b"whole"), bytes].concat());
        let reading = thread::spawn(move || (socket.receive().unwrap(), socket.receive().is_err()));
        assert_eq!(peer.frame(), (CLOSE, close_payload(1002, "")));
        peer.end_writing();
        assert_eq!(reading.join().unwrap(), (Some("whole".into()), true));
    }
}

/// soketto: what came after a message in fragments that was too long was eaten. Here the connection ends, once and for all.
#[test]
fn nothing_is_delivered_after_a_message_that_is_too_long() {
    let (mut socket, mut peer) = served(Config { max_message_size: 10, ..Config::default() });
    peer.send(&[masked(TEXT_START, b"eight by"), masked(LAST, b"eight by"), masked(TEXT, b"ok")].concat());
    let reading = thread::spawn(move || {
        assert!(socket.receive().is_err());
        assert_eq!(socket.receive().unwrap(), None);
    });
    peer.expect_failure(1009);
    reading.join().unwrap();
}

/// websockets: halves of two connections could be joined, and lost what was known of the handshake. Here a handle has it, and
/// there is nothing to join.
#[test]
fn every_handle_returns_the_opening_handshake() {
    let (client, _server) = pair();
    let clone = client.try_clone().unwrap();
    assert_eq!(clone.request().unwrap().key().unwrap(), client.request().unwrap().key().unwrap());
    assert_eq!(clone.response().unwrap().headers(), client.response().unwrap().headers());
}

/// A bare Close, a Ping and a Pong without payload are what they are.
#[test]
fn an_empty_control_frame_keeps_its_type() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&[masked(PING, b""), masked(PONG, b""), masked(CLOSE, b"")].concat());
    let kinds = [(); 3].map(|()| socket.receive_frame().unwrap().unwrap().opcode());
    assert_eq!(kinds, [OpCode::Ping, OpCode::Pong, OpCode::Close]);
}

/// rouille: the response had a `Content-Type`; soketto: an empty `Sec-WebSocket-Extensions`.
#[test]
fn the_response_has_the_required_headers_only() {
    let (socket, _peer) = served(Config::default());
    let names: Vec<_> =
        socket.response().unwrap().headers().iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
}

#[cfg(feature = "permessage-deflate")]
mod compressed {
    use std::thread;

    use sockeye::blocking::Builder;
    use sockeye::protocol::Config;
    use sockeye::{Deflate, OpCode};

    use crate::Tcp;
    use sockeye_test_support::bytes::{LAST, masked, upgrade_and};
    use sockeye_test_support::peer::Peer;

    /// A text, and the first frame of one, that are compressed.
    const TEXT: u8 = 0xc1;
    const TEXT_START: u8 = 0x41;

    /// "Hello" (RFC 7692 §7.2.3.1), and once more with the context of the first (§7.2.3.2).
    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];

    /// A server, and a client that offers what browsers do.
    fn served() -> (Tcp, Peer) {
        let deflate = Deflate { client_no_context_takeover: false, ..Deflate::default() };
        let builder = Builder::new().config(Config { deflate: Some(deflate), ..Config::default() });
        let (ours, theirs) = crate::streams();
        let mut peer = Peer::new(theirs);
        let accepting = thread::spawn(move || builder.server(ours).accept().unwrap());
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        peer.send(upgrade_and(offer).as_bytes());
        peer.opened();
        (accepting.join().unwrap(), peer)
    }

    /// soketto: with a browser, the second message was corrupt.
    #[test]
    fn t8_the_second_compressed_message_of_a_browser() {
        let (mut socket, mut peer) = served();
        peer.send(&[masked(TEXT, HELLO), masked(TEXT, AGAIN), masked(TEXT, AGAIN)].concat());
        for _ in 0..3 {
            assert_eq!(socket.receive().unwrap(), Some("Hello".into()));
        }
    }

    /// soketto: what was in the caller's buffer was inflated as well.
    #[test]
    fn a_compressed_message_is_appended_to_a_buffer() {
        let (mut socket, mut peer) = served();
        peer.send(&masked(TEXT, HELLO));
        let mut buffer = b"before ".to_vec();
        assert_eq!(socket.receive_into(&mut buffer).unwrap(), Some(OpCode::Text));
        assert_eq!(buffer, b"before Hello");
    }

    /// soketto: a compressed message whose first fragment is empty went wrong.
    #[test]
    fn a_compressed_message_with_an_empty_first_fragment_is_received() {
        let (mut socket, mut peer) = served();
        peer.send(&[masked(TEXT_START, b""), masked(LAST, HELLO), masked(TEXT, AGAIN)].concat());
        assert_eq!(socket.receive().unwrap(), Some("Hello".into()));
        assert_eq!(socket.receive().unwrap(), Some("Hello".into()));
    }
}
