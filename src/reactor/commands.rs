//! What senders ask of the loop, handed to the connections it is for.

use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::settings::Overflow;
use super::api::util::Token;
use super::queue::{Batch, Command, Signal, Target};
use super::{Entry, Life, Reactor, index};
use crate::error::{Error, ErrorKind};
use crate::protocol::{Frame, Output as _, Role, write_frame};

use super::connecting::attempt::Dial;
use super::loop_state::{Context, Name};
use super::write_queue::Output;

/// How long the payloads of broadcasts in a row may be, in bytes, for being encoded once for all.
const MAX_ENCODED: usize = 256 * 1024;

impl<F: Factory> Reactor<F> {
    /// Obeys commands in order, and leaves the batch empty.
    pub(super) fn obey_all(&mut self, batch: &mut Batch) {
        let mut broadcasts = batch.iter().filter(|command| command.is_broadcast()).count();
        let mut commands = batch.drain(..);
        while let Some(first) = commands.as_slice().first() {
            let (target, is_broadcast) = (first.target, first.is_broadcast());
            let is_alike = |next: &&Command| next.target == target && next.is_broadcast() == is_broadcast;
            let alike = commands.as_slice().iter().take_while(is_alike).count();
            let signals = commands.by_ref().take(alike).map(|command| command.signal);
            if is_broadcast {
                broadcasts -= alike;
                let frames = signals.filter_map(into_frame).collect();
                self.broadcast(&Broadcast::new(frames, &self.cx), broadcasts == 0);
                continue;
            }
            let name = match target {
                Target::One { slot, id } => Some(Name { slot, id }),
                Target::All => None,
            };
            signals.for_each(|signal| self.obey(signal, name));
            // Who is told several things in a row is settled once.
            name.into_iter().for_each(|name| self.settle(name));
        }
    }

    /// Obeys one command, of one connection or for all.
    pub(super) fn obey(&mut self, signal: Signal, from: Option<Name>) {
        match signal {
            Signal::Connect(url, stream) => self.connect(*url, stream, from),
            Signal::Accept(stream) => self.adopt(stream),
            Signal::AcceptUpgraded(stream, upgrade) => self.adopt_upgraded(stream, *upgrade),
            Signal::Shutdown => self.stop(),
            Signal::Cancel(timeout) => self.cx.cancel(&timeout),
            signal => match from {
                Some(name) => self.tell(signal, name),
                None => self.tell_all(signal),
            },
        }
    }

    #[inline]
    fn tell(&mut self, signal: Signal, name: Name) {
        let entry = self.entries.get_mut(index(name.slot)).filter(|entry| entry.name() == Some(name));
        match entry {
            Some(Entry::Connected(connection)) => connection.on_signal(signal, &mut self.cx),
            Some(Entry::Dialing(_)) => self.tell_dial(signal, name),
            // The connection has gone, and nobody else gets what was meant for it.
            Some(Entry::Changing) | None => {}
        }
    }

