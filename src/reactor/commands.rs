//! What senders ask of the loop, handed to the connections it is for.

use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::settings::Overflow;
use super::api::util::Token;
use super::queue::{Batch, Command, QueuedCommand, Target};
use super::{Entry, Reactor, RunState, index};
use crate::error::{Error, ErrorKind};
use crate::protocol::{Frame, Output as _, Role, write_frame};

use super::connecting::attempt::ConnectAttempt;
use super::loop_state::{ConnectionId, LoopState};
use super::write_queue::WriteQueue;

/// How long the payloads of broadcasts in a row may be, in bytes, for being encoded once for all.
const MAX_ENCODED: usize = 256 * 1024;

impl<F: Factory> Reactor<F> {
    /// Executes commands in order, and leaves the batch empty.
    pub(super) fn execute_all(&mut self, batch: &mut Batch) {
        let mut broadcasts = batch.iter().filter(|queued| queued.is_broadcast()).count();
        let mut commands = batch.drain(..);
        while let Some(first) = commands.as_slice().first() {
            let (target, is_broadcast) = (first.target, first.is_broadcast());
            let is_alike =
                |next: &&QueuedCommand| next.target == target && next.is_broadcast() == is_broadcast;
            let alike = commands.as_slice().iter().take_while(is_alike).count();
            let alike_commands = commands.by_ref().take(alike).map(|queued| queued.command);
            if is_broadcast {
                broadcasts -= alike;
                let frames = alike_commands.filter_map(into_frame).collect();
                self.broadcast(&Broadcast::new(frames, &self.state), broadcasts == 0);
                continue;
            }
            let id = match target {
                Target::One { slot, id } => Some(ConnectionId { slot, serial: id }),
                Target::All => None,
            };
            alike_commands.for_each(|command| self.execute(command, id));
            // Who is told several things in a row is settled once.
            id.into_iter().for_each(|id| self.update(id));
        }
    }

    /// Executes one command, of one connection or for all.
    pub(super) fn execute(&mut self, command: Command, from: Option<ConnectionId>) {
        match command {
            Command::Connect(url, stream) => self.connect(*url, stream, from),
            Command::Accept(stream) => self.accept_stream(stream),
            Command::AcceptUpgraded(stream, upgrade) => self.accept_upgraded(stream, *upgrade),
            Command::Shutdown => self.stop(),
            Command::Cancel(timeout) => self.state.cancel(&timeout),
            command => match from {
                Some(id) => self.deliver(command, id),
                None => self.deliver_to_all(command),
            },
        }
    }

    #[inline]
    fn deliver(&mut self, command: Command, id: ConnectionId) {
        let entry = self.entries.get_mut(index(id.slot)).filter(|entry| entry.id() == Some(id));
        match entry {
            Some(Entry::Connected(connection)) => connection.on_command(command, &mut self.state),
            Some(Entry::Connecting(_)) => self.deliver_to_attempt(command, id),
            // The connection has gone, and nobody else gets what was meant for it.
            Some(Entry::Vacating) | None => {}
        }
    }

