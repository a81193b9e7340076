//! A system for tests, for fuzzing, and for the tests of programs: sockets are buffers in memory, and waiting moves the clock.

mod faults;
#[cfg(not(all(test, loom)))]
mod waker;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Interest, Token};

use self::faults::Faults;
#[cfg(not(all(test, loom)))]
use self::waker::Waker;
#[cfg(test)]
pub(in crate::reactor) use self::wire::Calls;
pub(in crate::reactor) use self::wire::Wire;
use super::{Addresses, Event, Name, Resolved, System};
use crate::reactor::WAKER;
use crate::reactor::entries::ConnectionId;
use crate::reactor::phase::LoopPhase;
use crate::reactor::queue::AcceptedStream;
#[cfg(all(test, loom))]
use crate::reactor::queue::models::Waker;

/// The system of one test. Clones share everything.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct Fake {
    now: Arc<Mutex<Instant>>,
    /// By how much the clock moves each time the loop reads it.
    pace: Rc<Cell<Duration>>,
    phase: Rc<Cell<Option<LoopPhase>>>,
    waker: Arc<Waker>,
    faults: Rc<Faults>,
    world: Rc<RefCell<World>>,
}

#[derive(Debug, Default)]
struct World {
    registered: Vec<Registered>,
    listener: Option<Token>,
    /// Connections that wait to be accepted.
    backlog: VecDeque<Wire>,
    /// Clients have connected since the last event of the listener.
    has_new_clients: bool,
    /// How the next calls of `accept` fail, in order.
    accept_errors: VecDeque<io::ErrorKind>,
    /// How many of the next registrations fail.
    refused: usize,
    /// What the attempts of the loop to connect return, in order. Without an entry they are refused.
    servers: VecDeque<Wire>,
    /// The sockets of all peers.
    sockets: Vec<Wire>,
    resolved: VecDeque<Resolved>,
    /// The names whose lookups have not finished. `None` if lookups finish at once.
    lookups: Option<VecDeque<Lookup>>,
    /// The addresses of every name, in place of one.
    addresses: Vec<SocketAddr>,
    /// The addresses to which the loop has begun to connect.
    connected: Vec<SocketAddr>,
}

/// A socket of the loop that is registered. The system forgets a socket when the loop closes it.
#[derive(Debug)]
struct Registered {
    token: Token,
    wire: Wire,
    descriptor: Weak<()>,
}

impl Registered {
    fn is_open(&self) -> bool {
        self.descriptor.strong_count() > 0
    }
}

/// A name, and the connection that needs its addresses.
type Lookup = (ConnectionId, Name);

/// The listener of the test.
#[derive(Debug)]
pub(in crate::reactor) struct FakeListener;

impl Fake {
    pub(in crate::reactor) fn new() -> Self {
        Self {
            now: Arc::new(Mutex::new(Instant::now())),
            pace: Rc::default(),
            phase: Rc::default(),
            waker: Arc::default(),
            faults: Rc::default(),
            world: Rc::default(),
        }
    }

    /// The time of the loop.
    pub(in crate::reactor) fn time(&self) -> Instant {
        *self.now.lock().expect("no thread has panicked")
    }

    /// Moves the clock.
    pub(in crate::reactor) fn advance(&self, duration: Duration) {
        *self.now.lock().expect("no thread has panicked") += duration;
    }

    /// Moves the clock each time the loop reads it.
    #[cfg(test)]
    pub(in crate::reactor) fn set_pace(&self, pace: Duration) {
        self.pace.set(pace);
    }

    /// Whether the next [`poll`](System::poll) returns an event, and leaves the clock as it is.
    pub(in crate::reactor) fn has_events(&self) -> bool {
        let world = self.world.borrow();
        self.waker.is_pending()
            || (world.has_new_clients && world.listener.is_some())
            || world.registered.iter().any(|socket| socket.is_open() && socket.wire.has_changed())
    }

    /// The phase that began last.
    pub(in crate::reactor) fn phase(&self) -> Option<LoopPhase> {
        self.phase.get()
    }

