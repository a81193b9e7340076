//! Commands of senders, as the loop executes them or delivers them to connections.

use super::api::factory::Factory;
use super::api::handler::Handler;
use super::broadcast::{Pending, PendingCommand};
use super::entries::{ConnectionId, Entry};
use super::phase::LoopPhase;
use super::queue::{Batch, Command, Target};
use super::system::System;
use super::{Reactor, RunState};

/// The number of connections that receive broadcasts even if the turn is over.
const MIN_RECEIVERS: usize = 64;

impl<F: Factory, S: System> Reactor<F, S> {
    /// Executes commands in order, and leaves the batch empty. When the turn is over, the rest is put back to the front of the
    /// commands of handlers, so that nothing overtakes it. Returns whether all were executed.
    #[inline(always)]
    pub(super) fn execute_all(&mut self, batch: &mut Batch) -> bool {
        batch.is_empty() || self.execute_some(batch)
    }

    fn execute_some(&mut self, batch: &mut Batch) -> bool {
        let mut queue = batch.drain(..);
        while let Some(first) = queue.as_slice().first() {
            let target = first.target;
            let alike = queue.as_slice().iter().take_while(|next| next.target == target).count();
            let commands = queue.by_ref().take(alike).map(|queued| queued.command);
            let may_continue = match target {
                Target::All => self.execute_for_all(commands),
                Target::One { slot, id } => self.execute_for_one(commands, ConnectionId { slot, serial: id }),
            };
            if !may_continue {
                break;
            }
        }
        let is_done = queue.as_slice().is_empty();
        if !is_done {
            self.state.queue.put_back(queue);
        }
        is_done
    }

    /// Executes commands for all connections. Returns whether more may follow.
    fn execute_for_all(&mut self, commands: impl Iterator<Item = Command>) -> bool {
        for command in commands {
            self.execute(command, None);
        }
        !self.state.broadcasts.is_full() || self.deliver_broadcasts()
    }

    /// Executes commands for a connection, which is updated once. Returns whether more may follow.
    fn execute_for_one(&mut self, commands: impl Iterator<Item = Command>, id: ConnectionId) -> bool {
        self.catch_up(id);
        commands.for_each(|command| self.execute(command, Some(id)));
        self.update(id);
        if self.state.work.is_flush_due(0) {
            self.flush();
            self.state.begin(LoopPhase::Execute);
        }
        !self.state.step()
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
                None => self.state.broadcasts.push(command),
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

    /// Delivers the commands for all connections to those that have not received them, until the turn is over. Some connections
    /// receive them in any case. Returns whether all have.
    #[inline]
    pub(super) fn deliver_broadcasts(&mut self) -> bool {
        !self.state.broadcasts.is_pending() || self.deliver_some_broadcasts()
    }

    fn deliver_some_broadcasts(&mut self) -> bool {
        let mut receivers = 0;
        while self.state.broadcasts.is_pending() {
            if self.is_broadcast_being_compressed() {
                return false;
            }
            let pending = self.state.broadcasts.take();
            let is_complete = self.continue_round(&pending, &mut receivers);
            self.state.broadcasts.put_back(pending);
            if !is_complete {
                return false;
            }
            self.state.broadcasts.end_round();
        }
        true
    }

    /// Continues a round over all slots. Returns whether it is complete. The output is written at once, so that the memory in which
    /// frames are joined is used for the next connection while it is in the processor's cache.
    fn continue_round(&mut self, pending: &Pending, receivers: &mut usize) -> bool {
        while let Some(slot) = self.state.broadcasts.next_slot(self.entries.slots()) {
            let Some(id) = self.entries.in_slot(slot).and_then(|entry| entry.id()) else { continue };
            self.deliver_pending(pending, id, true);
            if pending.is_long() {
                self.state.broadcasts.last = Some(id);
                if self.is_broadcast_being_compressed() {
                    return false;
                }
            }
            *receivers += 1;
            self.state.fairness.add_work(pending.bytes());
            if self.state.step() && *receivers >= MIN_RECEIVERS {
                return false;
            }
        }
        true
    }

    /// Whether the last receiver compresses a long message. The others share the result, so they wait for it.
    fn is_broadcast_being_compressed(&mut self) -> bool {
        let Some(last) = self.state.broadcasts.last else { return false };
        let is_compressing =
            self.entries.connected(last).is_some_and(|connection| connection.is_compressing());
        if !is_compressing {
            self.state.broadcasts.last = None;
        }
        is_compressing
    }

    /// A connection receives the commands for all connections that were executed before, so that those that follow do not
    /// overtake them.
    #[inline]
    fn catch_up(&mut self, id: ConnectionId) {
        if self.state.broadcasts.is_pending() {
            let pending = self.state.broadcasts.take();
            self.deliver_pending(&pending, id, false);
            self.state.broadcasts.put_back(pending);
        }
    }

    fn deliver_pending(&mut self, pending: &Pending, id: ConnectionId, flushes: bool) {
        let missing = self.state.broadcasts.receive(id.slot, pending);
        if missing.is_empty() {
            return;
        }
        if let Some(connection) = self.entries.connected(id) {
            return connection.on_broadcasts(missing, flushes, &mut self.state);
        }
        for command in missing.commands() {
            match command {
                PendingCommand::Frame(one) => {
                    if let Some(attempt) = self.entries.connecting(id) {
                        attempt.on_broadcast(&one.frame, &self.state);
                    }
                }
                PendingCommand::Other(command) => {
                    command.for_another().into_iter().for_each(|command| self.deliver(command, id));
                }
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
