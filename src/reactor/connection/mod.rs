//! One connection of the loop.
//!
//! An [`Endpoint`] connects the socket, the protocol and the handler: `opening`, `events`, `sending` and `failing` contain
//! its parts. A [`Connection`] adds what the loop needs: the [`ReadSide`], the work lists, and the timers. `io` reads and
//! writes, `reading` performs one read, `commands` executes what senders ask for.

mod commands;
pub(super) mod continuing;
mod deferring;
pub(super) mod draining;
mod endpoint;
mod events;
mod failing;
mod io;
mod memory;
mod opening;
mod publications;
mod read_side;
mod reading;
mod sending;
mod work;
mod write_side;

use self::endpoint::{Endpoint, Stage};
pub(super) use self::io::flush_kept;
pub(super) use self::memory::{fail_for_memory, held};
use self::opening::Opening;
pub(super) use self::publications::{finish_runs, receive_run};
use self::read_side::ReadSide;
pub(super) use self::work::{is_compressing, work};
pub(in crate::reactor) use self::write_side::WriteSide;
use super::api::handler::Handler;
use super::entries::ConnectionId;
use super::loop_state::LoopState;
use super::queue::{Command, Phase};
use super::system::{Addresses, System, Transport as _};
use super::timers::TimerList;
use super::work_lists::Listed;
use super::write_queue::WriteQueue;
use crate::close::CloseCode;
use crate::connecting::redirect::Redirect;
use crate::protocol::State;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::manual::ManualConnection;

/// A connection whose socket is connected.
#[derive(Debug)]
pub(super) struct Connection<H, S: System> {
    endpoint: Endpoint<H, S>,
    read: ReadSide,
    /// The timeouts of the handler, if it has set one.
    timers: Option<Box<TimerList>>,
}

impl<H, S: System> Connection<H, S> {
    /// Creates a connection with a socket that is registered. The protocol may have written to the queue already.
    pub(super) fn new(
        id: ConnectionId,
        socket: S::Socket,
        protocol: impl Into<ManualConnection>,
        handler: Option<H>,
    ) -> Self {
        let (write, stage) = (WriteSide::new(None, false, &socket), Stage::Opening);
        let mut protocol = protocol.into();
        protocol.work_in_steps();
        Self {
            endpoint: Endpoint {
                id,
                socket,
                protocol,
                handler,
                stage,
                write,
                opening: None,
                listed: Listed::default(),
                reported: 0,
            },
            read: ReadSide::default(),
            timers: None,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.endpoint.id
    }
}

/// What a connection attempt passes on to its connection.
#[derive(Debug)]
pub(super) struct Attempted {
    /// What senders asked for before the socket was connected.
    pub(super) commands: Vec<Command>,
    /// Whether the handler has paused reading.
    pub(super) is_paused: bool,
    pub(super) redirect: Redirect,
    pub(super) timers: TimerList,
    /// The request, as the protocol wrote it.
    pub(super) queue: Box<WriteQueue>,
}

impl<H: Handler, S: System> Connection<H, S> {
    /// Begins the opening handshake of a server. The addresses are those that were returned with the connection.
    pub(super) fn begin_as_server(&mut self, addresses: Option<Addresses>, state: &mut LoopState<S>) {
        if addresses.is_some() {
            self.endpoint.opening = Some(Box::new(Opening { addresses, ..Opening::default() }));
        }
        if self.endpoint.socket.is_encrypted() && !self.endpoint.socket.is_handshaking() {
            // The hook that completed the handshake may have read more, for which there is no event.
            self.read_later(state);
        }
        self.update(state);
    }

