//! The end of a connection: closing, failing, time-outs, and the end of TCP (§7).

use std::time::{Duration, Instant};

use super::{Connection, Phase, State};
use crate::close::CloseCode;
use crate::protocol::framing::frame::Frame;
use crate::protocol::{Answers, ProtocolError, Role};

/// How long a peer may go on talking once we have said all and shut down our side.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How much such a peer may say, in bytes.
const DRAIN_LIMIT: usize = 1024 * 1024;

/// What is left to do once the Close frames are done with.
#[derive(Debug)]
pub(super) struct Drain {
    /// Whether our side of TCP is shut down as soon as all is written, so that the peer sees the end.
    ///
    /// A client that closes cleanly leaves the first step to the server (§7.1.1).
    half_close: bool,
    is_flushed: bool,
    /// Whether the peer has ended its side.
    has_ended: bool,
    /// How much is still read and thrown away, in bytes: were the socket closed before that, TCP would reset the
    /// connection, and our last words with it.
    left: usize,
}

impl Connection {
    /// Tells that everything in `out` has been handed to the system; returns whether the writing side of the socket is
    /// to be shut down now.
    #[inline]
    pub fn flushed(&mut self, now: Instant) -> bool {
        let Phase::Draining(drain) = &mut self.phase else { return false };
        if drain.is_flushed {
            return false;
        }
        drain.is_flushed = true;
        let half_close = drain.half_close;
        if half_close {
            self.mark = earliest(self.mark, now.checked_add(DRAIN_TIMEOUT));
        }
        self.close_if_done();
        half_close
    }

    /// Tells that the peer has ended its side of TCP.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::HandshakeCut`] within the opening handshake, [`ProtocolError::ConnectionLost`] when no Close
    /// frame came before (§7.1.5); the connection is closed then.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        let lost = match &mut self.phase {
            Phase::Opening(_) | Phase::Answering { .. } => ProtocolError::HandshakeCut,
            Phase::Open | Phase::CloseSent => ProtocolError::ConnectionLost,
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

