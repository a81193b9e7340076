//! A system for tests: sockets are buffers in memory, and waiting moves the clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use url::Url;

use super::{Addresses, Event, Resolved, Stop, System, Transport};
use crate::error::Result;
use crate::reactor::WAKER;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::handshake::Encryption;
use crate::reactor::entries::ConnectionId;
use crate::reactor::phase::LoopPhase;
use crate::reactor::tls::Keys;

/// The system of one test. Clones share everything.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct Fake {
    now: Arc<Mutex<Instant>>,
    phase: Rc<Cell<Option<LoopPhase>>>,
    is_woken: Arc<AtomicBool>,
    world: Rc<RefCell<World>>,
}

#[derive(Debug, Default)]
struct World {
    /// The sockets of the loop that are registered, with their tokens.
    registered: Vec<(Token, Wire)>,
    listener: Option<Token>,
    /// Connections that wait to be accepted.
    backlog: VecDeque<Wire>,
    /// What the attempts of the loop to connect return, in order. Without an entry they are refused.
    servers: VecDeque<Wire>,
    resolved: VecDeque<Resolved>,
    /// The names whose lookups have not finished. `None` if lookups finish at once.
    lookups: Option<VecDeque<Lookup>>,
}

/// A name, and the connection that needs its addresses.
type Lookup = (ConnectionId, String, u16);

/// Both directions between the loop and a peer. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub(in crate::reactor) struct Wire(Rc<RefCell<Bytes>>);

#[derive(Debug)]
struct Bytes {
    to_loop: VecDeque<u8>,
    from_loop: Vec<u8>,
    /// How many more bytes the socket accepts from the loop.
    room: usize,
    /// The peer has ended its side.
    has_ended: bool,
    /// Writing fails with this error.
    write_error: Option<io::ErrorKind>,
    /// The socket reports what has changed since the last event, as the systems do.
    became_readable: bool,
    became_writable: bool,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            to_loop: VecDeque::new(),
            from_loop: Vec::new(),
            room: usize::MAX / 2,
            has_ended: false,
            write_error: None,
            became_readable: false,
            became_writable: true,
        }
    }
}

/// The listener of the test.
#[derive(Debug)]
pub(in crate::reactor) struct FakeListener;

impl Fake {
    pub(in crate::reactor) fn new() -> Self {
        Self {
            now: Arc::new(Mutex::new(Instant::now())),
            phase: Rc::default(),
            is_woken: Arc::default(),
            world: Rc::default(),
        }
    }

    /// The time of the loop.
    pub(in crate::reactor) fn time(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    /// Moves the clock.
    pub(in crate::reactor) fn advance(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }

    /// Whether the next [`poll`](System::poll) returns an event, and leaves the clock as it is.
    pub(in crate::reactor) fn has_events(&self) -> bool {
        let world = self.world.borrow();
        let has_changed = |wire: &Wire| {
            let bytes = wire.0.borrow();
            bytes.became_readable || bytes.became_writable
        };
        self.is_woken.load(Ordering::Relaxed)
            || !world.backlog.is_empty()
            || world.registered.iter().any(|(_, wire)| has_changed(wire))
    }

    /// The phase that began last.
    pub(in crate::reactor) fn phase(&self) -> Option<LoopPhase> {
        self.phase.get()
    }

    /// A client connects to the listener of the loop.
    pub(in crate::reactor) fn connect_client(&self) -> Wire {
        let wire = Wire::default();
        self.world.borrow_mut().backlog.push_back(wire.clone());
        wire
    }

    /// The next attempt of the loop to connect reaches this server.
    pub(in crate::reactor) fn add_server(&self) -> Wire {
        let wire = Wire::default();
        self.world.borrow_mut().servers.push_back(wire.clone());
        wire
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
        let (id, host, port) = held.expect("a lookup is held");
        self.finish(id, &host, port);
        host
    }

    /// Every name has one address, except names that end in `.invalid`.
    fn finish(&self, id: ConnectionId, host: &str, port: u16) {
        let addresses = match host.ends_with(".invalid") {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name does not exist")),
            false => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        };
        self.world.borrow_mut().resolved.push_back((id, addresses));
        self.is_woken.store(true, Ordering::Relaxed);
    }
}

impl Wire {
    /// The peer sends bytes.
    pub(in crate::reactor) fn send(&self, bytes: &[u8]) {
        let mut wire = self.0.borrow_mut();
        wire.to_loop.extend(bytes);
        wire.became_readable = true;
    }

    /// The peer ends its side.
    pub(in crate::reactor) fn end(&self) {
        let mut wire = self.0.borrow_mut();
        wire.has_ended = true;
        wire.became_readable = true;
    }

    /// The peer accepts this many more bytes.
    pub(in crate::reactor) fn set_room(&self, room: usize) {
        let mut wire = self.0.borrow_mut();
        wire.room = room;
        wire.became_writable |= room > 0;
    }