    fn deliver_to_attempt(&mut self, command: Command, id: ConnectionId) {
        match command {
            Command::Timeout(at, token) => self.schedule_attempt_timeout(id, at, token),
            Command::Overflow => {
                let details = "too much output is queued for this connection";
                self.fail_attempt(id, Error::new(ErrorKind::Capacity, details));
            }
            command => {
                if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) {
                    attempt.early.push(command);
                }
            }
        }
    }

    fn update(&mut self, id: ConnectionId) {
        if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(id.slot))
            && connection.id() == id
        {
            connection.update(&mut self.state);
        }
    }

    fn deliver_to_all(&mut self, command: Command) {
        let ids: Vec<ConnectionId> = self.entries.iter().filter_map(|(_, entry)| entry.id()).collect();
        for id in ids {
            if let Some(command) = command.for_another() {
                self.deliver(command, id);
                self.update(id);
            }
        }
    }

    /// Sends frames to everyone, all of them to one after the other. The last ones of a turn go out at once, so that the
    /// memory in which they are joined serves for the next connection while the processor has it at hand.
    fn broadcast(&mut self, broadcast: &Broadcast, are_last: bool) {
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.on_broadcast(broadcast, are_last, &mut self.state),
                Entry::Connecting(attempt) => {
                    broadcast.frames.iter().for_each(|frame| send_early(attempt, frame, &self.state));
                }
                Entry::Vacating => {}
            }
        }
    }

    /// Begins to shut down: nobody new, and everyone may have a last word.
    fn stop(&mut self) {
        if self.run_state != RunState::Running {
            return;
        }
        self.run_state = RunState::Stopping;
        self.state.queue.close();
        self.listeners.clear();
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.on_shutdown(&mut self.state),
                Entry::Connecting(attempt) => {
                    attempt.call(&mut self.state, Handler::on_shutdown);
                }
                Entry::Vacating => {}
            }
        }
    }

    /// Goes on to shut down, once the last words are queued: everyone gets a Close.
    pub(super) fn close_all(&mut self) {
        self.run_state = RunState::Closing;
        for (_, entry) in &mut self.entries {
            match entry {
                Entry::Connected(connection) => connection.shut_down(&mut self.state),
                Entry::Connecting(attempt) => self.state.to_close.push(attempt.id.slot),
                Entry::Vacating => {}
            }
        }
        self.factory.on_shutdown();
    }

    fn schedule_attempt_timeout(&mut self, id: ConnectionId, at: Option<std::time::Instant>, token: Token) {
        let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) else { return };
        let result = match attempt.set_timeout(at, token, &mut self.state) {
            Some(timeout) => attempt.call(&mut self.state, |handler| handler.on_new_timeout(token, timeout)),
            None => Some(Err(Error::new(ErrorKind::Capacity, "no more time-outs can be set"))),
        };
        self.after_attempt_callback(id, result.unwrap_or(Ok(())));
    }

    pub(super) fn on_attempt_timeout(&mut self, id: ConnectionId, token: Token) {
        let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) else { return };
        let result = attempt.call(&mut self.state, |handler| handler.on_timeout(token));
        self.after_attempt_callback(id, result.unwrap_or(Ok(())));
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
    fn new(frames: Vec<Frame>, state: &LoopState) -> Self {
        let len: usize = frames.iter().map(|frame| frame.as_slice().len()).sum();
        let is_copied =
            |frame: &Frame| !frame.is_control() && frame.as_slice().len() < WriteQueue::KEEPS_FROM;
        let is_little = len <= MAX_ENCODED && frames.iter().all(is_copied);
        let encoded = is_little.then(|| {
            let mut encoded = Vec::new();
            for frame in &frames {
                write_frame(frame.clone(), Role::Server, state.config.fragment_size, &mut encoded);
            }
            encoded
        });
        Self { frames, len, encoded }
    }
}

/// What a broadcast sends.
fn into_frame(command: Command) -> Option<Frame> {
    match command {
        Command::Message(message) => Some(Frame::shared(message)),
        Command::Frame(frame) => Some(*frame),
        _ => None,
    }
}

/// Keeps a frame that everyone gets for a connection that is yet to be made, if there is room for it.
fn send_early<H>(attempt: &mut ConnectAttempt<H>, frame: &Frame, state: &LoopState) {
    let len = frame.as_slice().len();
    if state.queue.has_room(attempt.id.slot, len) {
        if let Some(status) = state.queue.status(attempt.id.slot) {
            status.add_local(len);
        }
        attempt.early.push(Command::Frame(Box::new(frame.clone())));
    } else if state.queue.overflow() == Overflow::Fail {
        let target = Target::One { slot: attempt.id.slot, id: attempt.id.serial };
        // On the loop's own thread the queue takes everything.
        let _ = state.queue.push(QueuedCommand { target, command: Command::Overflow });
    }
}
