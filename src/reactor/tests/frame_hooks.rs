//! Which handlers receive single frames.

use std::cell::Cell;
use std::rc::Rc;

use super::{listening, open_client, run_until_idle, text};
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::frame_hooks::{FrameHooks, Hook};
use crate::reactor::system::fake::Fake;
use crate::{Frame, Message, Result};

/// Sends messages to a server. Returns what it answers, and what the loop knows about the hooks afterwards.
fn answers(factory: impl Factory, messages: &[&str]) -> (String, FrameHooks) {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    for message in messages {
        client.send(&text(message));
        run_until_idle(&mut reactor);
    }
    let received = client.take_received();
    let text = received.split(|byte| *byte == 0x81).map(|frame| frame.get(1..).unwrap_or_default().to_vec());
    (String::from_utf8(text.collect::<Vec<_>>().concat()).unwrap(), reactor.state.hooks)
}

/// Keeps the default hooks.
struct Echo(Sender);

impl Handler for Echo {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.send(msg)
    }
}

/// Drops every frame that begins with "x", and passes the others on to the default hooks of the inner handler, which has the same
/// address and the same size.
struct Filter(Echo);

impl Handler for Filter {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.on_message(msg)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.as_slice().starts_with(b"x") { Ok(None) } else { self.0.on_frame(frame) }
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.as_slice().starts_with(b"y") { Ok(None) } else { self.0.on_send_frame(frame) }
    }
}

#[test]
fn default_hooks_are_called_once() {
    let (received, hooks) = answers(Echo, &["a", "b"]);
    assert_eq!(
        (received.as_str(), hooks.on_frame, hooks.on_send_frame),
        ("ab", Hook::Default, Hook::Default)
    );
}

#[test]
fn hooks_that_pass_frames_on_to_the_defaults_are_always_called() {
    let (received, hooks) = answers(|out| Filter(Echo(out)), &["a", "x", "b", "y", "c"]);
    assert_eq!(received, "abc");
    assert_eq!((hooks.on_frame, hooks.on_send_frame), (Hook::Implemented, Hook::Implemented));
}

#[test]
fn each_hook_counts_alone() {
    /// Implements one of the two.
    struct Counter(Sender, Rc<Cell<u32>>);

    impl Handler for Counter {
        fn on_message(&mut self, msg: Message) -> Result<()> {
            self.0.send(msg)
        }

        fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
            self.1.set(self.1.get() + 1);
            Ok(Some(frame))
        }
    }

    let count = Rc::new(Cell::new(0));
    let (received, hooks) = answers(|out| Counter(out, Rc::clone(&count)), &["a", "b", "c"]);
    assert_eq!((received.as_str(), count.get()), ("abc", 3));
    assert_eq!((hooks.on_frame, hooks.on_send_frame), (Hook::Default, Hook::Implemented));
}

#[test]
fn a_handler_of_unknown_type_is_always_called() {
    let (received, hooks) = answers(|out| Box::new(Echo(out)) as Box<dyn Handler>, &["a", "b"]);
    assert_eq!((received.as_str(), hooks.on_frame), ("ab", Hook::Implemented));
}

#[cfg(feature = "permessage-deflate")]
#[test]
fn a_handler_that_passes_every_call_on_counts_as_its_inner_handler() {
    use crate::deflate::DeflateHandler;

    let (received, hooks) = answers(|out| DeflateHandler::new(Echo(out)), &["a", "b"]);
    assert_eq!(
        (received.as_str(), hooks.on_frame, hooks.on_send_frame),
        ("ab", Hook::Default, Hook::Default)
    );
    let (received, hooks) = answers(|out| DeflateHandler::new(Filter(Echo(out))), &["a", "x", "b", "y"]);
    assert_eq!((received.as_str(), hooks.on_frame), ("ab", Hook::Implemented));
}

#[test]
fn a_loop_within_a_hook_does_not_confuse_the_outer_one() {
    /// Runs another loop in a hook.
    struct Outer(Sender);

    impl Handler for Outer {
        fn on_message(&mut self, msg: Message) -> Result<()> {
            self.0.send(msg)
        }

        fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
            let (received, hooks) = answers(Echo, &["inner"]);
            assert_eq!((received.as_str(), hooks.on_frame), ("inner", Hook::Default));
            Ok(Some(frame))
        }
    }

    let (received, hooks) = answers(Outer, &["a", "b"]);
    assert_eq!((received.as_str(), hooks.on_frame), ("ab", Hook::Implemented));
}
