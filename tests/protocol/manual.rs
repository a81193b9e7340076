//! `protocol::manual`: the front end sees every frame first, and sends every reply.

use std::sync::Arc;
use std::time::Duration;

use sockeye::protocol::manual::{ManualConnection, Received};
use sockeye::protocol::{Config, Connection, Event, ProtocolError, Role, State};
use sockeye::{CloseCode, Frame, Message, OpCode, Response};

use sockeye_test_support::bytes::{self, BINARY, CLOSE, LAST, PING, PONG, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Seen, request};

/// An open end whose front end sends the replies.
type Manual = End<ManualConnection>;

fn open(role: Role, config: Config) -> Manual {
    End::open(role, config).into_manual()
}

fn server() -> Manual {
    open(Role::Server, Config::default())
}

/// What a server receives when a client sends a whole frame.
fn receive(server: &mut Manual, first: u8, payload: &[u8]) -> Result<Received, ProtocolError> {
    let mut bytes = bytes::frame_from(Role::Client, first, payload);
    let received = server.core.receive_frame(&mut bytes.as_mut_slice(), server.now, &mut server.out)?;
    Ok(received.unwrap())
}

fn frame(server: &mut Manual, first: u8, payload: &[u8]) -> Frame {
    match receive(server, first, payload) {
        Ok(Received::Frame(frame)) => frame,
        other => panic!("not a frame: {other:?}"),
    }
}

fn accept(server: &mut Manual, frame: Frame) -> Result<Option<Event>, ProtocolError> {
    server.core.accept(frame, server.now)
}

