//! Commands of senders, as the loop executes them or delivers them to connections.

use super::api::factory::Factory;
use super::api::handler::Handler;
use super::broadcast::Broadcast;
use super::entries::{ConnectionId, Entry};
use super::queue::{Batch, Command, QueuedCommand, Target};
use super::system::System;
use super::{Reactor, RunState};

/// The work that a broadcast is for each receiver, in bytes of a message.
const BROADCAST_WORK: usize = 256;

impl<F: Factory, S: System> Reactor<F, S> {
    /// Executes commands in order, and leaves the batch empty. When the turn is over, the rest is put back to the front of the
    /// commands of handlers, so that nothing overtakes it. Returns whether all were executed.
    #[inline]
    pub(super) fn execute_all(&mut self, batch: &mut Batch) -> bool {
        batch.is_empty() || self.execute_some(batch)
    }

    fn execute_some(&mut self, batch: &mut Batch) -> bool {
        let mut broadcasts = batch.iter().filter(|queued| queued.is_broadcast()).count();
        let mut queue = batch.drain(..);
        while let Some(first) = queue.as_slice().first() {
            let (target, is_broadcast) = (first.target, first.is_broadcast());
            let is_alike =
                |next: &&QueuedCommand| next.target == target && next.is_broadcast() == is_broadcast;
            let alike = queue.as_slice().iter().take_while(is_alike).count();
            let commands = queue.by_ref().take(alike).map(|queued| queued.command);
            if is_broadcast {
                broadcasts -= alike;
                let broadcast = Broadcast::new(commands);
                self.broadcast(&broadcast, broadcasts == 0);
                // A broadcast is as much work as reading from each receiver.
                self.state.fairness.add_work(self.entries.len().saturating_mul(BROADCAST_WORK));
                if self.state.step() && !queue.as_slice().is_empty() {
                    self.state.queue.put_back(queue);
                    return false;
                }
                continue;
            }
            let id = match target {
                Target::One { slot, id } => Some(ConnectionId { slot, serial: id }),
                Target::All => None,
            };
            commands.for_each(|command| self.execute(command, id));
            // A connection that receives several commands in a row is updated once.
            id.into_iter().for_each(|id| self.update(id));
            if self.state.step() && !queue.as_slice().is_empty() {
                self.state.queue.put_back(queue);
                return false;
            }
        }
        true
    }

    /// Executes one command for a connection, or for all.
    pub(super) fn execute(&mut self, command: Command, id: Option<ConnectionId>) {
        match command {
            Command::Connect(url, stream) => self.connect(*url, stream, id),
            Command::Accept(stream) => self.accept_stream(stream),
            Command::AcceptUpgraded(stream, upgrade) => self.accept_upgraded(stream, *upgrade),
            Command::AfterHandshake(stream, established) => self.after_handshake(stream, *established),
            Command::Shutdown => self.stop(),
            Command::Cancel(timeout) => self.state.deadlines.cancel_timeout(&timeout),
            command => match id {
                Some(id) => self.deliver(command, id),
                None => self.deliver_to_all(&command),
            },
        }
    }

    /// Delivers a command to a connection. A command for a connection that has ended is dropped.
    #[inline]
    fn deliver(&mut self, command: Command, id: ConnectionId) {
        match self.entries.get(id) {
            Some(Entry::Connected(connection)) => connection.on_command(command, &mut self.state),
            Some(Entry::Connecting(_)) => {
                self.advance(id, |attempt, state| attempt.on_command(command, state));
            }
            Some(Entry::Vacating) | None => {}
        }
    }

    fn update(&mut self, id: ConnectionId) {
        if let Some(connection) = self.entries.connected(id) {
            connection.update(&mut self.state);
        }
    }

    fn deliver_to_all(&mut self, command: &Command) {
        let ids: Vec<ConnectionId> = self.entries.ids().collect();
        for id in ids {
            if let Some(command) = command.for_another() {
                self.deliver(command, id);
                self.update(id);
            }
        }
    }

    /// Sends frames to all connections, one connection after the other.
    ///
    /// The last broadcast of a turn is written at once, so that the memory in which the frames are joined is used for the
    /// next connection while it is in the processor's cache.
    fn broadcast(&mut self, broadcast: &Broadcast, is_last: bool) {
        for entry in self.entries.iter_mut() {
            match entry {
                Entry::Connected(connection) => connection.on_broadcast(broadcast, is_last, &mut self.state),
                Entry::Connecting(attempt) => {
                    broadcast.frames.iter().for_each(|one| attempt.on_broadcast(&one.frame, &self.state));
                }
                Entry::Vacating => {}
            }
        }
    }

    /// Begins to shut down: no connection is accepted any more, and every handler can send last messages.
    fn stop(&mut self) {
        if self.run_state != RunState::Running {
            return;
        }
        self.run_state = RunState::Stopping;
        self.state.queue.close();
        self.listeners.clear();
        for entry in self.entries.iter_mut() {
            match entry {
                Entry::Connected(connection) => connection.on_shutdown(&mut self.state),
                Entry::Connecting(attempt) => {
                    attempt.call(&mut self.state, Handler::on_shutdown);
                }
                Entry::Vacating => {}
            }
        }
    }

    /// Continues to shut down after the last messages are queued: every connection is closed.
    pub(super) fn close_all(&mut self) {
        self.run_state = RunState::Closing;
        for entry in self.entries.iter_mut() {
            match entry {
                Entry::Connected(connection) => connection.shut_down(&mut self.state),
                Entry::Connecting(attempt) => self.state.work.close_attempt_later(attempt.id.slot),
                Entry::Vacating => {}
            }
        }
        self.factory.on_shutdown();
    }
}