    /// Returns when [`tick`](Self::tick) is next to be called, if anything waits for time.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => earliest(self.idle_deadline(), self.ping_deadline()),
            Phase::Closed => None,
            _ => self.mark,
        }
    }

    /// Does what is due at `now`; before [`deadline`](Self::deadline) that is nothing.
    ///
    /// With [`Answers::Manual`] a Ping that is due is returned, and the front end sends it.
    ///
    /// # Errors
    ///
    /// The time-out that has passed: the connection is closed, or, if `out` has an answer for the peer, closing.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<Frame>, ProtocolError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        match self.phase {
            Phase::Open if self.idle_deadline().is_some_and(|deadline| deadline <= now) => {
                self.phase = Phase::Closed;
                Err(ProtocolError::IdleTimeout)
            }
            Phase::Open => self.ping_is_due(now, out),
            Phase::Opening(_) | Phase::Answering { .. } => {
                self.fail(ProtocolError::HandshakeTimeout, now, out);
                Err(ProtocolError::HandshakeTimeout)
            }
            // The peer has not answered our Close.
            Phase::CloseSent => {
                self.phase = Phase::Closed;
                Err(ProtocolError::ConnectionLost)
            }
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.phase = Phase::Closed;
                Ok(None)
            }
        }
    }

    /// Returns whether a front end is to go on reading.
    ///
    /// Not so once a peer has said too much after the end. TCP then holds it back until [`tick`](Self::tick) gives up,
    /// and meanwhile it can read our last words. To close the socket at once would reset the connection, and a peer that
    /// is busy sending would hear of that before it hears of our Close.
    #[inline]
    pub fn wants_input(&self) -> bool {
        !matches!(&self.phase, Phase::Draining(drain) if drain.left == 0)
    }

    /// Returns whether the front end owes a Close frame, because it sends the answers itself.
    pub fn owes_close(&self) -> bool {
        matches!(self.phase, Phase::CloseReceived | Phase::Failed)
    }

    /// Makes the Close frame that answers the peer's, if that is owed: it has the same code (§5.5.1).
    pub fn close_reply(&self, code: CloseCode) -> Option<Frame> {
        matches!(self.phase, Phase::CloseReceived).then(|| Frame::close(code, ""))
    }

    /// Makes the Close frame by which a connection is failed, if one is owed (§7.1.7).
    pub fn failure(&self, err: ProtocolError) -> Option<Frame> {
        matches!(self.phase, Phase::Failed).then(|| Frame::close(err.close_code(), ""))
    }

    /// Goes on without the Close frame that is owed, because the front end will not send it.
    pub fn skip_close(&mut self, now: Instant) {
        match self.phase {
            Phase::CloseReceived => self.drain(false, now),
            Phase::Failed => self.drain(true, now),
            _ => {}
        }
    }

    /// Returns whether [`flushed`](Self::flushed) is to be called when `out` is empty.
    pub fn awaits_flush(&self) -> bool {
        matches!(&self.phase, Phase::Draining(drain) if !drain.is_flushed)
    }

    /// Gives up without a word: what is left is to close the socket.
    pub fn abandon(&mut self) {
        self.phase = Phase::Closed;
    }

    /// §7.1.7, *Fail the WebSocket Connection*.
    #[cold]
    pub(crate) fn failed(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) -> ProtocolError {
        self.fail(err, now, out);
        err
    }

    pub(crate) fn fail(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.drop_message();
        match self.phase {
            Phase::Opening(_) | Phase::Answering { .. } => self.fail_opening(err, now, out),
            Phase::Open => {
                self.phase = Phase::Failed;
                self.mark = now.checked_add(self.config.close_timeout);
                if self.answers == Answers::Automatic {
                    // It cannot fail: a Close frame of ours fits, and the phase wants one.
                    let _ = self.send_frame(Frame::close(err.close_code(), ""), now, out);
                }
            }
            // Our Close is out already, and no second one may be sent.
            Phase::CloseSent => self.drain(true, now),
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {}
        }
    }

    pub(super) fn close_is_sent(&mut self, now: Instant) {
        if let Some(codec) = &mut self.codec {
            codec.stop_sending();
        }
        match self.phase {
            Phase::Open => {
                self.phase = Phase::CloseSent;
                self.mark = now.checked_add(self.config.close_timeout);
                self.drop_message();
            }
            Phase::Failed => self.drain(true, now),
            _ => self.drain(false, now),
        }
    }

    /// Goes on to the end of TCP; `has_failed` tells whether the closing handshake was skipped.
    pub(super) fn drain(&mut self, has_failed: bool, now: Instant) {
        // §7.1.1: the server closes first. Who fails the connection does not wait for the peer either (§7.1.7).
        let half_close = has_failed || self.role == Role::Server;
        self.mark = now.checked_add(self.config.close_timeout);
        self.phase =
            Phase::Draining(Drain { half_close, is_flushed: false, has_ended: false, left: DRAIN_LIMIT });
    }

    /// Throws away what comes after the end (§5.5.1, §7.1.7).
    pub(super) fn discard(&mut self, input: &mut &mut [u8]) {
        let len = std::mem::take(input).len();
        if let Phase::Draining(drain) = &mut self.phase {
            drain.left = drain.left.saturating_sub(len);
        }
    }

    fn close_if_done(&mut self) {
        if matches!(&self.phase, Phase::Draining(drain) if drain.is_flushed && drain.has_ended) {
            self.phase = Phase::Closed;
        }
    }

    fn ping_is_due(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<Frame>, ProtocolError> {
        self.mark = Some(now);
        let ping = Frame::ping(Vec::new());
        if self.answers == Answers::Manual {
            return Ok(Some(ping));
        }
        self.send_frame(ping, now, out).map(|()| None)
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.heard.checked_add(self.config.idle_timeout?)
    }

    /// A Ping is due when both the peer and our last Ping are long enough ago.
    fn ping_deadline(&self) -> Option<Instant> {
        let last = self.mark.map_or(self.heard, |pinged| pinged.max(self.heard));
        last.checked_add(self.config.ping_interval?)
    }
}

impl State {
    /// Returns whether the closing handshake has begun, or is over.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
