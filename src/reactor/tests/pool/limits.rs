//! The limits of queues and of memory.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::super::text;
use super::super::topics::Shared;
use super::{Worker, is_accepted, pool, settle};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::Token;
use crate::{Handshake, Message, Result};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A handler that publishes when its timer fires, and counts what was not accepted. It ignores messages.
struct Timed {
    out: Sender,
    refused: Rc<Cell<usize>>,
}

impl Handler for Timed {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.subscribe("ticks")?;
        self.out.timeout(1000, Token(0))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.out.timeout(1000, Token(0))?;
        if !is_accepted(self.out.publish("ticks", "tick")) {
            self.refused.set(self.refused.get() + 1);
        }
        Ok(())
    }
}

/// A loop does not read while the queue of another one is full, but its timers fire.
#[test]
fn timers_cannot_fill_the_queue_of_another_loop_beyond_its_limit() {
    let settings = Settings { queue_size: 2, max_connections: 10, ..Settings::without_timeouts() };
    let refused = Rc::new(Cell::new(0));
    let make = |out: Sender| Timed { out, refused: Rc::clone(&refused) };
    let mut pool = pool(2, settings, || make);
    let (publisher, subscriber) = (pool[0].open_client(), pool[1].open_client());
    settle(&mut pool);
    let capacity = pool[1].reactor.state.queue.remote.len_limit();
    for _ in 0..capacity + 5 {
        pool[0].fire_timers(Duration::from_millis(1001));
    }
    assert_eq!((refused.get(), pool[1].reactor.state.queue.remote.len()), (5, capacity));
    settle(&mut pool);
    assert_eq!(subscriber.take_received().len(), capacity * b"\x81\x04tick".len());
    assert_eq!(publisher.take_received(), b"");
}

/// Opens a connection whose peer does not read.
fn open_unread(worker: &mut Worker<Shared>) -> Sender {
    worker.open_client().set_room(0);
    worker.factory.senders.borrow().last().unwrap().clone()
}

fn send(worker: &mut Worker<Shared>, out: &Sender, len: usize) {
    worker.run(|| out.send(vec![0; len]).unwrap());
}

/// Worker 0 has the connection that holds the most, and worker 1 finds that the limit is exceeded.
#[test]
fn w2_the_connection_of_all_loops_that_holds_the_most_is_closed() {
    let settings = Settings { max_memory: 4 * MIB, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, Shared::default);
    let largest = open_unread(&mut pool[0]);
    send(&mut pool[0], &largest, 2 * MIB);
    let others: Vec<Sender> = (0..3).map(|_| open_unread(&mut pool[1])).collect();
    others.iter().for_each(|out| send(&mut pool[1], out, 800 * KIB));
    assert!(pool[1].reactor.state.memory.is_exceeded() && largest.is_open(), "worker 0 has not run");
    settle(&mut pool);
    assert!(!largest.is_open() && others.iter().all(Sender::is_open));
    assert!(!pool[0].reactor.state.memory.is_exceeded());
}

/// A worker that is so busy that it does not react does not let the memory grow.
#[test]
fn w2_a_loop_that_waits_for_another_one_closes_its_own_connections_at_last() {
    let settings = Settings { max_memory: 4 * MIB, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, Shared::default);
    let largest = open_unread(&mut pool[0]);
    send(&mut pool[0], &largest, 3 * MIB);
    let growing = open_unread(&mut pool[1]);
    let mut most = 0;
    while growing.is_open() {
        send(&mut pool[1], &growing, 100 * KIB);
        most = most.max(pool[1].reactor.state.memory.held());
    }
    assert!((4 * MIB..4 * MIB + MIB / 2 + 1).contains(&most), "{most}");
    settle(&mut pool);
    assert!(largest.is_open(), "the limit holds without it");
}

/// A loop that waits until the queue of another one is shorter continues when that loop has ended.
#[test]
fn a_loop_continues_when_the_one_that_it_waits_for_has_ended() {
    let settings = Settings { queue_size: 2, max_connections: 10, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, || |out: Sender| move |message: Message| out.broadcast(message));
    let (first, _second) = (pool[0].open_client(), pool[1].open_client());
    settle(&mut pool);
    let most = pool[1].reactor.state.queue.remote.len_limit() + 1;
    (0..most).for_each(|_| first.send(&text("hello")));
    pool[0].settle();
    assert!(pool[0].reactor.state.is_blocked());
    first.send(&text("later"));
    pool[0].settle();
    assert_eq!(first.take_received().len(), most * b"\x81\x05hello".len());
    drop(pool.pop());
    assert!(!pool[0].is_idle(), "the loop is woken");
    pool[0].settle();
    assert_eq!(first.take_received(), b"\x81\x05later");
}
