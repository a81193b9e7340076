//! Reading and writing, within the budget of a turn.

use std::sync::Arc;
use std::time::Instant;

use mio::{Interest, Token};

use super::endpoint::Endpoint;
use super::reading::read_once;
use super::sending::send_answer;
use super::{Connection, deferring, update_after_read, work};
use crate::error::Error;
use crate::protocol::State;
use crate::reactor::MAX_KEPT_COMMANDS;
use crate::reactor::api::handler::Handler;
use crate::reactor::entries::index;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::Receiving;
use crate::reactor::system::{Input, Next, Stop, System, Transport as _};

/// The most bytes that are read from one connection in one turn.
const READ_BUDGET: usize = 256 * 1024;

/// The same for large messages. A large message costs less if it is answered while it is in the processor's cache.
const MESSAGE_BUDGET: usize = 1024 * 1024;

/// The most bytes of the first read of a turn. Further reads are as large as all earlier ones of the turn together.
const FIRST_READ: usize = 64 * 1024;

/// The number of frames of one connection that are handled in one turn. Many small frames take longer than few large ones.
const FRAME_BUDGET: usize = 256;

/// How often a connection executes the commands that its handler queues while its commands are executed.
const OWN_ROUNDS: usize = 4;

/// Output of at least this length is written before more is read in the same turn, in bytes.
const FLUSH_FROM: usize = 256 * 1024;

/// At least this much of a payload must be missing to continue reading within the turn, in bytes.
const LARGE: u64 = 4 * 1024;

/// The most reads from a connection after a write has failed.
const MAX_DRAINING_READS: usize = 16;

impl<H: Handler, S: System> Connection<H, S> {
    /// The socket may have input. A connection that waits to be read from anyway is not read from twice in one turn, and no
    /// connection is read from in a turn that is over.
    pub(in crate::reactor) fn on_readable(
        &mut self,
        has_ended: bool,
        buffer: &mut [u8],
        state: &mut LoopState<S>,
    ) {
        if self.endpoint.listed.is_to_read() {
            self.read.note_end(has_ended);
        } else if state.fairness.is_over() || state.is_blocked() {
            self.read.note_end(has_ended);
            state.work.serve_later(self.endpoint.id.slot, &mut self.endpoint.listed);
        } else {
            self.read_within_budget(has_ended, buffer, state);
        }
    }

    /// Continues reading where an earlier turn stopped.
    pub(in crate::reactor) fn continue_reading(&mut self, buffer: &mut [u8], state: &mut LoopState<S>) {
        self.endpoint.listed.begin_read();
        flush_kept(self, state);
        let has_ended = self.read.take_end();
        match self.endpoint.write.take_failure() {
            Some(err) => self.drain_receive_buffer(*err, buffer, state),
            None => self.read_within_budget(has_ended, buffer, state),
        }
    }

    /// Reads, or processes what was read before, unless there is a reason to wait.
    fn read_within_budget(&mut self, has_ended: bool, buffer: &mut [u8], state: &mut LoopState<S>) {
        if self.endpoint.listed.is_to_close() || !self.endpoint.protocol.wants_input() {
            return;
        }
        if self.endpoint.protocol.steps().is_decompressing() {
            // Reading continues after the message.
            work::work_later(&mut self.endpoint, state);
            return self.read.note_end(has_ended);
        }
        if deferring::is_deferring(&self.endpoint) {
            return deferring::on_readable(self, has_ended, state);
        }
        let endpoint = &mut self.endpoint;
        let is_open = endpoint.protocol.state() == State::Open;
        if is_open && (self.read.is_paused || endpoint.write.holds_reading(state.now)) {
            self.read.defer(has_ended);
            // A pause because of blocked output has an end.
            return self.rearm_deadline(state);
        }
        if self.read.has_unread() {
            let mut unread = self.read.take_unread();
            let began = state.begin_budget();
            self.process(&mut unread, began, state);
            self.read.note_end(has_ended);
            self.read_later(state);
        } else {
            self.read(has_ended, buffer, state);
        }
        if is_open {
            update_after_read(self, state);
        } else {
            self.rearm_deadline(state);
            self.update(state);
        }
    }

    /// Reads as much as the budget of a turn allows.
    ///
    /// A read that does not fill its buffer has emptied the socket, so no further read is needed to find that out. The
    /// rest of a large message is read within the turn, so that its memory is free again before the next connection needs
    /// as much.
    fn read(&mut self, has_ended: bool, buffer: &mut [u8], state: &mut LoopState<S>) {
        let began = state.begin_budget();
        let mut spent = 0;
        loop {
            let most = if self.endpoint.is_mid_message() {
                buffer.len()
            } else {
                FIRST_READ.max(spent).min(buffer.len())
            };
            let Some(room) = buffer.get_mut(..most) else { return };
            let input = match read_once(self, room, began, state) {
                Ok(input) => input,
                Err(err) => return self.endpoint.handle_socket_error(err, state),
            };
            spent += input.len;
            let has_more = match input.next {
                Next::End if self.read.has_rest(&self.endpoint.protocol) => {
                    self.read.note_end(true);
                    return self.read_later(state);
                }
                Next::End => return self.on_end(state),
                Next::More => true,
                Next::Event => false,
            };
            if has_more
                && input.len > 0
                && spent < self.endpoint.read_budget()
                && self.may_continue(state)
                && !state.has_used_up_budget(began)
            {
                continue;
            }
            if has_more || has_ended {
                self.read.note_end(has_ended);
                self.read_later(state);
            }
            return;
        }
    }

