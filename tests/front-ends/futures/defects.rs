//! Conformance through this front end, and what must not happen.

use sockeye::futures::Builder;
use sockeye::futures::Error;
use sockeye::protocol::{Config, Event, ProtocolError};
use sockeye::{CloseCode, OpCode};

use crate::support::{
    REQUEST, close_payload, frame, masked, now, open_client, open_server, pipe, poll, ready,
};

/// The code of the Close by which a socket fails because of what it receives.
fn failed_by(is_server: bool, bytes: &[u8]) -> (Error, u16) {
    let (mut socket, raw) =
        if is_server { open_server(&Builder::new()) } else { open_client(&Builder::new()) };
    raw.write(bytes);
    raw.end();
    let err = ready(socket.receive()).expect_err("it breaks a rule");
    let close = raw.read_frames().pop().expect("a Close");
    assert_eq!(close.opcode(), OpCode::Close);
    assert_eq!(ready(socket.closed()).code, CloseCode::Abnormal);
    assert!(ready(socket.send("late")).is_err());
    (err, u16::from_be_bytes([close.payload()[0], close.payload()[1]]))
}

#[test]
fn p1_a_client_masks_and_refuses_masked_frames() {
    let (mut socket, raw) = open_client(&Builder::new());
    ready(socket.send("a")).unwrap();
    assert_eq!(raw.read()[1], 0x81);
    assert_eq!(failed_by(false, &masked(0x81, b"a")).1, 1002);
}

#[test]
fn p2_a_server_refuses_unmasked_frames() {
    assert_eq!(failed_by(true, &frame(0x81, b"a")).1, 1002);
}

#[test]
fn p3_reserved_bits_and_opcodes_are_rejected() {
    for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b] {
        assert_eq!(failed_by(false, &frame(first, b"a")).1, 1002);
    }
}

#[test]
fn p4_long_or_fragmented_control_frames_are_refused() {
    assert_eq!(failed_by(false, &frame(0x89, &[0; 200])).1, 1002);
    assert_eq!(failed_by(false, &frame(0x09, b"a")).1, 1002);
}

#[test]
fn p5_the_order_of_continuations_is_checked() {
    assert_eq!(failed_by(false, &frame(0x80, b"a")).1, 1002);
    assert_eq!(failed_by(false, &[frame(0x01, b""), frame(0x81, b"b")].concat()).1, 1002);
}

#[test]
fn p6_p7_invalid_utf8_is_closed_with_1007() {
    let (err, code) = failed_by(true, &masked(0x81, b"\xff\xfe"));
    assert!(matches!(err, Error::Protocol(ProtocolError::InvalidUtf8)));
    assert_eq!(code, 1007);
}

#[test]
fn an_error_is_returned_after_the_close_was_sent() {
    // The error is returned only after the Close was sent: dropping the socket at once loses nothing.
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write(frame(0x81, b"a"));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.read(), frame(0x88, &close_payload(1002, "")));
    assert!(raw.has_ended());
    raw.end();
    assert!(ready(socket.receive()).is_err());
}

#[test]
fn an_empty_frame_is_delivered_at_once() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write(masked(0x81, b""));
    assert_eq!(ready(socket.receive()).unwrap(), Some("".into()));
    raw.write(masked(0x88, b""));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.read(), [0x88, 0]);
}

#[test]
fn a_message_that_arrives_with_a_close_is_delivered() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write([masked(0x81, b"last"), masked(0x88, b"")].concat());
    raw.end();
    assert_eq!(ready(socket.receive()).unwrap(), Some("last".into()));
    assert_eq!(ready(socket.receive()).unwrap(), None);
}

#[test]
fn no_input_causes_a_panic() {
    let mut seed = 1_u32;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..64).map(|_| byte()).collect();
        let (mut socket, raw) = open_client(&Builder::new());
        raw.write(&bytes);
        raw.end();
        while let Some(Ok(Some(_))) = now(socket.receive_frame()) {}
        let (end, raw) = pipe();
        raw.write(&bytes);
        raw.end();
        let _ = now(Builder::new().server(end).accept());
    }
}

/// T1: a Close that is received is answered, and then nothing can be sent.
#[test]
fn t1_the_close_of_the_peer_is_answered() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write(frame(0x88, &close_payload(4321, "bye")));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.read_frames()[0].payload(), &close_payload(4321, ""));
    assert!(ready(socket.send("late")).is_err());
    assert!(raw.read().is_empty());
}

/// T2, T3: `close` waits, returns the Close of the peer, and the stream ends; nothing can be sent after it.
#[test]
fn t2_t3_close_waits_for_the_answer_of_the_peer() {
    let (mut socket, raw) = open_client(&Builder::new());
    {
        let mut closing = Box::pin(socket.close(CloseCode::Normal, "ours"));
        assert!(poll(&mut closing).is_pending());
        assert_eq!(raw.read_frames()[0].payload(), &close_payload(1000, "ours"));
        raw.write(frame(0x88, &close_payload(3000, "theirs")));
        assert!(poll(&mut closing).is_pending(), "the server ends its side first");
        raw.end();
        let closed = ready(closing).unwrap();
        assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::Other(3000), "theirs"));
    }
    assert!(raw.has_ended());
    assert!(ready(socket.send("late")).is_err());
}

