//! Handlers that borrow messages, and answer them with a `Reply`.

use std::cell::RefCell;
use std::rc::Rc;

use super::{frame, listening, open_client, run_until_idle, text};
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::handler_fn::handler_fn;
use crate::reactor::api::reply::Reply;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::{Overflow, Settings};
use crate::reactor::queue::{Command, ConnectMode, NewConnection};
use crate::reactor::system::fake::Fake;
use crate::{Error, ErrorKind, Message, MessageRef, QueueError, Result};

/// Sends bytes to a server, and returns what it answers.
fn answers(factory: impl Factory, settings: Settings, input: &[u8]) -> Vec<u8> {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(factory, settings, &system);
    let client = open_client(&mut reactor, &system);
    client.send(input);
    run_until_idle(&mut reactor);
    client.take_received()
}

fn answers_by_default(factory: impl Factory, input: &[u8]) -> Vec<u8> {
    answers(factory, Settings::default(), input)
}

/// A frame with a mask that is not zero.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let key = [1, 2, 3, 4];
    let mut frame = match payload.len() {
        len @ 0..126 => vec![0x80 | opcode, 0x80 | u8::try_from(len).unwrap()],
        len @ 126..65_536 => {
            [&[0x80 | opcode, 0x80 | 126][..], &u16::try_from(len).unwrap().to_be_bytes()].concat()
        }
        len => [&[0x80 | opcode, 0x80 | 127][..], &u64::try_from(len).unwrap().to_be_bytes()].concat(),
    };
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Implements only the new method.
struct Echo;

impl Handler for Echo {
    fn on_message_ref(&mut self, msg: MessageRef<'_>, reply: &mut Reply<'_>) -> Result<()> {
        reply.send_ref(msg)
    }
}

/// Passes messages on as a handler does that was written for `ws`.
struct Wrapper<H>(H);

impl<H: Handler> Handler for Wrapper<H> {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.on_message(msg)
    }
}

#[test]
fn borrowed_messages_are_echoed() {
    let bytes = [0, 1, 2, 0xff, 7];
    let input =
        [masked(2, &bytes), masked(1, "Fisch: häh".as_bytes()), masked(2, &[]), masked(1, b"")].concat();
    let expected =
        [&b"\x82\x05"[..], &bytes, b"\x81\x0b", "Fisch: häh".as_bytes(), b"\x82\x00\x81\x00"].concat();
    assert_eq!(answers_by_default(|_| Echo, &input), expected);
    assert_eq!(answers_by_default(|_| handler_fn(|msg, reply| reply.send_ref(msg)), &input), expected);
    assert_eq!(answers_by_default(|_| handler_fn(|msg, reply| reply.send(msg)), &input), expected);
    assert_eq!(
        answers_by_default(|out: Sender| move |msg: Message| out.send(msg), &input),
        expected,
        "a closure that owns its messages"
    );
}

#[test]
fn large_borrowed_messages_are_echoed() {
    for len in [126, 5000, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 200_000] {
        let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
        let owned = answers_by_default(|out: Sender| move |msg: Message| out.send(msg), &masked(2, &payload));
        assert_eq!(answers_by_default(|_| Echo, &masked(2, &payload)), owned, "{len} bytes");
        assert!(owned.len() > len);
    }
}

#[test]
fn a_message_in_pieces_is_borrowed_from_its_own_memory() {
    let places = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&places);
    let take = move |_| {
        let seen = Rc::clone(&seen);
        handler_fn(move |mut msg: MessageRef<'_>, reply: &mut Reply<'_>| {
            let borrowed = msg.as_bytes().as_ptr();
            let owned = msg.into_owned();
            seen.borrow_mut().push(borrowed == owned.as_bytes().as_ptr());
            reply.send(owned)
        })
    };
    let fragments =
        [b"\x02\x83\0\0\0\0abc".to_vec(), b"\x80\x82\0\0\0\0de".to_vec(), frame(2, b"whole")].concat();
    assert_eq!(answers_by_default(take, &fragments), b"\x82\x05abcde\x82\x05whole");
    assert_eq!(*places.borrow(), [true, false], "only the first has memory of its own");
}

#[test]
fn messages_are_sent_in_the_order_of_the_calls() {
    let factory = |out: Sender| {
        handler_fn(move |msg, reply| {
            reply.send_ref("1")?;
            out.send("2")?;
            reply.send_ref(msg)?;
            reply.send("4")
        })
    };
    let expected = b"\x81\x011\x81\x012\x81\x013\x81\x014".repeat(2);
    assert_eq!(answers_by_default(factory, &text("3").repeat(2)), expected);
}

#[test]
fn what_a_sender_sends_in_the_hook_follows_the_reply() {
    let factory = |out: Sender| {
        handler_fn(move |msg, reply| {
            reply.send_ref(msg)?;
            out.send("queued")
        })
    };
    assert_eq!(answers_by_default(factory, &text("first")), b"\x81\x05first\x81\x06queued");
}