    /// Processes input. What exceeds the budget of the turn is kept for the next one.
    pub(super) fn process(&mut self, mut input: &mut [u8], began: Option<Instant>, state: &mut LoopState<S>) {
        let queue = Arc::clone(&state.queue);
        let status = queue.status(self.endpoint.id.slot);
        let _receiving = Receiving::begin(self.endpoint.id);
        for frames in 1..=FRAME_BUDGET {
            if !self.endpoint.process(&mut input, (&queue, status), state) {
                return deferring::process_later(self, input, state);
            }
            if state.queue.has_local() {
                self.execute_own(state);
            }
            // Without this branch, a read with one message takes about 100 instructions more (callgrind).
            if input.is_empty() && self.endpoint.has_received_all() {
                return;
            }
            // A slow handler uses up the budget with fewer frames.
            if !input.is_empty() && state.exceeds_budget(frames, began) {
                break;
            }
        }
        self.read.keep(&*input);
        // If a message is being decompressed, what was kept waits for it.
        self.read_later(state);
    }

    /// Executes what the handler has just queued, if all of it concerns its own connection and nothing else was queued
    /// before. The payloads are still in the processor's cache, and their memory is free for the next message.
    #[inline]
    pub(super) fn execute_own(&mut self, state: &mut LoopState<S>) {
        if !self.endpoint.stage.is_open() {
            return;
        }
        let target = self.endpoint.id.target();
        if let Some((at, token)) = state.queue.pop_first_timeout(target) {
            self.set_timeout(at, token, state);
        }
        // A reply is the only command in most cases. Without this branch, an echo of 20 bytes takes about 100 instructions more
        // (callgrind, 16 messages in flight).
        if let Some(message) = state.queue.pop_only_message(target) {
            send_answer(&mut self.endpoint, message, state);
        } else if state.queue.has_only(target) {
            self.execute_all_own(state);
        }
    }

    fn execute_all_own(&mut self, state: &mut LoopState<S>) {
        let target = self.endpoint.id.target();
        let mut batch = std::mem::take(&mut state.own_commands);
        // Executing a command can call the handler, which can queue more.
        for _ in 0..OWN_ROUNDS {
            state.queue.swap_local(&mut batch);
            batch.drain(..).for_each(|queued| self.on_command(queued.command, state));
            if !state.queue.has_only(target) {
                break;
            }
        }
        batch.shrink_to(MAX_KEPT_COMMANDS);
        state.own_commands = batch;
    }

    /// Whether the connection may read more in this turn. Large output is written first, so that its memory is free.
    fn may_continue(&mut self, state: &mut LoopState<S>) -> bool {
        let write = &self.endpoint.write;
        if write.len() >= FLUSH_FROM && !write.is_blocked {
            flush_expecting(self, true, state);
        }
        !self.read.has_rest(&self.endpoint.protocol)
            && !self.read.is_paused
            && !self.endpoint.listed.is_to_close()
            && self.endpoint.protocol.wants_input()
            && !self.endpoint.write.holds_reading(state.now)
    }

    /// The peer has ended its side.
    pub(super) fn on_end(&mut self, state: &mut LoopState<S>) {
        if let Err(err) = self.endpoint.protocol.receive_eof() {
            self.endpoint.handle_violation(err, state);
        }
    }

    /// The socket accepts output again.
    pub(in crate::reactor) fn on_writable(&mut self, state: &mut LoopState<S>) {
        if self.endpoint.write.is_blocked {
            state.work.flush_later(self.endpoint.id.slot, &mut self.endpoint.listed, 0);
        }
    }

    /// Writes all output, and ends the local side of the socket if the protocol demands it.
    pub(in crate::reactor) fn flush(&mut self, state: &mut LoopState<S>) {
        flush_expecting(self, self.endpoint.listed.is_to_read(), state);
    }

    /// Writes until there is no output or the socket accepts no more. Returns whether all output is written.
    #[inline]
    fn write(&mut self, expects_more: bool, state: &mut LoopState<S>) -> bool {
        let endpoint = &mut self.endpoint;
        let was_blocked = endpoint.write.is_blocked;
        let before = endpoint.write.len() + endpoint.socket.unsent();
        let sent = &mut state.traffic.bytes_sent;
        let written = endpoint.write.write(&mut endpoint.socket, expects_more, sent);
        if matches!(written, Err(Stop::Blocked)) {
            let left = endpoint.write.len() + endpoint.socket.unsent();
            endpoint.protocol.unsent(before.saturating_sub(left), state.now);
        }
        match written {
            Ok(true) => {
                self.on_flushed(was_blocked, state);
                return true;
            }
            Ok(false) => state.work.keep_output(endpoint.id.slot, &mut endpoint.listed),
            Err(Stop::Blocked) => self.endpoint.on_blocked(state),
            Err(Stop::Failed(err)) => {
                // What the peer sent before, such as the Close frame with the reason, is read in the next turn.
                endpoint.write.fail(err, &mut state.pool);
                self.read_later(state);
            }
        }
        false
    }

