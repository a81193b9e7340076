//! Bytes between the socket and the protocol.

use std::io;
use std::time::Duration;

use mio::{Interest, Token};

use super::{Connection, Stage, output_of};
use crate::protocol::{Output as _, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::transport::Stop;

/// What is read from one connection in one turn, in bytes, so that one that talks does not keep the others waiting.
const READ_BUDGET: usize = 256 * 1024;

/// The same for large messages, which cost less if they are answered while they are in the processor's cache.
const MESSAGE_BUDGET: usize = 1024 * 1024;

/// What is read at first; only who fills that, with no more frames than a turn allows, is read from again, each time as much
/// as before in all.
const FIRST_READ: usize = 64 * 1024;

/// How much output goes out before more is read within a turn, in bytes.
const FLUSH_FROM: usize = 256 * 1024;

/// How much must be missing of a payload, in bytes, for reading on within the turn.
const LARGE: u64 = 4 * 1024;

/// How much output of a connection, in bytes, that the system does not take makes its peer wait to be heard, and for how
/// long.
const HOLD_FROM: usize = 256 * 1024;
const HOLD: Duration = Duration::from_millis(50);

/// How often a connection is read from that is lost.
const MAX_LAST_READS: usize = 16;

impl<H: Handler> Connection<H> {
    /// The socket may have something to read. Who goes on reading anyhow does so when that is due: one share in a turn.
    pub(in crate::reactor) fn on_readable(
        &mut self,
        has_ended: bool,
        buffer: &mut [u8],
        state: &mut LoopState,
    ) {
        if self.flags.is_ready {
            self.flags.has_ended |= has_ended;
        } else {
            self.read_within_budget(has_ended, buffer, state);
        }
    }

    /// Reads, or goes on with what was read before, unless there is a reason to wait.
    fn read_within_budget(&mut self, has_ended: bool, buffer: &mut [u8], state: &mut LoopState) {
        if self.flags.is_dead || !self.protocol.wants_input() {
            return;
        }
        if self.flags.is_blocked && self.socket.writes_on_readable() {
            self.mark_dirty(state);
        }
        if self.protocol.state() == State::Open && (self.flags.is_paused || self.is_read_held(state)) {
            self.flags.is_readable = true;
            self.flags.has_ended |= has_ended;
            // A wait that is not for the handler has an end.
            return self.rearm_deadline(state);
        }
        if self.unread.is_empty() {
            self.read(has_ended, buffer, state);
        } else {
            let mut unread = std::mem::take(&mut self.unread);
            let begun = state.begin_budget();
            self.take_input(&mut unread, begun, state);
            self.flags.has_ended |= has_ended;
            self.read_again(state);
        }
        self.update(state);
    }

    /// Reads from the socket: what a turn allows, which answers that leave together make cheaper, and the rest of a large
    /// message, so that it is answered and its memory free again before the next connection needs as much. A read that does
    /// not fill its room has emptied the socket, so that no further one is needed to find that out; who has had its share
    /// goes on in the next turn.
    fn read(&mut self, has_ended: bool, buffer: &mut [u8], state: &mut LoopState) {
        let begun = state.begin_budget();
        let mut spent = 0;
        loop {
            let most =
                if self.is_mid_message() { buffer.len() } else { FIRST_READ.max(spent).min(buffer.len()) };
            let Some(room) = buffer.get_mut(..most) else { return };
            let is_full = match self.socket.read(room) {
                Ok(0) => return self.on_end(state),
                Ok(len) => {
                    spent += len;
                    let is_full = len == room.len();
                    self.take_input(room.get_mut(..len).unwrap_or_default(), begun, state);
                    is_full
                }
                Err(Stop::Blocked) => return,
                Err(Stop::Failed(err)) => return self.handle_socket_error(err, state),
            };
            if is_full
                && spent < self.read_budget()
                && self.may_continue(state)
                && !state.has_taken_long(begun)
            {
                continue;
            }
            if is_full || has_ended {
                self.flags.has_ended |= has_ended;
                self.read_again(state);
            }
            return;
        }
    }

    /// How much may be read in a turn. With TLS every piece is copied twice more, so that what comes from the socket does not
    /// stay in the cache for long.
    fn read_budget(&self) -> usize {
        if self.is_mid_message() {
            MESSAGE_BUDGET
        } else if self.socket.is_encrypted() {
            FIRST_READ
        } else {
            READ_BUDGET
        }
    }

    /// Whether reading waits because much output does: answers should leave before there are more of them. The wait is
    /// short, and there is one until all output is gone, since a peer may want to be heard while it receives, or receive
    /// nothing before it has said all.
    fn is_read_held(&mut self, state: &LoopState) -> bool {
        if !self.flags.is_blocked {
            return false;
        }
        let Some(output) = self.output.as_mut().filter(|output| output.len() >= HOLD_FROM) else {
            return false;
        };
        state.now < *output.held_until.get_or_insert_with(|| state.now + HOLD)
    }

    /// Goes on with what was not read, unless the handler still wants a pause.
    pub(super) fn read_on(&mut self, state: &mut LoopState) {
        if !self.flags.is_paused && std::mem::take(&mut self.flags.is_readable) {
            self.read_again(state);
        }
    }

    /// Whether much is to come of a payload.
    fn is_mid_message(&self) -> bool {
        self.protocol.missing() >= LARGE
    }

    /// Whether nothing keeps the connection from reading on within its turn. What has been answered so far goes out first,
    /// so that its memory is free for what comes.
    fn may_continue(&mut self, state: &mut LoopState) -> bool {
        if self.output.as_ref().is_some_and(|output| output.len() >= FLUSH_FROM) && !self.flags.is_blocked {
            self.flush(state);
        }
        self.unread.is_empty()
            && !self.flags.is_paused
            && !self.flags.is_dead
            && self.protocol.wants_input()
            && !self.is_read_held(state)
    }

    /// The peer has ended its side.
    fn on_end(&mut self, state: &mut LoopState) {
        if let Err(err) = self.protocol.receive_eof() {
            self.handle_violation(err, state);
        }
    }

    /// Puts the connection on the list of those that are read from in the next turn.
    pub(super) fn read_again(&mut self, state: &mut LoopState) {
        if !self.flags.is_ready {
            self.flags.is_ready = true;
            state.to_read.push(self.id.slot);
        }
    }

    /// Goes on where an earlier turn has stopped, because its share was used up.
    pub(in crate::reactor) fn continue_reading(&mut self, buffer: &mut [u8], state: &mut LoopState) {
        self.flags.is_ready = false;
        let has_ended = std::mem::take(&mut self.flags.has_ended);
        self.read_within_budget(has_ended, buffer, state);
    }

    pub(super) fn resume(&mut self, state: &mut LoopState) {
        self.flags.is_paused = false;
        self.read_on(state);
    }

    /// The socket takes output again.
    pub(in crate::reactor) fn on_writable(&mut self, state: &mut LoopState) {
        if self.flags.is_blocked {
            self.mark_dirty(state);
        }
        if self.socket.reads_on_writable() {
            self.read_again(state);
        }
    }

    /// Hands the system all that is queued, and sees to the end of TCP when that is next.
    pub(in crate::reactor) fn flush(&mut self, state: &mut LoopState) {
        self.flags.is_dirty = false;
        if self.flags.is_dead {
            return;
        }
        let was_blocked = self.flags.is_blocked;
        match self.write() {
            Ok(()) => self.on_flushed(was_blocked, state),
            Err(Stop::Blocked) => self.on_blocked(state),
            Err(Stop::Failed(err)) => {
                self.drain_receive_buffer(state);
                self.handle_socket_error(err, state);
            }
        }
        self.update(state);
    }

    /// The peer takes nothing more. What it has said before may still be there to read, such as the Close that tells why.
    fn drain_receive_buffer(&mut self, state: &mut LoopState) {
        if self.flags.is_paused || !self.protocol.wants_input() {
            return;
        }
        let mut buffer = vec![0; FIRST_READ];
        for _ in 0..MAX_LAST_READS {
            // What the last turn has left comes before, and there is no next one.
            if !self.unread.is_empty() {
                return;
            }
            let Ok(len @ 1..) = self.socket.read(&mut buffer) else { return };
            if let Some(input) = buffer.get_mut(..len) {
                let begun = state.begin_budget();
                self.take_input(input, begun, state);
            }
        }
    }

    /// Writes until all is written, or the system takes no more.
    fn write(&mut self) -> Result<(), Stop> {
        while let Some(output) = self.output.as_mut().filter(|output| !output.is_empty()) {
            if output.write_with(|slices| self.socket.write(slices))? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        self.socket.flush()
    }

    fn on_flushed(&mut self, was_blocked: bool, state: &mut LoopState) {
        if let Some(output) = self.output.take() {
            state.recycle_output(output);
        }
        if was_blocked {
            self.flags.is_blocked = false;
            self.read_on(state);
            if let Some(pong) = self.protocol.release_pongs() {
                self.send_frame(pong, state);
            }
            if self.stage == Stage::Opened {
                self.measure(state);
                self.call_fallible(state, Handler::on_drain);
            }
        }
        if self.output.is_none() && self.protocol.flushed(state.now) {
            self.flags.ends_writing = true;
        }
        if self.flags.ends_writing {
            self.end_writing(state);
        }
    }

    /// Ends our side, at once or when the system takes what belongs to that.
    fn end_writing(&mut self, state: &mut LoopState) {
        match self.socket.shut_down_writing() {
            Ok(()) => self.flags.ends_writing = false,
            Err(Stop::Blocked) => self.on_blocked(state),
            Err(Stop::Failed(err)) => self.handle_socket_error(err, state),
        }
    }

    fn on_blocked(&mut self, state: &mut LoopState) {
        self.flags.is_blocked = true;
        self.protocol.hold_pongs();
        if self.flags.watches_writable {
            return;
        }
        let token = Token(usize::try_from(self.id.slot).unwrap_or(usize::MAX));
        match self.socket.reregister(&state.registry, token, Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => self.flags.watches_writable = true,
            Err(err) => self.handle_socket_error(err.into(), state),
        }
    }

    /// Tells a client that the loop has no room for it, or is about to end (RFC 9110 §15.6.4).
    pub(in crate::reactor) fn reject_with_503(&mut self, state: &mut LoopState) {
        let out = output_of(&mut self.output, state).buffer();
        self.protocol.turn_away(state.now, out);
        self.update(state);
    }
}
