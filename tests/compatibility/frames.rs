//! Frames as values, and handlers that look at frames, change them, or make them disappear.

use std::cell::RefCell;
use std::io::Cursor;
use std::rc::Rc;

use ws::{
    CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Result, Sender, Settings,
    connect,
};

use crate::support::{Peer, Server, guarded};

fn written(mut frame: Frame) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    frame.format(&mut bytes).unwrap();
    bytes.into_inner()
}

/// The examples of RFC 6455 §5.7 that carry no mask.
#[test]
fn frames_are_encoded_as_in_the_examples_of_the_rfc() {
    let hello = || b"Hello".to_vec();
    assert_eq!(written(Frame::message(hello(), OpCode::Text, true)), b"\x81\x05Hello");
    assert_eq!(written(Frame::message(b"Hel".to_vec(), OpCode::Text, false)), b"\x01\x03Hel");
    assert_eq!(written(Frame::message(b"lo".to_vec(), OpCode::Continue, true)), b"\x80\x02lo");
    assert_eq!(written(Frame::ping(hello())), b"\x89\x05Hello");
    assert_eq!(written(Frame::pong(hello())), b"\x8a\x05Hello");
    assert_eq!(written(Frame::close(CloseCode::Normal, "bye")), b"\x88\x05\x03\xe8bye");
    assert_eq!(written(Frame::close(CloseCode::Empty, "")), b"\x88\x00");
    assert!(written(Frame::message(vec![0; 256], OpCode::Binary, true)).starts_with(b"\x82\x7e\x01\x00"));
    assert!(
        written(Frame::message(vec![0; 65536], OpCode::Binary, true))
            .starts_with(b"\x82\x7f\0\0\0\0\0\x01\0\0")
    );
}

/// `ws` leaves the payload of a parsed frame masked until `remove_mask` is called; a program that reads frames by
/// itself calls it always.
#[test]
fn a_masked_frame_is_parsed() {
    let mut cursor = Cursor::new(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58rest".to_vec());
    let mut frame = Frame::parse(&mut cursor, 1024).unwrap().unwrap();
    frame.remove_mask();
    assert_eq!(
        (frame.opcode(), frame.payload().as_slice(), frame.is_final()),
        (OpCode::Text, &b"Hello"[..], true)
    );
    assert!(!frame.is_masked());
    assert_eq!(cursor.position(), 11);
}

#[test]
fn a_frame_can_be_written_with_a_mask() {
    let mut own = Frame::message(b"Hello".to_vec(), OpCode::Text, true);
    assert!(!own.is_masked() && own.mask().is_none());
    own.set_mask();
    assert!(own.is_masked());
    assert_eq!(own.len(), 11);
    let mask = *own.mask().unwrap();
    let bytes = written(own);
    assert_eq!(bytes[..6], [0x81, 0x85, mask[0], mask[1], mask[2], mask[3]]);
    let mut again = Frame::parse(&mut Cursor::new(bytes), 5).unwrap().unwrap();
    again.remove_mask();
    assert_eq!(again.into_data(), b"Hello");
}

#[test]
fn an_incomplete_frame_is_none_and_the_cursor_does_not_move() {
    let whole = written(Frame::message(vec![9; 300], OpCode::Binary, true));
    for end in [0, 1, 2, 3, 4, 100, whole.len() - 1] {
        let mut cursor = Cursor::new(whole[..end].to_vec());
        assert!(Frame::parse(&mut cursor, 1 << 20).unwrap().is_none());
        assert_eq!(cursor.position(), 0);
    }
    assert!(Frame::parse(&mut Cursor::new(whole), 299).is_err());
}

#[test]
fn a_frame_can_be_changed() {
    let mut frame = Frame::message(b"a".to_vec(), OpCode::Text, true);
    frame.set_final(false).set_rsv1(true).set_rsv2(true).set_rsv3(false).set_opcode(OpCode::Binary);
    frame.payload_mut().push(b'b');
    assert!(
        !frame.is_final() && frame.has_rsv1() && frame.has_rsv2() && !frame.has_rsv3() && !frame.is_control()
    );
    assert_eq!((frame.len(), written(frame.clone())), (4, b"\x62\x02ab".to_vec()));
    assert!(!frame.is_empty());
    assert_eq!(frame.into_data(), b"ab");
    let empty = Frame::default();
    assert!(empty.is_final() && empty.opcode() == OpCode::Close && empty.payload().is_empty());
    assert!(Frame::ping(vec![1]).to_string().contains("PING"));
}

/// Writes every text that arrives, and every text that leaves, in its own way.
struct Accent {
    out: Sender,
}

impl Handler for Accent {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_frame(&mut self, mut frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Text {
            frame.payload_mut().make_ascii_uppercase();
        }
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, mut frame: Frame) -> Result<Option<Frame>> {
        if !frame.is_control() && frame.payload() == b"SECRET" {
            return Ok(None);
        }
        if frame.opcode() == OpCode::Text {
            frame.payload_mut().extend_from_slice(b"!?");
        }
        Ok(Some(frame))
    }
}

#[test]
fn handlers_can_change_and_drop_frames() {
    guarded(|| {
        let server = Server::run(|| |out| Accent { out });
        let received = RefCell::new(Vec::new());
        connect(server.url(), |out| {
            for text in ["hello", "secret", "end"] {
                out.send(text).unwrap();
            }
            let received = &received;
            move |msg: Message| {
                received.borrow_mut().push(msg.into_text()?);
                if received.borrow().len() == 2 { out.close(CloseCode::Normal) } else { Ok(()) }
            }
        })
        .unwrap();
        assert_eq!(received.into_inner(), ["HELLO!?", "END!?"]);
        server.stop();
    });
}

/// Hides Pings from the library, so that they are not answered.
struct NoPong(Sender);

impl Handler for NoPong {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.send(msg)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        Ok(Some(frame).filter(|frame| frame.opcode() != OpCode::Ping))
    }
}