    /// Handles a write that has failed, after the input that the peer has sent before.
    fn drain_receive_buffer(&mut self, err: Error, buffer: &mut [u8], state: &mut LoopState<S>) {
        if !self.read.is_paused && self.endpoint.protocol.wants_input() {
            for _ in 0..MAX_DRAINING_READS {
                // Input that was kept comes first, and there is no later turn for it.
                if self.read.has_unread() {
                    break;
                }
                let Some(room) = buffer.get_mut(..FIRST_READ) else { break };
                let Ok(Input { len: len @ 1.., .. }) = self.endpoint.socket.read(room) else { break };
                state.traffic.bytes_received += len as u64;
                let began = state.begin_budget();
                self.process(buffer.get_mut(..len).unwrap_or_default(), began, state);
            }
        }
        self.endpoint.handle_socket_error(err, state);
        self.update(state);
    }

    fn on_flushed(&mut self, was_blocked: bool, state: &mut LoopState<S>) {
        self.endpoint.write.recycle(&mut state.pool);
        if was_blocked {
            self.endpoint.write.is_blocked = false;
            self.read_deferred(state);
            let endpoint = &mut self.endpoint;
            if endpoint.stage.is_open() {
                endpoint.publish(state);
                endpoint.call_fallible(state, Handler::on_drain);
            }
        }
        let endpoint = &mut self.endpoint;
        if endpoint.write.is_released() && endpoint.protocol.flushed(state.now) {
            endpoint.write.is_ending = true;
        }
        if endpoint.write.is_ending {
            endpoint.end_writing(state);
        }
    }
}

/// Flushes a connection. `expects_more` is whether it is read from soon, so that more output is expected.
fn flush_expecting<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    expects_more: bool,
    state: &mut LoopState<S>,
) {
    connection.endpoint.listed.begin_flush();
    if connection.endpoint.listed.is_to_close() || connection.endpoint.write.has_failed() {
        return;
    }
    let was_blocked = connection.endpoint.write.is_blocked;
    let is_written = connection.write(expects_more, state);
    // A Pong that has waited for the output before it leaves at once.
    let sends_pong = is_written && connection.endpoint.send_pending_pong(state);
    if sends_pong {
        connection.write(expects_more, state);
    }
    let has_only_sent = is_written && !sends_pong && !was_blocked && connection.endpoint.write.is_released();
    if has_only_sent && connection.is_calm(state) {
        // The update after the read, or after the commands, has done the rest.
        connection.endpoint.publish(state);
    } else {
        connection.update(state);
    }
}

/// What the last flush has kept leaves with the next output, but not later than in this turn.
pub(in crate::reactor) fn flush_kept<H, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) {
    let endpoint = &mut connection.endpoint;
    if endpoint.listed.take_keeps_output() {
        state.work.flush_later(endpoint.id.slot, &mut endpoint.listed, 0);
    }
}

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Ends the local side of the socket, now or when the socket accepts what TLS sends for that.
    fn end_writing(&mut self, state: &mut LoopState<S>) {
        match self.socket.shut_down_writing() {
            Ok(()) => self.write.is_ending = false,
            Err(Stop::Blocked) => self.on_blocked(state),
            Err(Stop::Failed(err)) => self.handle_socket_error(err, state),
        }
    }

    /// The socket accepts no more output. The system reports when it does.
    fn on_blocked(&mut self, state: &mut LoopState<S>) {
        self.write.is_blocked = true;
        if self.write.is_watched {
            return;
        }
        let token = Token(index(self.id.slot));
        let interest = Interest::READABLE | Interest::WRITABLE;
        match state.system.reregister(&mut self.socket, token, interest) {
            Ok(()) => self.write.is_watched = true,
            Err(err) => self.handle_socket_error(err.into(), state),
        }
    }
}

impl<H, S: System> Endpoint<H, S> {
    /// How much may be read in a turn. With TLS every byte is copied twice more, so the input leaves the cache sooner.
    fn read_budget(&self) -> usize {
        if self.is_mid_message() {
            MESSAGE_BUDGET
        } else if self.socket.is_encrypted() {
            FIRST_READ
        } else {
            READ_BUDGET
        }
    }

    /// Whether input that has been used up leaves nothing to do.
    #[inline]
    fn has_received_all(&self) -> bool {
        self.protocol.state() == State::Open && !self.protocol.steps().is_decompressing()
    }

    /// Whether much of a payload is missing.
    fn is_mid_message(&self) -> bool {
        self.protocol.missing() >= LARGE
    }
}