/// T4: a message beyond the limit closes the socket, and is reported once.
#[test]
fn t4_beyond_the_limit_the_connection_is_closed() {
    let config = Config { max_message_size: 10, ..Config::default() };
    let (mut socket, raw) = open_server(&Builder::new().config(config));
    raw.write([masked(0x01, b"eight by"), masked(0x80, b"eight by"), masked(0x81, b"ok")].concat());
    raw.end();
    assert!(ready(socket.receive()).is_err());
    assert_eq!(raw.read_frames()[0].payload()[..2], 1009_u16.to_be_bytes());
    assert!(ready(socket.send("late")).is_err());
    assert_eq!(ready(socket.receive()).unwrap(), None);
}

/// T7: a Close with and without a code comes in one shape.
#[test]
fn t7_a_close_without_a_code_is_not_an_error() {
    for (payload, code) in [(Vec::new(), CloseCode::Status), (close_payload(1001, ""), CloseCode::Away)] {
        let (mut socket, raw) = open_server(&Builder::new());
        raw.write(masked(0x88, &payload));
        raw.end();
        let event = ready(socket.receive_event()).unwrap();
        assert!(matches!(event, Some(Event::Close(came, _)) if came == code));
        let closed = ready(socket.closed());
        assert_eq!((closed.code, closed.was_clean), (code, true));
    }
}

/// rouille: a payload of a Close that is no code, or no text; a Ping of 200 bytes.
#[test]
fn malformed_control_frames_fail_the_connection() {
    for (bytes, code) in [
        (masked(0x88, b"x"), 1002),
        (masked(0x88, &[3, 232, 0xff]), 1007),
        (masked(0x88, &999_u16.to_be_bytes()), 1002),
        (masked(0x89, &[7; 200]), 1002),
    ] {
        assert_eq!(failed_by(true, &bytes).1, code);
    }
}

/// rouille: the response had a `Content-Type`; soketto: an empty `Sec-WebSocket-Extensions`.
#[test]
fn the_response_has_the_required_headers_only() {
    let (socket, _raw) = open_server(&Builder::new());
    assert_eq!(socket.response().unwrap().headers().len(), 3, "{:?}", socket.response());
}

/// soketto: a comma list, as browsers send it, was no list.
#[test]
fn a_list_of_subprotocols_is_parsed() {
    let (socket, _raw) = open_server(&Builder::new().add_subprotocol("wamp"));
    assert_eq!(socket.request().unwrap().protocols().unwrap(), ["soap", "wamp"]);
    assert_eq!(socket.protocol(), Some("wamp"));
}

/// rouille: headers that merely contain a word passed for it.
#[test]
fn requests_that_resemble_an_upgrade_are_refused() {
    for (from, to) in
        [("Upgrade: websocket", "Upgrade: notwebsocket"), ("Connection: Upgrade", "Connection: noupgrade")]
    {
        let (end, raw) = pipe();
        raw.write(REQUEST.replace(from, to));
        raw.end();
        assert!(ready(Builder::new().server(end).accept()).is_err());
        assert!(raw.read_text().starts_with("HTTP/1.1 426 "));
    }
}

#[cfg(feature = "permessage-deflate")]
mod compressed {
    use sockeye::futures::{Builder, WebSocket};
    use sockeye::protocol::Config;
    use sockeye::{Deflate, OpCode};

    use crate::support::{End, REQUEST, RemoteEnd, masked, pipe, ready};

    /// "Hello" (RFC 7692 §7.2.3.1), and once more with the context of the first (§7.2.3.2).
    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];

    /// A server, and a client that offers what browsers do.
    fn served() -> (WebSocket<End>, RemoteEnd) {
        let deflate = Deflate { client_no_context_takeover: false, ..Deflate::default() };
        let builder = Builder::new().config(Config { deflate: Some(deflate), ..Config::default() });
        let (end, raw) = pipe();
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin";
        raw.write(REQUEST.replace("Origin", offer));
        (ready(builder.server(end).accept()).unwrap(), raw)
    }

    /// T8: with a browser, the second message was corrupt.
    #[test]
    fn t8_the_second_compressed_message_of_a_browser() {
        let (mut socket, raw) = served();
        raw.write([masked(0xc1, HELLO), masked(0xc1, AGAIN), masked(0xc1, AGAIN)].concat());
        for _ in 0..3 {
            assert_eq!(ready(socket.receive()).unwrap(), Some("Hello".into()));
        }
    }

    #[test]
    fn the_content_of_the_buffer_is_not_inflated() {
        let (mut socket, raw) = served();
        raw.write(masked(0xc1, HELLO));
        let mut buffer = b"before ".to_vec();
        assert_eq!(ready(socket.receive_into(&mut buffer)).unwrap(), Some(OpCode::Text));
        assert_eq!(buffer, b"before Hello");
    }

    #[test]
    fn an_empty_first_fragment_is_accepted() {
        let (mut socket, raw) = served();
        raw.write([masked(0x41, b""), masked(0x80, HELLO), masked(0xc1, AGAIN)].concat());
        assert_eq!(ready(socket.receive()).unwrap(), Some("Hello".into()));
        assert_eq!(ready(socket.receive()).unwrap(), Some("Hello".into()));
    }
}