#[test]
fn a_ping_dropped_by_a_handler_gets_no_pong() {
    guarded(|| {
        let server = Server::run(|| NoPong);
        let mut peer = Peer::open(server.addr);
        peer.send(Frame::ping(b"anyone?".to_vec()));
        peer.send(Frame::message(b"still there".to_vec(), OpCode::Text, true));
        let frame = peer.next_frame().unwrap();
        assert_eq!((frame.opcode(), frame.payload().as_slice()), (OpCode::Text, &b"still there"[..]));
        drop(peer);
        server.stop();
    });
}

#[test]
fn a_pong_has_the_payload_of_its_ping() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let mut peer = Peer::open(server.addr);
        peer.send(Frame::ping(b"anyone?".to_vec()));
        let frame = peer.next_frame().unwrap();
        assert_eq!((frame.opcode(), frame.payload().as_slice()), (OpCode::Pong, &b"anyone?"[..]));
        drop(peer);
        server.stop();
    });
}

/// Watches the frames of both directions without touching them.
struct Watcher {
    out: Sender,
    seen: Rc<RefCell<Vec<(char, OpCode, String)>>>,
}

impl Watcher {
    fn note(&self, direction: char, frame: &Frame) {
        let payload = String::from_utf8_lossy(frame.payload()).into_owned();
        self.seen.borrow_mut().push((direction, frame.opcode(), payload));
    }
}

impl Handler for Watcher {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.ping(b"p".to_vec())?;
        self.out.pong(b"q".to_vec())?;
        self.out.send("in parts")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        assert_eq!(msg, Message::text("in parts"));
        self.out.close(CloseCode::Normal)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        assert!(!frame.is_masked());
        self.note('<', &frame);
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        assert!(frame.is_final());
        self.note('>', &frame);
        Ok(Some(frame))
    }
}

/// A frame is seen whole when it is sent, and part by part when it arrives.
#[test]
fn frame_hooks_receive_frames_of_both_directions() {
    guarded(|| {
        let settings = Settings { fragment_size: 3, ..Settings::default() };
        let server = Server::run_with(settings, || |out: Sender| move |msg| out.send(msg));
        let seen = Rc::default();
        connect(server.url(), |out| Watcher { out, seen: Rc::clone(&seen) }).unwrap();
        let close = "\u{3}\u{fffd}";
        let expected = [
            ('>', OpCode::Ping, "p"),
            ('>', OpCode::Pong, "q"),
            ('>', OpCode::Text, "in parts"),
            ('<', OpCode::Pong, "p"),
            ('<', OpCode::Text, "in "),
            ('<', OpCode::Continue, "par"),
            ('<', OpCode::Continue, "ts"),
            ('>', OpCode::Close, close),
            ('<', OpCode::Close, close),
        ];
        assert_eq!(
            *seen.borrow(),
            expected.map(|(direction, opcode, payload)| (direction, opcode, payload.to_owned()))
        );
        server.stop();
    });
}

/// Rejects some frames; its error reaches the peer as a close code.
struct TextOnly;

impl Handler for TextOnly {
    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Binary => Err(Error::new(ErrorKind::Protocol, "text only")),
            _ => Ok(Some(frame)),
        }
    }

    fn on_error(&mut self, err: Error) {
        assert_eq!(err.details, "text only");
    }
}

#[test]
fn an_error_from_on_frame_closes_the_connection() {
    guarded(|| {
        let server = Server::run(|| |_| TextOnly);
        let mut peer = Peer::open(server.addr);
        peer.send(Frame::message(vec![1], OpCode::Binary, true));
        assert_eq!(peer.close_code(), Some(1002));
        drop(peer);
        server.stop();
    });
}