    fn tell_dial(&mut self, signal: Signal, name: Name) {
        match signal {
            Signal::Timeout(at, token) => self.dial_new_timeout(name, at, token),
            Signal::Overflow => {
                let details = "too much output is queued for this connection";
                self.fail_dial(name, Error::new(ErrorKind::Capacity, details));
            }
            signal => {
                if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) {
                    dial.early.push(signal);
                }
            }
        }
    }

    fn settle(&mut self, name: Name) {
        if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(name.slot))
            && connection.name() == name
        {
            connection.settle(&mut self.cx);
        }
    }

    fn tell_all(&mut self, signal: Signal) {
        let names: Vec<Name> = self.entries.iter().filter_map(|(_, entry)| entry.name()).collect();
        for name in names {
            if let Some(signal) = signal.for_another() {
                self.tell(signal, name);
                self.settle(name);
            }
        }
    }

    /// Sends frames to everyone, all of them to one after the other. The last ones of a turn go out at once, so that the
    /// memory in which they are joined serves for the next connection while the processor has it at hand.
    fn broadcast(&mut self, broadcast: &Broadcast, are_last: bool) {
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.on_broadcast(broadcast, are_last, &mut self.cx),
                Entry::Dialing(dial) => {
                    broadcast.frames.iter().for_each(|frame| send_early(dial, frame, &self.cx));
                }
                Entry::Changing => {}
            }
        }
    }

    /// Begins to shut down: nobody new, and everyone may have a last word.
    fn stop(&mut self) {
        if self.life != Life::Running {
            return;
        }
        self.life = Life::Stopping;
        self.cx.hub.close();
        self.listeners.clear();
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.on_shutdown(&mut self.cx),
                Entry::Dialing(dial) => {
                    dial.call(&mut self.cx, Handler::on_shutdown);
                }
                Entry::Changing => {}
            }
        }
    }

    /// Goes on to shut down, once the last words are queued: everyone gets a Close.
    pub(super) fn close_all(&mut self) {
        self.life = Life::Closing;
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.shut_down(&mut self.cx),
                Entry::Dialing(dial) => self.cx.dead.push(dial.name.slot),
                Entry::Changing => {}
            }
        }
        self.factory.on_shutdown();
    }

    fn dial_new_timeout(&mut self, name: Name, at: Option<std::time::Instant>, token: Token) {
        let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) else { return };
        let result = match dial.set_timeout(at, token, &mut self.cx) {
            Some(timeout) => dial.call(&mut self.cx, |handler| handler.on_new_timeout(token, timeout)),
            None => Some(Err(Error::new(ErrorKind::Capacity, "no more time-outs can be set"))),
        };
        self.after_dial_callback(name, result.unwrap_or(Ok(())));
    }

    pub(super) fn dial_timeout(&mut self, name: Name, token: Token) {
        let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) else { return };
        let result = dial.call(&mut self.cx, |handler| handler.on_timeout(token));
        self.after_dial_callback(name, result.unwrap_or(Ok(())));
    }
}

/// Frames that everyone gets.
pub(super) struct Broadcast {
    pub(super) frames: Vec<Frame>,
    /// The length of all payloads, in bytes.
    pub(super) len: usize,
    /// What a server without compression sends for them; `None` if that is much, or some are to be sent from where they lie.
    pub(super) encoded: Option<Vec<u8>>,
}

impl Broadcast {
    fn new(frames: Vec<Frame>, cx: &Context) -> Self {
        let len: usize = frames.iter().map(|frame| frame.as_slice().len()).sum();
        let is_copied = |frame: &Frame| !frame.is_control() && frame.as_slice().len() < Output::KEEPS_FROM;
        let is_little = len <= MAX_ENCODED && frames.iter().all(is_copied);
        let encoded = is_little.then(|| {
            let mut encoded = Vec::new();
            for frame in &frames {
                write_frame(frame.clone(), Role::Server, cx.config.fragment_size, &mut encoded);
            }
            encoded
        });
        Self { frames, len, encoded }
    }
}

/// What a broadcast sends.
fn into_frame(signal: Signal) -> Option<Frame> {
    match signal {
        Signal::Message(message) => Some(Frame::shared(message)),
        Signal::Frame(frame) => Some(*frame),
        _ => None,
    }
}

/// Keeps a frame that everyone gets for a connection that is yet to be made, if there is room for it.
fn send_early<H>(dial: &mut Dial<H>, frame: &Frame, cx: &Context) {
    let len = frame.as_slice().len();
    if cx.hub.has_room(dial.name.slot, len) {
        if let Some(gauge) = cx.hub.gauge(dial.name.slot) {
            gauge.add_local(len);
        }
        dial.early.push(Signal::Frame(Box::new(frame.clone())));
    } else if cx.hub.overflow() == Overflow::Fail {
        let target = Target::One { slot: dial.name.slot, id: dial.name.id };
        // On the loop's own thread the queue takes everything.
        let _ = cx.hub.push(Command { target, signal: Signal::Overflow });
    }
}
