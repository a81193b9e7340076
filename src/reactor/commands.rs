//! Commands of senders, as the loop executes them or delivers them to connections.

use std::sync::Arc;

use super::accepting::accept_assigned;
use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::health::LoopStatus;
use super::draining;
use super::entries::{ConnectionId, Entries, Entry};
use super::loop_state::LoopState;
use super::phase::LoopPhase;
use super::publishing::{Audience, Published, delivery};
use super::queue::{Batch, Command, ConnectionRequest, NewConnection, SharedCommand, Target};
use super::scheduling;
use super::system::System;
use super::{Reactor, RunState};

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
                Target::All => {
                    commands.for_each(|command| self.execute(command, None));
                    !self.state.publications.is_full()
                        || delivery::deliver(&mut self.entries, &mut self.state)
                }
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

    /// Executes commands for a connection, which is updated once. Returns whether more may follow.
    fn execute_for_one(&mut self, commands: impl Iterator<Item = Command>, id: ConnectionId) -> bool {
        delivery::catch_up(id.slot, &mut self.entries, &mut self.state);
        commands.for_each(|command| self.execute(command, Some(id)));
        if let Some(connection) = self.entries.connected(id) {
            connection.update(&mut self.state);
        }
        if self.state.work.is_flush_due(0) {
            self.flush();
            self.state.begin(LoopPhase::Execute);
        }
        !self.state.step()
    }

    /// Executes one command for a connection, or for all.
    pub(super) fn execute(&mut self, command: Command, id: Option<ConnectionId>) {
        match command {
            Command::NewConnection(request) => create(self, *request, id),
            Command::Shutdown => self.stop(),
            Command::Drain(drain) => draining::begin(self, *drain),
            Command::Shared(command) => match id.filter(|_| !command.is_for_loop()) {
                Some(id) => self.deliver(Command::Shared(command), id),
                None => match &*command {
                    SharedCommand::Publish(publication) => self.state.publish(publication),
                    SharedCommand::Schedule(schedule) => {
                        let target = id.map_or(Target::All, ConnectionId::target);
                        scheduling::schedule(schedule, target, &mut self.state);
                    }
                    SharedCommand::ChangeTimeout(timeout, change) => {
                        self.state.deadlines.change_timeout(timeout, *change);
                    }
                    SharedCommand::Message(message) => {
                        broadcast(Published::shared(message.clone()), &self.entries, &mut self.state);
                    }
                    SharedCommand::TopicChanged(change) => self.state.topics.note(change.clone()),
                    SharedCommand::Gap(topic, _) => {
                        report_gap(topic.as_deref(), Arc::clone(&command), &self.entries, &mut self.state);
                    }
                    // A publication can follow at once, so all connections must subscribe now.
                    change => change_all_subscriptions(change, &mut self.entries, &mut self.state),
                },
            },
            command => match id {
                Some(id) => self.deliver(command, id),
                None => broadcast(Published::new(command), &self.entries, &mut self.state),
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
            Some(Entry::Arriving(_) | Entry::Vacating) | None => {}
        }
    }

    /// Begins to shut down: no connection is accepted any more, and every handler can send last messages. After a drain, handlers
    /// have done that.
    pub(super) fn stop(&mut self) {
        if self.run_state.is_stopping() {
            return;
        }
        let before = std::mem::replace(&mut self.run_state, RunState::Stopping);
        self.state.queue.remote.close();
        self.state.queue.monitor.set_status(LoopStatus::ShuttingDown);
        self.listeners.clear();
        if before == RunState::Running {
            announce_end(&mut self.entries, &mut self.state);
        }
    }

    /// Continues to shut down after the last messages are queued: every connection is closed.
    pub(super) fn close_all(&mut self) {
        self.run_state = RunState::Closing;
        for entry in self.entries.iter_mut() {
            match entry {
                Entry::Connected(connection) => connection.shut_down(&mut self.state),
                Entry::Connecting(attempt) => self.state.work.close_attempt_later(attempt.id.slot),
                Entry::Arriving(arrival) => self.state.work.close_attempt_later(arrival.id.slot),
                Entry::Vacating => {}
            }
        }
        if !self.state.draining.is_active() {
            self.factory.on_shutdown();
        }
    }
}

/// Creates a connection, or takes one over. `from` is the connection that requested it.
fn create<F: Factory, S: System>(
    reactor: &mut Reactor<F, S>,
    ConnectionRequest { new, place }: ConnectionRequest,
    from: Option<ConnectionId>,
) {
    match new {
        NewConnection::Connect(url, mode) => reactor.connect(url, mode, place, from),
        NewConnection::Accept(stream) => reactor.accept_stream(stream, place),
        NewConnection::Assigned(assigned) => accept_assigned(reactor, assigned, place),
        NewConnection::AcceptUpgraded(stream, upgrade) => reactor.accept_upgraded(stream, upgrade, place),
        NewConnection::AfterHandshake(stream, established) => {
            reactor.after_handshake(stream, established, place);
        }
    }
}

/// Passes a command to all connections.
fn broadcast<H, S: System>(command: Published, entries: &Entries<H, S>, state: &mut LoopState<S>) {
    state.publications.publish(Audience::All, command, entries.used_slots());
}

/// Passes a gap to the subscribers of a topic or, without a topic, to all connections.
fn report_gap<H, S: System>(
    topic: Option<&str>,
    gap: Arc<SharedCommand>,
    entries: &Entries<H, S>,
    state: &mut LoopState<S>,
) {
    let gap = Command::Shared(gap);
    let Some(topic) = topic else {
        return broadcast(Published::new(gap), entries, state);
    };
    if let Some(topic) = state.topics.find(topic) {
        let subscribers = state.topics.subscribers(topic);
        state.publications.publish(Audience::Topic(topic), Published::new(gap), subscribers);
    }
}

/// Calls `on_shutdown` of every handler.
pub(super) fn announce_end<H: Handler, S: System>(entries: &mut Entries<H, S>, state: &mut LoopState<S>) {
    for entry in entries.iter_mut() {
        match entry {
            Entry::Connected(connection) => connection.on_shutdown(state),
            Entry::Connecting(attempt) => {
                attempt.call(state, Handler::on_shutdown);
            }
            Entry::Arriving(_) | Entry::Vacating => {}
        }
    }
}

/// Subscribes all connections to a topic, or ends their subscriptions.
fn change_all_subscriptions<H: Handler, S: System>(
    command: &SharedCommand,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) {
    for entry in entries.iter_mut() {
        match entry {
            Entry::Connected(connection) => connection.change_subscription(command, state),
            Entry::Connecting(attempt) => attempt.change_subscription(command, state),
            Entry::Arriving(_) | Entry::Vacating => {}
        }
    }
}
