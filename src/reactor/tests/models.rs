//! Models of the loop on the system without sockets: other threads queue commands while it runs, waits and ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use loom::thread;

use super::{Fake, Settings, Wire, listening, open_client};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::sender::Sender;
use crate::reactor::queue::{CommandQueue, models};
use crate::{CloseCode, Message};

/// The stack of a thread that runs a loop, in words. The default of loom is too small.
const STACK: usize = 64 * 1024;

/// A turn of the loop uses the queue often, so there are too many orders with more preemptions.
const PREEMPTIONS: usize = 3;

/// Runs a model whose first thread is that of a loop.
fn check(model: fn()) {
    models::check(Some(PREEMPTIONS), move || {
        let event_loop = thread::Builder::new().stack_size(STACK).spawn(model).unwrap();
        event_loop.join().unwrap();
    });
}

/// Creates a loop with one client, and adds the sender of each connection to a list.
fn with_client(senders: &Rc<RefCell<Vec<Sender>>>) -> (Reactor<impl Factory, Fake>, Wire) {
    let (system, senders) = (Fake::new(), Rc::clone(senders));
    let factory = move |out: Sender| {
        senders.borrow_mut().push(out);
        |_: Message| Ok(())
    };
    let (mut reactor, entered) = listening(factory, Settings::without_timeouts(), &system);
    let client = open_client(&mut reactor, &system);
    drop(entered);
    (reactor, client)
}

/// Checks that a loop which has ended refuses commands, and that nothing is left of those that it has accepted.
fn assert_ended(queue: &Arc<CommandQueue>) {
    let all = Sender::all(Arc::clone(queue));
    assert!(all.broadcast("late").is_err() && all.shutdown().is_err());
    assert!(!queue.remote.has_commands());
    assert_eq!(queue.memory().held(), 0);
}

#[test]
fn w9_a_shutdown_ends_a_loop_that_waits() {
    check(|| {
        let settings = Settings::without_timeouts();
        let mut reactor = Reactor::with_system(|_| |_: Message| Ok(()), settings, Fake::new());
        reactor.runs_until_shutdown = true;
        let queue = Arc::clone(&reactor.state.queue);
        let [busy, stopping] = [(); 2].map(|()| Sender::all(Arc::clone(&queue)));
        let busy = thread::spawn(move || busy.broadcast("text").is_ok());
        let stopping = thread::spawn(move || stopping.shutdown().is_ok());
        reactor.run().unwrap();
        busy.join().unwrap();
        assert!(stopping.join().unwrap());
        assert_ended(&queue);
    });
}

#[test]
fn t2_the_commands_of_a_thread_reach_the_peer_in_order() {
    check(|| {
        let senders = Rc::default();
        let (mut reactor, client) = with_client(&senders);
        let out = senders.borrow()[0].clone();
        let sending = thread::spawn(move || {
            out.send("one").unwrap();
            out.send("two").unwrap();
            out.close(CloseCode::Normal).unwrap();
            out.shutdown().unwrap();
        });
        reactor.run().unwrap();
        sending.join().unwrap();
        let expected: [&[u8]; 3] = [b"\x81\x03one", b"\x81\x03two", b"\x88\x02\x03\xe8"];
        assert_eq!(client.take_received(), expected.concat());
        assert_ended(&reactor.state.queue);
    });
}

/// A loop without listeners ends with its last connection, but not before it has executed what it has accepted.
#[test]
fn l5_a_loop_that_ends_by_itself_executes_every_accepted_command() {
    check(|| {
        let senders = Rc::default();
        let (mut reactor, client) = with_client(&senders);
        reactor.listeners.clear();
        client.end();
        let out = senders.borrow()[0].clone();
        let connecting = thread::spawn(move || out.connect("ws://127.0.0.1/".parse().unwrap()).is_ok());
        reactor.run().unwrap();
        let is_accepted = connecting.join().unwrap();
        assert_eq!(senders.borrow().len(), 1 + usize::from(is_accepted), "a command is lost");
        assert_ended(&reactor.state.queue);
    });
}