#[test]
fn manual_frames_are_returned_before_the_core_processes_them() {
    let mut server = server();
    let bytes = [
        bytes::frame_from(Role::Client, TEXT_START, b"a"),
        bytes::frame_from(Role::Client, PING, b"p"),
        bytes::frame_from(Role::Client, LAST, b"b"),
        bytes::close_from(Role::Client, 1000, b"c"),
    ];
    let expected = [
        Seen::Frame(OpCode::Text, false, b"a".to_vec()),
        Seen::Frame(OpCode::Ping, true, b"p".to_vec()),
        Seen::Ping(b"p".to_vec()),
        Seen::Frame(OpCode::Continue, true, b"b".to_vec()),
        Seen::text("ab"),
        Seen::Frame(OpCode::Close, true, b"\x03\xe8c".to_vec()),
        Seen::close(CloseCode::Normal, "c"),
    ];
    assert_eq!(server.feed(&bytes.concat()), expected);
    let sent = bytes::frames(&server.out);
    assert!(sent[0].is(PONG, b"p") && sent[1].is(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn manual_a_frame_that_is_not_accepted_has_no_effect() {
    let mut server = server();
    for (first, payload) in [(TEXT, &b"x"[..]), (PING, b"y"), (CLOSE, b""), (TEXT_START, b"z")] {
        frame(&mut server, first, payload);
    }
    assert_eq!((server.state(), server.out.len()), (State::Open, 0));
    frame(&mut server, LAST, b"z");
    let whole = frame(&mut server, TEXT, b"here again");
    assert!(
        matches!(accept(&mut server, whole), Ok(Some(Event::Message(text))) if text == "here again".into())
    );
}

#[test]
fn manual_a_changed_frame_is_accepted_and_checked() {
    let mut server = server();
    let mut changed = frame(&mut server, TEXT, b"upstream");
    changed.payload_mut().make_ascii_uppercase();
    assert!(
        matches!(accept(&mut server, changed), Ok(Some(Event::Message(text))) if text == "UPSTREAM".into())
    );

    let mut spoilt = frame(&mut server, TEXT, b"upstream");
    spoilt.payload_mut().push(0xff);
    assert_eq!(accept(&mut server, spoilt).unwrap_err(), ProtocolError::InvalidUtf8);
}

#[test]
fn manual_frames_that_are_not_accepted_still_count_for_the_framing_rules() {
    let mut server = server();
    frame(&mut server, TEXT_START, b"kept");
    let interrupted = receive(&mut server, TEXT, b"new").unwrap_err();
    assert_eq!(interrupted, ProtocolError::InterruptedMessage);
}

#[test]
fn manual_the_front_end_sends_the_pong() {
    let mut server = server();
    let ping = frame(&mut server, PING, b"well?");
    assert!(matches!(accept(&mut server, ping), Ok(Some(Event::Ping(payload))) if payload == b"well?"));
    assert!(server.out.is_empty());
    assert_eq!(server.core.pong_for(b"well?".to_vec(), 256).unwrap().payload(), b"well?");

    assert!(server.core.pong_for(b"first".to_vec(), 257).is_none());
    assert!(server.core.pong_for(b"second".to_vec(), 257).is_none());
    assert_eq!(server.core.pending_pong().unwrap().payload(), b"second");
    assert!(server.core.pending_pong().is_none());
}

#[test]
fn manual_the_front_end_sends_the_reply_to_a_close() {
    let mut server = server();
    server.advance(Duration::from_secs(5));
    let close = frame(&mut server, CLOSE, &1001_u16.to_be_bytes());
    let Ok(Some(Event::Close(code, _))) = accept(&mut server, close) else { panic!("it is a Close") };
    assert_eq!((server.state(), server.out.len()), (State::Closing, 0));
    let reply = server.core.close_reply(code).unwrap();
    server.core.send_frame(reply.clone(), server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.out).is(CLOSE, &1001_u16.to_be_bytes()));
    assert!(server.core.close_reply(code).is_none(), "it is owed once");
    assert_eq!(server.core.send_frame(reply, server.now, &mut server.out), Err(ProtocolError::NotOpen));
    assert!(server.core.awaits_flush() && server.flush() && !server.core.awaits_flush());
}

#[test]
fn manual_the_front_end_sends_the_close_after_a_violation() {
    let mut server = server();
    assert!(server.core.failure(ProtocolError::InvalidUtf8).is_none(), "nothing has gone wrong yet");
    let err = receive(&mut server, TEXT, b"\xff").unwrap_err();
    assert_eq!((server.state(), server.out.len()), (State::Closing, 0));
    assert_eq!(server.core.deadline(), Some(server.now + Duration::from_secs(10)));
    let failure = server.core.failure(err).unwrap();
    server.core.send_frame(failure, server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.out).is(CLOSE, &1007_u16.to_be_bytes()));
    assert!(server.core.failure(err).is_none(), "it is owed once");
    assert!(server.flush());
}

#[test]
fn manual_the_front_end_can_skip_a_pending_close() {
    let mut server = server();
    let close = frame(&mut server, CLOSE, b"");
    accept(&mut server, close).unwrap();
    server.core.skip_close(server.now);
    assert!(server.core.awaits_flush() && server.flush());

    let mut client = open(Role::Client, Config::default());
    let mut bytes = bytes::frame_from(Role::Server, 0x83, b"");
    client.core.receive(&mut bytes.as_mut_slice(), client.now, &mut client.out).unwrap_err();
    client.core.skip_close(client.now);
    assert!(client.flush());
    assert_eq!((client.out.len(), client.core.receive_eof(), client.state()), (0, Ok(()), State::Closed));
}

#[test]
fn manual_tick_returns_a_due_ping() {
    let config = Config { ping_interval: Some(Duration::from_secs(20)), ..Config::default() };
    let mut server = open(Role::Server, config);
    server.advance(Duration::from_secs(20));
    let ping = server.core.tick(server.now, &mut server.out).unwrap().unwrap();
    assert_eq!((ping.opcode(), server.out.len()), (OpCode::Ping, 0));
    assert_eq!(server.core.deadline(), Some(server.now + Duration::from_secs(20)), "it counts as sent");
}

#[test]
fn manual_connections_can_share_one_config() {
    let config = Arc::new(Config::default());
    let now = std::time::Instant::now();
    let ends: Vec<ManualConnection> =
        (0..3).map(|_| Connection::server(Arc::clone(&config), now).into()).collect();
    assert!(ends.iter().all(|end| end.role() == Role::Server && end.state() == State::Connecting));
}

#[test]
fn l1_manual_a_pending_reply_to_a_close_expires_at_the_close_timeout() {
    let config = Config { ping_interval: Some(Duration::from_secs(20)), ..Config::default() };
    let mut server = open(Role::Server, config);
    server.tick().unwrap();
    server.take_out();
    server.advance(Duration::from_secs(15));
    let close = frame(&mut server, CLOSE, b"");
    accept(&mut server, close).unwrap();
    assert_eq!(server.core.deadline(), Some(server.now + Duration::from_secs(10)));
    assert_eq!(server.tick(), Ok(()));
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn l1_manual_a_data_frame_accepted_after_the_local_close_yields_no_message() {
    let mut server = server();
    let text = frame(&mut server, TEXT, b"late");
    let ping = frame(&mut server, PING, b"late");
    server.close(CloseCode::Normal, "").unwrap();
    assert!(matches!(accept(&mut server, text), Ok(None)));
    assert!(matches!(accept(&mut server, ping), Ok(Some(Event::Ping(_)))));
    let close = frame(&mut server, CLOSE, b"");
    assert!(matches!(accept(&mut server, close), Ok(Some(Event::Close(CloseCode::Status, _)))));
}

/// A server and a client that have agreed on an extension of the program, which turns every byte around.
fn with_extension() -> Manual {
    let mut asking = request();
    asking.add_extension("x-turn");
    let mut client = End::asking(Config::default(), asking);
    let mut server = End::server(Config::default());
    let (mut head, now) = (client.take_out(), server.now);
    let core = &mut server.core;
    let Ok(Some(Event::Request(request))) = core.receive(&mut head.as_mut_slice(), now, &mut server.out)
    else {
        panic!("it is a request")
    };
    let mut response = Response::from_request(&request).unwrap();
    response.add_extension("x-turn");
    core.respond(&request, &mut response, now, &mut server.out).unwrap();
    assert_eq!(client.feed(&server.take_out()), [Seen::Response(101)]);
    server.into_manual()
}

/// Feeds bytes in two reads; turns every frame around, and hands it back.
fn feed_turning(server: &mut Manual, bytes: &[u8], at: usize) -> Result<Vec<Message>, ProtocolError> {
    let (mut bytes, mut messages) = (bytes.to_vec(), Vec::new());
    let (first, second) = bytes.split_at_mut(at);
    for mut read in [first, second] {
        while let Some(received) = server.core.receive(&mut read, server.now, &mut server.out)? {
            let Received::Frame(mut frame) = received else { panic!("not a frame: {received:?}") };
            frame.payload_mut().iter_mut().for_each(|byte| *byte = !*byte);
            frame.set_rsv3(false);
            if let Some(Event::Message(message)) = accept(server, frame)? {
                messages.push(message);
            }
        }
    }
    Ok(messages)
}

#[test]
fn s5_8_the_program_decodes_the_payload_before_it_is_checked() {
    let turned: Vec<u8> = "\u{1f41f} upstream".bytes().map(|byte| !byte).collect();
    for mark in [0, 0x10] {
        let whole = bytes::frame_from(Role::Client, TEXT | mark, &turned);
        let begins = bytes::frame_from(Role::Client, TEXT_START | mark, &turned[..6]);
        let ends = bytes::frame_from(Role::Client, LAST, &turned[6..]);
        for bytes in [whole, [begins, ends].concat()] {
            for at in 0..=bytes.len() {
                let mut server = with_extension();
                let messages = feed_turning(&mut server, &bytes, at);
                assert_eq!(messages, Ok(vec![Message::text("\u{1f41f} upstream")]), "{mark} {at}");
            }
        }
    }
}

#[test]
fn s5_8_the_reserved_bits_of_an_extension_are_sent_as_the_program_sets_them() {
    let mut server = with_extension();
    let mut frame = Frame::message(b"x".to_vec(), OpCode::Binary, true);
    frame.set_rsv1(true).set_rsv3(true);
    server.core.send_frame(frame, server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.out).is(BINARY | 0x50, b"x"));
}

#[test]
fn s5_5_1_manual_messages_can_be_sent_before_a_pending_close() {
    for (first, payload) in [(CLOSE, &b""[..]), (TEXT, b"\xff")] {
        let mut server = server();
        let err = match receive(&mut server, first, payload) {
            Ok(Received::Frame(frame)) => accept(&mut server, frame).err(),
            other => other.err(),
        };
        assert_eq!(server.state(), State::Closing);
        server.send("an answer");
        let close = match err {
            Some(err) => server.core.failure(err),
            None => server.core.close_reply(CloseCode::Status),
        };
        server.core.send_frame(close.unwrap(), server.now, &mut server.out).unwrap();
        assert!(!server.core.can_send(OpCode::Text));
        let late = server.core.send("too late", server.now, &mut server.out);
        assert_eq!(late, Err(ProtocolError::NotOpen));
        let sent = bytes::frames(&server.out);
        assert!(sent.len() == 2 && sent[0].is(TEXT, b"an answer") && sent[1].first == CLOSE);
    }
}