    /// A client connects to the listener of the loop.
    pub(in crate::reactor) fn connect_client(&self) -> Wire {
        let wire = Wire::new(Rc::clone(&self.faults));
        let mut world = self.world.borrow_mut();
        world.backlog.push_back(wire.clone());
        world.sockets.push(wire.clone());
        world.has_new_clients = true;
        wire
    }

    /// The next attempt of the loop to connect reaches this server.
    pub(in crate::reactor) fn add_server(&self) -> Wire {
        let wire = Wire::new(Rc::clone(&self.faults));
        let mut world = self.world.borrow_mut();
        world.servers.push_back(wire.clone());
        world.sockets.push(wire.clone());
        wire
    }

    /// The call with this number fails: accepting, connecting, reading, writing, registering or resolving.
    pub(in crate::reactor) fn fail_call(&self, number: usize, kind: io::ErrorKind) {
        self.faults.fail(number, kind);
    }

    /// The number of calls until now that could have failed.
    pub(in crate::reactor) fn calls(&self) -> usize {
        self.faults.calls()
    }

    /// The next call of `accept` fails. Nothing is accepted by it.
    pub(in crate::reactor) fn fail_accept(&self, kind: io::ErrorKind) {
        self.world.borrow_mut().accept_errors.push_back(kind);
    }

    /// So many of the next registrations fail.
    pub(in crate::reactor) fn refuse_registrations(&self, count: usize) {
        self.world.borrow_mut().refused = count;
    }

    /// How much has happened to the sockets of the loop.
    pub(in crate::reactor) fn moved(&self) -> usize {
        let world = self.world.borrow();
        world.sockets.iter().map(Wire::moved).sum::<usize>() + world.sockets.len() - world.backlog.len()
    }

    /// The number of clients that wait to be accepted.
    pub(in crate::reactor) fn waiting_clients(&self) -> usize {
        self.world.borrow().backlog.len()
    }

    /// The number of bytes that the loop has not read from its sockets.
    pub(in crate::reactor) fn unread(&self) -> usize {
        let world = self.world.borrow();
        world.registered.iter().filter(|socket| socket.is_open()).map(|socket| socket.wire.unread()).sum()
    }

    /// The number of registered sockets that the loop has not closed.
    pub(in crate::reactor) fn open_sockets(&self) -> usize {
        self.world.borrow().registered.iter().filter(|socket| socket.is_open()).count()
    }

    /// Lookups of names do not finish before [`finish_lookup`](Self::finish_lookup).
    pub(in crate::reactor) fn hold_lookups(&self) {
        self.world.borrow_mut().lookups = Some(VecDeque::new());
    }

    /// The number of lookups that have not finished.
    pub(in crate::reactor) fn held_lookups(&self) -> usize {
        self.world.borrow().lookups.as_ref().map_or(0, VecDeque::len)
    }

    /// Finishes the oldest lookup, and returns the name.
    pub(in crate::reactor) fn finish_lookup(&self) -> String {
        let held = self.world.borrow_mut().lookups.as_mut().and_then(VecDeque::pop_front);
        let (id, name) = held.expect("a lookup is held");
        let host = name.0.clone();
        self.finish(id, name);
        host
    }

    /// Every name has these addresses from now on.
    #[cfg(test)]
    pub(in crate::reactor) fn set_addresses(&self, addresses: &[SocketAddr]) {
        self.world.borrow_mut().addresses = addresses.to_vec();
    }

    /// The addresses to which the loop has begun to connect since the last call.
    #[cfg(test)]
    pub(in crate::reactor) fn take_connected(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.world.borrow_mut().connected)
    }

    /// Every name has one address, unless the test has set others, and except names that end in `.invalid`.
    fn finish(&self, id: ConnectionId, name: Name) {
        let port = name.1;
        let addresses = match name.0.ends_with(".invalid") {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name does not exist")),
            false => self.faults.check().map(|()| match &*self.world.borrow().addresses {
                [] => vec![SocketAddr::from(([127, 0, 0, 1], port))],
                addresses => addresses.to_vec(),
            }),
        };
        self.world.borrow_mut().resolved.push_back((id, name, addresses));
        self.waker.wake();
    }
}

