//! Bytes between the socket and the protocol.

use std::io;

use mio::{Interest, Token};

use super::{Connection, Stage, output_of};
use crate::handler::Handler;
use crate::protocol::{Output as _, State};
use crate::reactor::context::Context;
use crate::reactor::socket::Stop;

/// What is read from one connection in one turn, in bytes, so that one that talks does not keep the others waiting.
const READ_BUDGET: usize = 64 * 1024;

/// How often a connection is read from that is lost.
const MAX_LAST_READS: usize = 16;

impl<H: Handler> Connection<H> {
    /// The socket may have something to read.
    pub(in crate::reactor) fn on_readable(&mut self, has_ended: bool, buffer: &mut [u8], cx: &mut Context) {
        self.flags.is_ready = false;
        if self.flags.is_dead || !self.protocol.wants_input() {
            return;
        }
        if self.flags.is_blocked && self.socket.writes_on_readable() {
            self.mark_dirty(cx);
        }
        if self.flags.is_paused && self.protocol.state() == State::Open {
            self.flags.is_readable = true;
            self.flags.has_ended |= has_ended;
            return;
        }
        if self.unread.is_empty() {
            self.read(has_ended, buffer, cx);
        } else {
            let mut unread = std::mem::take(&mut self.unread);
            self.take_input(&mut unread, cx);
            self.flags.has_ended |= has_ended;
            self.read_again(cx);
        }
        self.settle(cx);
    }

    /// Reads once. A read that does not fill the buffer has emptied the socket, so that no second one is needed to find
    /// that out; one that does has had its share, and goes on in the next turn.
    fn read(&mut self, has_ended: bool, buffer: &mut [u8], cx: &mut Context) {
        let wanted = usize::try_from(self.protocol.missing()).unwrap_or(usize::MAX);
        let budget = wanted.max(READ_BUDGET).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..budget) else { return };
        match self.socket.read(buffer) {
            Ok(0) => self.on_end(cx),
            Ok(len) => {
                let may_have_more = len == buffer.len() || has_ended;
                if let Some(input) = buffer.get_mut(..len) {
                    self.take_input(input, cx);
                }
                if may_have_more {
                    self.flags.has_ended |= has_ended;
                    self.read_again(cx);
                }
            }
            Err(Stop::Blocked) => {}
            Err(Stop::Failed(err)) => self.handle_socket_error(err, cx),
        }
    }

    /// The peer has ended its side.
    fn on_end(&mut self, cx: &mut Context) {
        if let Err(err) = self.protocol.receive_eof() {
            self.handle_violation(err, cx);
        }
    }

    /// Puts the connection on the list of those that are read from in the next turn.
    pub(super) fn read_again(&mut self, cx: &mut Context) {
        if !self.flags.is_ready {
            self.flags.is_ready = true;
            cx.ready.push(self.name.slot);
        }
    }

    /// Goes on where [`on_readable`](Self::on_readable) has stopped because of its budget.
    pub(in crate::reactor) fn go_on_reading(&mut self, buffer: &mut [u8], cx: &mut Context) {
        let has_ended = std::mem::take(&mut self.flags.has_ended);
        self.on_readable(has_ended, buffer, cx);
    }

    pub(super) fn resume(&mut self, cx: &mut Context) {
        self.flags.is_paused = false;
        if std::mem::take(&mut self.flags.is_readable) {
            self.read_again(cx);
        }
    }

    /// The socket takes output again.
    pub(in crate::reactor) fn on_writable(&mut self, cx: &mut Context) {
        if self.flags.is_blocked {
            self.mark_dirty(cx);
        }
        if self.socket.reads_on_writable() {
            self.read_again(cx);
        }
    }

    /// Hands the system all that is queued, and sees to the end of TCP when that is next.
    pub(in crate::reactor) fn flush(&mut self, cx: &mut Context) {
        self.flags.is_dirty = false;
        if self.flags.is_dead {
            return;
        }
        let was_blocked = self.flags.is_blocked;
        match self.write() {
            Ok(()) => self.on_flushed(was_blocked, cx),
            Err(Stop::Blocked) => self.on_blocked(cx),
            Err(Stop::Failed(err)) => {
                self.hear_last_words(cx);
                self.handle_socket_error(err, cx);
            }
        }
        self.settle(cx);
    }

    /// The peer takes nothing more. What it has said before may still be there to read, such as the Close that tells why.
    fn hear_last_words(&mut self, cx: &mut Context) {
        if self.flags.is_paused || !self.protocol.wants_input() {
            return;
        }
        let mut buffer = vec![0; READ_BUDGET];
        for _ in 0..MAX_LAST_READS {
            // What the last turn has left comes before, and there is no next one.
            if !self.unread.is_empty() {
                return;
            }
            let Ok(len @ 1..) = self.socket.read(&mut buffer) else { return };
            if let Some(input) = buffer.get_mut(..len) {
                self.take_input(input, cx);
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

    fn on_flushed(&mut self, was_blocked: bool, cx: &mut Context) {
        if let Some(output) = self.output.take() {
            cx.keep_output(output);
        }
        if was_blocked {
            self.flags.is_blocked = false;
            if let Some(pong) = self.protocol.release_pongs() {
                self.send_frame(pong, cx);
            }
            if self.stage == Stage::Opened {
                self.measure(cx);
                self.call_fallible(cx, Handler::on_drain);
            }
        }
        if self.output.is_none() && self.protocol.flushed(cx.now) {
            self.flags.ends_writing = true;
        }
        if self.flags.ends_writing {
            self.end_writing(cx);
        }
    }

    /// Ends our side, at once or when the system takes what belongs to that.
    fn end_writing(&mut self, cx: &mut Context) {
        match self.socket.shut_down_writing() {
            Ok(()) => self.flags.ends_writing = false,
            Err(Stop::Blocked) => self.on_blocked(cx),
            Err(Stop::Failed(err)) => self.handle_socket_error(err, cx),
        }
    }

    fn on_blocked(&mut self, cx: &mut Context) {
        self.flags.is_blocked = true;
        self.protocol.hold_pongs();
        if self.flags.hears_writable {
            return;
        }
        let token = Token(usize::try_from(self.name.slot).unwrap_or(usize::MAX));
        match self.socket.reregister(&cx.registry, token, Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => self.flags.hears_writable = true,
            Err(err) => self.handle_socket_error(err.into(), cx),
        }
    }

    /// Tells a client that the loop has no room for it, or is about to end (RFC 9110 §15.6.4).
    pub(in crate::reactor) fn turn_away(&mut self, cx: &mut Context) {
        let out = output_of(&mut self.output, cx).buffer();
        self.protocol.turn_away(cx.now, out);
        self.settle(cx);
    }
}