    /// Begins the opening handshake of a client. The system already reports when the socket becomes writable.
    pub(super) fn begin_as_client(&mut self, attempted: Attempted, state: &mut LoopState<S>) {
        let Attempted { commands, is_paused, redirect, timers, queue } = attempted;
        self.endpoint.opening =
            Some(Box::new(Opening { commands, redirect: Some(redirect), ..Opening::default() }));
        self.endpoint.write = WriteSide::new(Some(queue), true, &self.endpoint.socket);
        if is_paused {
            self.read.pause(&mut self.endpoint.protocol, state.now);
        }
        self.timers = timers.into_box();
        // A server may have sent something first, such as a rejection. The attempt received the event for that.
        self.read_later(state);
        self.update(state);
    }

    /// Continues after an opening handshake that was performed elsewhere. `read_ahead` was received after the request.
    pub(super) fn begin_upgraded(
        &mut self,
        request: Request,
        response: Response,
        read_ahead: Vec<u8>,
        state: &mut LoopState<S>,
    ) {
        self.endpoint.on_open(Box::new(request), response, state);
        if !read_ahead.is_empty() {
            self.read.keep(read_ahead);
        }
        self.read_later(state);
        self.update(state);
    }

    /// Whether this is a client that receives only a rejection. It never had a handler.
    pub(super) fn is_rejected(&self) -> bool {
        self.endpoint.handler.is_none() && self.endpoint.stage == Stage::Opening
    }

    /// Rejects a client because the loop is full or shuts down (RFC 9110 §15.6.4).
    pub(super) fn reject_with_503(&mut self, state: &mut LoopState<S>) {
        opening::reject_with_503(&mut self.endpoint, state);
        self.update(state);
    }

    /// Updates what depends on the connection after anything has happened to it: the status that senders see, the work
    /// lists of the loop, and the deadline.
    pub(super) fn update(&mut self, state: &mut LoopState<S>) {
        let endpoint = &mut self.endpoint;
        let slot = endpoint.id.slot;
        let phase = endpoint.protocol.state();
        let buffered = endpoint.publish(state);
        if buffered == 0 {
            endpoint.write.recycle(&mut state.pool);
        }
        memory::report(endpoint, &self.read, buffered, state);
        if phase == State::Closed && state.reconnecting.continues(slot) {
            endpoint.end(CloseCode::Abnormal, "", state);
        }
        if phase.is_ending() && endpoint.stage != Stage::Lost && !endpoint.is_redirecting() {
            endpoint.set_phase(Phase::Closing, state);
            deferring::cancel(self, state);
        }
        if phase == State::Closing {
            // The Close frame of the peer may follow what a pause has left unread.
            self.resume(state);
        }
        let endpoint = &mut self.endpoint;
        if phase == State::Closed {
            state.work.close_later(slot, &mut endpoint.listed);
        } else if (buffered > 0 || endpoint.protocol.awaits_flush())
            && !endpoint.write.is_blocked
            && !endpoint.listed.keeps_output()
        {
            state.work.flush_later(slot, &mut endpoint.listed, buffered);
        }
        // The deadline of an open connection that only exchanges messages moves later, and a timer that is too early stays. What
        // makes it earlier rearms it: the end of the opening handshake, and the end of a pause.
        let keeps_deadline =
            phase == State::Open && !endpoint.write.is_blocked && !endpoint.protocol.is_mid_message();
        if !keeps_deadline || !state.deadlines.has_deadline(slot) {
            self.rearm_deadline(state);
        }
    }

    /// Whether the connection only exchanges messages: an [`update`](Self::update) would only publish and flush its output.
    #[inline]
    fn is_calm(&self, state: &LoopState<S>) -> bool {
        let Endpoint { protocol, stage, write, reported, .. } = &self.endpoint;
        protocol.state() == State::Open
            && *stage == Stage::Open
            && *reported == 0
            && !write.is_blocked
            && !protocol.is_mid_message()
            && !self.read.has_unread()
            && !protocol.steps().is_compressing()
            && state.deadlines.has_deadline(self.endpoint.id.slot)
    }

    /// Reads from the connection in the next turn, without an event.
    fn read_later(&mut self, state: &mut LoopState<S>) {
        state.work.read_later(self.endpoint.id.slot, &mut self.endpoint.listed);
    }