    /// Writing fails from now on.
    pub(in crate::reactor) fn fail_writes(&self, kind: io::ErrorKind) {
        self.0.borrow_mut().write_error = Some(kind);
    }

    /// Takes what the loop has sent.
    pub(in crate::reactor) fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().from_loop)
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
        let world = self.world.borrow();
        events.clear();
        for (token, wire) in &world.registered {
            let mut bytes = wire.0.borrow_mut();
            let is_readable = std::mem::take(&mut bytes.became_readable);
            let is_writable = std::mem::take(&mut bytes.became_writable);
            if is_readable || is_writable {
                let is_read_closed = is_readable && bytes.has_ended;
                events.push(Event { token: *token, is_readable, is_writable, is_read_closed });
            }
        }
        let event = |token| Event { token, is_readable: true, is_writable: false, is_read_closed: false };
        events.extend(world.listener.filter(|_| !world.backlog.is_empty()).map(event));
        events.extend(self.is_woken.swap(false, Ordering::Relaxed).then(|| event(WAKER)));
        if events.is_empty() {
            let timeout = timeout.expect("the loop would wait forever");
            self.advance(timeout);
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
        self.time()
    }

    fn clock(&self) -> Box<dyn Fn() -> Instant + Send + Sync> {
        let now = Arc::clone(&self.now);
        Box::new(move || *now.lock().unwrap())
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let is_woken = Arc::clone(&self.is_woken);
        Box::new(move || is_woken.store(true, Ordering::Relaxed))
    }

    fn register(&self, socket: &mut Wire, token: Token, _: Interest) -> io::Result<()> {
        let registered = &mut self.world.borrow_mut().registered;
        registered.retain(|(used, _)| *used != token);
        registered.push((token, socket.clone()));
        Ok(())
    }

    fn reregister(&self, _: &mut Wire, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&self, socket: &mut Wire) -> io::Result<()> {
        self.world.borrow_mut().registered.retain(|(_, wire)| !Rc::ptr_eq(&wire.0, &socket.0));
        Ok(())
    }

    fn listen(&self, _: &mut FakeListener, token: Token) -> io::Result<()> {
        self.world.borrow_mut().listener = Some(token);
        Ok(())
    }

    fn accept(&self, _: &FakeListener) -> io::Result<(Wire, Option<Addresses>)> {
        let accepted = self.world.borrow_mut().backlog.pop_front();
        accepted.map(|wire| (wire, None)).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn connect(&self, _: SocketAddr) -> io::Result<Wire> {
        let server = self.world.borrow_mut().servers.pop_front();
        server.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    #[cfg(unix)]
    fn connect_unix(&self, _: &str) -> io::Result<Wire> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn take_over(&self, _: TcpStream) -> io::Result<Wire> {
        self.connect(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn resolve(&mut self, id: ConnectionId, host: String, port: u16) {
        if let Some(held) = &mut self.world.borrow_mut().lookups {
            return held.push_back((id, host, port));
        }
        self.finish(id, &host, port);
    }

    fn next_resolved(&mut self) -> Option<Resolved> {
        self.world.borrow_mut().resolved.pop_front()
    }

    fn on_phase(&self, phase: LoopPhase) {
        self.phase.set(Some(phase));
    }
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Stop> {
        let mut bytes = self.0.borrow_mut();
        let len = bytes.to_loop.len().min(buffer.len());
        if len == 0 && !bytes.has_ended {
            return Err(Stop::Blocked);
        }
        for (place, byte) in buffer.iter_mut().zip(bytes.to_loop.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> std::result::Result<usize, Stop> {
        let mut bytes = self.0.borrow_mut();
        if let Some(kind) = bytes.write_error {
            return Err(io::Error::from(kind).into());
        }
        if bytes.room == 0 {
            return Err(Stop::Blocked);
        }
        let mut written = 0;
        for slice in slices {
            let len = slice.len().min(bytes.room);
            bytes.from_loop.extend_from_slice(&slice[..len]);
            bytes.room -= len;
            written += len;
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::result::Result<(), Stop> {
        Ok(())
    }

    fn unsent(&self) -> usize {
        0
    }

    fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        Ok(())
    }

    fn send_close_notify(&mut self) {}

    fn has_more(&self) -> bool {
        false
    }

    fn reads_on_writable(&self) -> bool {
        false
    }

    fn writes_on_readable(&self) -> bool {
        false
    }

    fn is_handshaking(&self) -> bool {
        false
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn interest(&self) -> Interest {
        Interest::READABLE
    }

    fn encryption(&self) -> Encryption {
        Encryption::default()
    }

    fn connected(&self) -> Option<io::Result<()>> {
        Some(Ok(()))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (None, None)
    }

    fn can_encrypt(&self) -> bool {
        false
    }

    fn encrypt_server<H: Handler>(self, _: &Keys, _: Option<&mut H>) -> Result<Self> {
        Ok(self)
    }

    fn encrypt_client<H: Handler>(self, _: &Keys, _: &mut H, _: &Url) -> Result<Self> {
        Ok(self)
    }
}