impl World {
    /// Returns an error if the registration is one that must fail.
    fn permit(&mut self) -> io::Result<()> {
        match self.refused {
            0 => Ok(()),
            _ => {
                self.refused -= 1;
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }
}

impl System for Fake {
    type Socket = Wire;
    type Listener = FakeListener;
    type Events = Vec<Event>;

    fn new_events(_: usize) -> Vec<Event> {
        Vec::new()
    }

    /// Returns pending events. Without any, the clock moves to the end of the timeout.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.registered.retain(Registered::is_open);
        events.clear();
        events.extend(world.registered.iter().filter_map(|socket| socket.wire.take_event(socket.token)));
        let event = |token| Event { token, is_readable: true, is_writable: false, is_read_closed: false };
        let has_new_clients = std::mem::take(&mut world.has_new_clients);
        events.extend(world.listener.filter(|_| has_new_clients).map(event));
        events.extend(self.waker.clear().then(|| event(WAKER)));
        if events.is_empty() {
            drop(world);
            match timeout {
                Some(timeout) => self.advance(timeout),
                None => self.waker.wait(),
            }
        }
        Ok(())
    }

    fn clear(events: &mut Vec<Event>) {
        events.clear();
    }

    fn events(events: &Vec<Event>) -> impl Iterator<Item = Event> + '_ {
        events.iter().copied()
    }

    fn now(&self) -> Instant {
        self.advance(self.pace.get());
        self.time()
    }

    fn clock(&self) -> Box<dyn Fn() -> Instant + Send + Sync> {
        let now = Arc::clone(&self.now);
        Box::new(move || *now.lock().expect("no thread has panicked"))
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let waker = Arc::clone(&self.waker);
        Box::new(move || waker.wake())
    }

    fn register(&self, socket: &mut Wire, token: Token, _: Interest) -> io::Result<()> {
        self.faults.check()?;
        let mut world = self.world.borrow_mut();
        world.permit()?;
        // An attempt to connect has several sockets with the same token.
        world.registered.retain(|other| other.is_open() && !other.wire.is(socket));
        let (wire, descriptor) = socket.watched();
        wire.report_input();
        world.registered.push(Registered { token, wire, descriptor });
        Ok(())
    }

    fn reregister(&self, _: &mut Wire, _: Token, _: Interest) -> io::Result<()> {
        self.faults.check()?;
        self.world.borrow_mut().permit()
    }

    fn deregister(&self, socket: &mut Wire) -> io::Result<()> {
        self.world.borrow_mut().registered.retain(|other| !other.wire.is(socket));
        Ok(())
    }

    fn listen(&self, _: &mut FakeListener, token: Token) -> io::Result<()> {
        self.world.borrow_mut().listener = Some(token);
        Ok(())
    }

    fn accept(&self, _: &FakeListener) -> io::Result<(Wire, Option<Addresses>)> {
        self.faults.check()?;
        let mut world = self.world.borrow_mut();
        if let Some(kind) = world.accept_errors.pop_front() {
            return Err(kind.into());
        }
        let accepted = world.backlog.pop_front();
        accepted.map(|wire| (wire.for_loop(), None)).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Wire> {
        self.faults.check()?;
        let mut world = self.world.borrow_mut();
        world.connected.push(address);
        let server = world.servers.pop_front();
        server.map(|wire| wire.for_loop()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    #[cfg(unix)]
    fn connect_unix(&self, _: &str) -> io::Result<Wire> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn take_over(&self, _: TcpStream) -> io::Result<Wire> {
        self.connect(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn release(&self, _: Wire) -> Option<AcceptedStream> {
        None
    }

    fn take_assigned(&self, _: AcceptedStream) -> io::Result<Wire> {
        self.connect(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn resolve(&mut self, id: ConnectionId, name: Name) {
        if let Some(held) = &mut self.world.borrow_mut().lookups {
            return held.push_back((id, name));
        }
        self.finish(id, name);
    }

    fn is_resolving(&self) -> bool {
        !self.world.borrow().resolved.is_empty()
    }

    fn next_resolved(&mut self) -> Option<Resolved> {
        self.world.borrow_mut().resolved.pop_front()
    }

    fn on_phase(&self, phase: LoopPhase) {
        self.phase.set(Some(phase));
    }
}