    /// Continues reading that was deferred, unless the handler has paused it.
    fn read_deferred(&mut self, state: &mut LoopState<S>) {
        if self.read.take_deferred() {
            self.read_later(state);
        }
    }

    /// Ends a pause of the handler.
    fn resume(&mut self, state: &mut LoopState<S>) {
        self.read.is_paused = false;
        self.endpoint.protocol.resume_reading(state.now);
        self.rearm_deadline(state);
        self.read_deferred(state);
    }

    /// Schedules the timer for the deadline of the protocol, or for the end of a reading pause, unless it is early enough.
    fn rearm_deadline(&mut self, state: &mut LoopState<S>) {
        let held_until = self.endpoint.write.held_until();
        let held_until = held_until.filter(|until| self.read.is_deferred() && *until > state.now);
        let deadline = self.endpoint.protocol.deadline().into_iter().chain(held_until).min();
        state.deadlines.rearm(self.endpoint.id.slot, deadline);
    }

    /// The timer of the deadline has fired.
    pub(super) fn on_deadline(&mut self, state: &mut LoopState<S>) {
        let endpoint = &mut self.endpoint;
        let out = endpoint.write.buffer(&mut state.pool);
        match endpoint.protocol.tick(state.now, out) {
            Ok(Some(ping)) => endpoint.send(ping, state),
            Ok(None) => {}
            Err(err) => {
                endpoint.handle_violation(err, state);
                if endpoint.socket.is_handshaking() {
                    // Nothing can be sent during the TLS handshake.
                    endpoint.protocol.abandon();
                }
            }
        }
        self.read_deferred(state);
        self.update(state);
    }

    /// Ends the connection, and returns the handler. `on_close` is called unless it was called before.
    pub(super) fn close_and_release(mut self, state: &mut LoopState<S>) -> Option<H> {
        let endpoint = &mut self.endpoint;
        endpoint.end(CloseCode::Abnormal, "", state);
        // Without close_notify the peer knows that output was lost.
        if endpoint.write.is_released() {
            endpoint.socket.send_close_notify();
        }
        self.timers.iter_mut().for_each(|timers| state.deadlines.cancel_all(timers));
        state.deadlines.cancel_deadline(endpoint.id.slot);
        state.queue.remove_connection(endpoint.id.slot);
        state.memory.report(endpoint.reported, 0);
        self.endpoint.handler
    }

    /// Whether the connection has ended and begins again at another URL.
    pub(super) fn is_redirecting(&self) -> bool {
        self.endpoint.is_redirecting()
    }
}

/// The [`update`](Connection::update) after a read. If the connection has only received messages and queued short answers, the flush that
/// follows publishes that, and nothing else has changed.
#[inline]
fn update_after_read<H: Handler, S: System>(connection: &mut Connection<H, S>, state: &mut LoopState<S>) {
    let len = connection.endpoint.write.len();
    let is_short = (1..memory::REPORT_FROM).contains(&len);
    if !is_short || connection.endpoint.listed.keeps_output() || !connection.is_calm(state) {
        return connection.update(state);
    }
    let endpoint = &mut connection.endpoint;
    state.work.flush_later(endpoint.id.slot, &mut endpoint.listed, len);
}

/// Schedules the timer of a connection again, so that it is not too early.
#[cfg(feature = "testing")]
pub(super) fn reschedule_deadline<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) {
    state.deadlines.cancel_deadline(connection.endpoint.id.slot);
    connection.rearm_deadline(state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::system::Native;
    use crate::reactor::transport::Socket;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<ManualConnection>() <= 88);
        let parts = size_of::<ManualConnection>() + size_of::<Socket>();
        let own = size_of::<Connection<(), Native>>() - parts;
        assert!(own <= 80, "{own} bytes in addition to the protocol core and the socket");
    }
}