#[test]
fn nothing_follows_a_close() {
    let factory = |out: Sender| {
        handler_fn(move |msg, reply| {
            out.close(crate::CloseCode::Normal)?;
            reply.send_ref(msg)
        })
    };
    assert_eq!(answers_by_default(factory, &text("late")), b"\x88\x02\x03\xe8");
}

#[test]
fn an_inner_handler_receives_what_an_old_wrapper_passes_on() {
    let wrapped = |_| Wrapper(Wrapper(Echo));
    assert_eq!(answers_by_default(wrapped, &text("hello").repeat(2)), b"\x81\x05hello".repeat(2));
    let boxed = |_| -> Box<dyn Handler> { Box::new(Wrapper(Box::new(Echo) as Box<dyn Handler>)) };
    assert_eq!(answers_by_default(boxed, &text("hello")), b"\x81\x05hello");
}

/// Passes messages on while it handles a frame.
struct Early<H>(H);

impl<H: Handler> Handler for Early<H> {
    fn on_frame(&mut self, frame: crate::Frame) -> Result<Option<crate::Frame>> {
        self.0.on_message(Message::from(frame.as_slice()))?;
        Ok(None)
    }
}

#[test]
fn an_inner_handler_can_reply_in_every_hook_of_its_wrapper() {
    assert_eq!(answers_by_default(|_| Early(Echo), &text("hello")), b"\x82\x05hello");
}

#[test]
fn a_handler_without_methods_for_messages_ignores_them() {
    struct Silent;
    impl Handler for Silent {}
    assert_eq!(answers_by_default(|_| Silent, &text("hello")), b"");
    assert_eq!(answers_by_default(|_| Wrapper(Silent), &text("hello")), b"");
}

#[test]
fn without_a_loop_a_reply_is_an_error() {
    let result = Echo.on_message("hello".into());
    let is_disconnected = |err: &Error| matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected));
    assert!(result.as_ref().is_err_and(is_disconnected), "{result:?}");
}

#[test]
fn text_is_validated_before_it_is_borrowed() {
    let calls = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&calls);
    let factory = move |_| {
        let counted = Rc::clone(&counted);
        handler_fn(move |mut msg: MessageRef<'_>, _: &mut Reply<'_>| {
            msg.as_text()?;
            *counted.borrow_mut() += 1;
            Ok(())
        })
    };
    let input = [masked(1, b"fine"), masked(1, &[0xff])].concat();
    assert_eq!(answers_by_default(factory, &input), b"\x88\x02\x03\xef", "1007");
    assert_eq!(*calls.borrow(), 1);
}

#[test]
fn replies_are_limited_like_other_output() {
    let settings = Settings { max_buffered: 100, overflow: Overflow::Drop, ..Settings::default() };
    let amounts = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&amounts);
    let factory = move |out: Sender| {
        let seen = Rc::clone(&seen);
        handler_fn(move |_: MessageRef<'_>, reply: &mut Reply<'_>| {
            for _ in 0..3 {
                reply.send_ref(&[7; 45][..])?;
                seen.borrow_mut().push(out.buffered_amount());
            }
            Ok(())
        })
    };
    let received = answers(factory, settings, &text("x"));
    assert_eq!(*amounts.borrow(), [45, 90, 90], "the third does not fit");
    assert_eq!(received.len(), 2 * (2 + 45));
}

#[test]
fn replies_before_a_panic_are_sent() {
    let settings = Settings { catch_panics: true, ..Settings::default() };
    let factory = |_| {
        handler_fn(|msg: MessageRef<'_>, reply: &mut Reply<'_>| {
            let panics = msg.len() == 2;
            reply.send_ref(msg)?;
            assert!(!panics, "a test");
            Ok(())
        })
    };
    let input = [text("1"), text("22"), text("333")].concat();
    assert_eq!(answers(factory, settings, &input), b"\x81\x011\x81\x0222\x88\x02\x03\xf3");
}

#[test]
fn replies_are_counted() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(|_| Echo, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.send(&text("hello").repeat(3));
    run_until_idle(&mut reactor);
    let traffic = reactor.state.traffic;
    assert_eq!((traffic.messages_received, traffic.messages_sent), (3, 3));
    assert_eq!(reactor.state.queue.buffered_amount(0, 0), 0);
}

#[test]
fn a_client_masks_its_replies() {
    let system = Fake::new();
    let server = system.add_server();
    let (mut reactor, _entered) = listening(|_| Echo, Settings::default(), &system);
    let connect = NewConnection::Connect("ws://server/".parse().unwrap(), ConnectMode::Once);
    reactor.execute(Command::NewConnection(Box::new(connect.into())), None);
    super::accept(&mut reactor, &server);
    run_until_idle(&mut reactor);
    server.take_received();
    server.send(b"\x81\x05hello");
    run_until_idle(&mut reactor);
    let reply = server.take_received();
    assert_eq!(reply.get(..2), Some(&[0x81, 0x85][..]));
    let payload: Vec<u8> =
        reply[6..].iter().zip(reply[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(payload, b"hello");
}
