//! The end of a connection: closing, failing, and the end of TCP (§7).

use std::time::{Duration, Instant};

use super::{Core, Phase};
use crate::protocol::{ProtocolError, Role};

/// How long a peer may continue to send after we have written everything and shut down our side.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How much such a peer may send, in bytes.
const DRAIN_LIMIT: usize = 1024 * 1024;

/// What remains after the Close frames: to write what is left, and to wait until the peer ends TCP.
#[derive(Debug)]
pub(super) struct Drain {
    /// Whether our side of TCP is shut down as soon as everything is written, so that the peer sees the end.
    ///
    /// A client that closes cleanly leaves the first step to the server (§7.1.1).
    half_close: bool,
    is_flushed: bool,
    /// Whether the peer has ended its side.
    has_ended: bool,
    /// How many bytes are still read and discarded. If the socket were closed with unread input, TCP would reset the
    /// connection, and the peer could lose our last frames.
    left: usize,
}

impl Phase {
    /// Whether the front end should read: not once the peer has ended its side, or has sent too much after the end.
    #[inline]
    pub(super) fn wants_input(&self) -> bool {
        !matches!(self, Self::Draining(drain) if drain.left == 0 || drain.has_ended)
    }

    /// Whether everything that follows depends on the output being written.
    pub(super) fn awaits_flush(&self) -> bool {
        match self {
            Self::CloseSent { is_flushed } => !is_flushed,
            Self::Draining(drain) => !drain.is_flushed,
            _ => false,
        }
    }

    /// Discards what arrives after the end (§5.5.1, §7.1.7).
    pub(super) fn discard(&mut self, input: &mut &mut [u8]) {
        let len = std::mem::take(input).len();
        if let Self::Draining(drain) = self {
            drain.left = drain.left.saturating_sub(len);
        }
    }
}

impl Core {
    /// Records that everything has been written; returns whether our side of TCP must be shut down now.
    ///
    /// The time limits for the peer's part of the end begin here, so that a peer can read a long output first.
    #[inline]
    pub(super) fn end_writing(&mut self, now: Instant) -> bool {
        self.deadlines.sent();
        match &mut self.phase {
            Phase::CloseSent { is_flushed: is_flushed @ false } => {
                *is_flushed = true;
                self.deadlines.begin_closing(&self.config, now);
                false
            }
            Phase::Draining(Drain { is_flushed: is_flushed @ false, half_close, .. }) => {
                *is_flushed = true;
                let half_close = *half_close;
                let limit = self.config.close_timeout;
                let limit = if half_close { limit.min(DRAIN_TIMEOUT) } else { limit };
                self.deadlines.begin_phase(limit, now);
                self.close_if_done();
                half_close
            }
            _ => false,
        }
    }

    /// Records that the peer has ended its side of TCP.
    pub(super) fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        let lost = match &mut self.phase {
            Phase::Opening(_) | Phase::Answering { .. } => ProtocolError::HandshakeCut,
            Phase::Open | Phase::CloseSent { .. } => ProtocolError::ConnectionLost,
            Phase::Draining(drain) => {
                drain.has_ended = true;
                self.close_if_done();
                return Ok(());
            }
            Phase::CloseReceived | Phase::Failed | Phase::Closed => {
                self.phase = Phase::Closed;
                return Ok(());
            }
        };
        self.phase = Phase::Closed;
        Err(lost)
    }

    /// Fails the connection (§7.1.7). If it is open, a Close is then owed.
    pub(super) fn fail(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Opening(_) | Phase::Answering { .. } => self.fail_opening(err, now, out),
            _ => self.fail_open(now),
        }
    }

    /// Fails a connection whose opening handshake is complete.
    pub(super) fn fail_open(&mut self, now: Instant) {
        self.drop_message();
        match self.phase {
            Phase::Open => {
                self.phase = Phase::Failed;
                self.deadlines.begin_closing(&self.config, now);
            }
            // Our Close was sent already, and a second one must not be.
            Phase::CloseSent { .. } => self.drain(true, now),
            _ => {}
        }
    }

    /// Continues without the Close that is owed.
    pub(super) fn skip_close(&mut self, now: Instant) {
        match self.phase {
            Phase::CloseReceived => self.drain(false, now),
            Phase::Failed => self.drain(true, now),
            _ => {}
        }
    }

    /// Our Close was sent.
    pub(super) fn close_is_sent(&mut self, now: Instant) {
        if let Some(codec) = &mut self.codec {
            codec.stop_sending();
        }
        match self.phase {
            Phase::Open => {
                self.phase = Phase::CloseSent { is_flushed: false };
                self.deadlines.unsent(0, now);
                self.drop_message();
            }
            Phase::Failed => self.drain(true, now),
            _ => self.drain(false, now),
        }
    }

    /// Begins the end of TCP. `has_failed` means that there was no complete closing handshake.
    pub(super) fn drain(&mut self, has_failed: bool, now: Instant) {
        // §7.1.1: the server closes TCP first. §7.1.7: an endpoint that fails the connection does not wait for the peer.
        let half_close = has_failed || self.role == Role::Server;
        self.deadlines.unsent(0, now);
        self.phase =
            Phase::Draining(Drain { half_close, is_flushed: false, has_ended: false, left: DRAIN_LIMIT });
    }

    fn close_if_done(&mut self) {
        if matches!(&self.phase, Phase::Draining(drain) if drain.is_flushed && drain.has_ended) {
            self.phase = Phase::Closed;
        }
    }
}
