//! Everything that depends on time: the handshake, silence of the peer, Pings, slow messages, unsent output, and the end.

use std::time::{Duration, Instant};

use super::{Core, Phase};
use crate::protocol::framing::frame::Frame;
use crate::protocol::{Config, ProtocolError};

/// The period over which the rate of an unfinished message is averaged.
const RATE_PERIOD: Duration = Duration::from_secs(60);

/// The payload of the Pings that are sent at intervals, by which their Pongs are recognized. It is random, so that no program
/// has chosen the same.
pub(super) const AUTOMATIC_PING: [u8; 4] = [0x9c, 0x17, 0xe3, 0x5a];

/// A Ping that is later than this shows that the front end was not called in time.
const LATE_PING: Duration = Duration::from_secs(1);

/// The points in time from which deadlines are computed. The time of the last Ping is not one of them, so that a connection is smaller: see
/// [`Pinged`].
#[derive(Debug)]
pub(super) struct Deadlines {
    /// While the connection is open, when input was last received, or when the front end continued to read. In every other phase, when
    /// that phase must end, or `None` if its limit is beyond the range of the clock.
    mark: Option<Instant>,
    /// What few connections measure at the same time.
    measured: Option<Box<Measured>>,
}

/// What is measured while output is unsent or a message is unfinished, and the Pong that waits for the output.
#[derive(Debug, Default)]
struct Measured {
    /// The payload of the Pong that waits until output has been written.
    pong: Option<Vec<u8>>,
    /// When the socket last accepted a part of the output. `None` if all output has been sent.
    unsent_since: Option<Instant>,
    message: Option<Progress>,
}

/// How much of an unfinished message has arrived since a point in time.
#[derive(Debug)]
struct Progress {
    since: Instant,
    received: usize,
}

/// How long after the last input the last Ping was sent, in milliseconds. Zero if none was sent since.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pinged(u32);

impl Pinged {
    /// A Ping is sent after this much silence, which is rounded up. `None` if it exceeds the range of 49 days.
    fn after(silence: Duration) -> Option<Self> {
        let millis = silence.as_micros().div_ceil(1000).max(1);
        u32::try_from(millis).ok().map(Self)
    }

    /// Whether a Ping was sent since the last input.
    fn is_sent(self) -> bool {
        self.0 > 0
    }

    fn silence(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl Deadlines {
    /// The deadlines of a connection that begins with the opening handshake.
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self { mark: now.checked_add(config.handshake_timeout), measured: None }
    }

    /// A phase begins that must end within a time limit.
    pub(super) fn begin_phase(&mut self, limit: Duration, now: Instant) {
        self.mark = now.checked_add(limit);
    }

    /// A phase begins that must end within the close timeout.
    pub(super) fn begin_closing(&mut self, config: &Config, now: Instant) {
        self.begin_phase(config.close_timeout, now);
    }

    /// Records a write that left output unsent, after the socket has accepted a number of bytes.
    pub(super) fn unsent(&mut self, accepted: usize, now: Instant) {
        let since = &mut self.measured.get_or_insert_default().unsent_since;
        if accepted > 0 || since.is_none() {
            *since = Some(now);
        }
    }

    /// Records that all output has been sent.
    #[inline]
    pub(super) fn sent(&mut self) {
        if let Some(measured) = &mut self.measured {
            measured.unsent_since = None;
            self.release();
        }
    }

    /// Records input that belongs to an unfinished message.
    fn message_grows(&mut self, len: usize, now: Instant) {
        let message = &mut self.measured.get_or_insert_default().message;
        let progress = message.get_or_insert(Progress { since: now, received: 0 });
        progress.received = progress.received.saturating_add(len);
    }

    /// Records that no message is in progress.
    pub(super) fn message_ends(&mut self) {
        if let Some(measured) = &mut self.measured {
            measured.message = None;
            self.release();
        }
    }

    fn release(&mut self) {
        self.measured.take_if(|it| it.unsent_since.is_none() && it.message.is_none() && it.pong.is_none());
    }

    /// Stores the payload of a Ping, in place of an earlier one, until output has been written.
    ///
    /// There is at most one. §5.5.3: an endpoint that has not yet replied to earlier Pings "MAY elect to send a Pong frame for only
    /// the most recently processed Ping frame".
    pub(super) fn set_pong(&mut self, payload: Vec<u8>) {
        self.measured.get_or_insert_default().pong = Some(payload);
    }

    /// Takes out the payload of the Pong that waits.
    #[inline]
    pub(super) fn take_pong(&mut self) -> Option<Vec<u8>> {
        let payload = self.measured.as_mut()?.pong.take();
        if payload.is_some() {
            self.release();
        }
        payload
    }

    fn idle(&self, config: &Config) -> Option<Instant> {
        self.mark?.checked_add(config.idle_timeout?)
    }

    /// A Ping is due once both the last sign of the peer and our last Ping are `ping_interval` ago.
    fn ping(&self, pinged: Pinged, config: &Config) -> Option<Instant> {
        self.mark?.checked_add(pinged.silence())?.checked_add(ping_interval(config)?)
    }

    /// Begins the silence anew if the first Ping should have been sent long ago.
    ///
    /// A program can leave its socket alone for longer than the idle timeout. The peer must then have the time to answer.
    fn forgive_late_ping(&mut self, pinged: Pinged, config: &Config, now: Instant) {
        let interval = ping_interval(config).filter(|interval| Some(*interval) < config.idle_timeout);
        let interval = interval.filter(|_| !pinged.is_sent());
        let late_by = interval.and_then(|interval| self.silence(now).checked_sub(interval));
        if let Some(late_by) = late_by.filter(|late_by| *late_by > LATE_PING) {
            self.skip(late_by);
        }
    }

    /// How long the peer of an open connection has been silent.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        self.mark.map_or(Duration::ZERO, |input| now.saturating_duration_since(input))
    }

    /// Time has passed that does not count: the last sign of the peer, and a Ping after it, are later by as much.
    fn skip(&mut self, time: Duration) {
        self.mark = self.mark.and_then(|input| input.checked_add(time)).or(self.mark);
    }

    /// When the rate of an unfinished message is checked.
    fn rate_check(&self) -> Option<Instant> {
        self.measured.as_ref()?.message.as_ref()?.since.checked_add(RATE_PERIOD)
    }

    /// When unsent output without progress ends the connection.
    fn stalled(&self, timeout: Option<Duration>) -> Option<Instant> {
        self.measured.as_ref()?.unsent_since?.checked_add(timeout?)
    }

    /// What ends an open connection, or makes it send a Ping.
    fn while_open(&self, pinged: Pinged, config: &Config, is_reading: bool) -> Option<Instant> {
        let stalled = self.stalled(config.write_timeout);
        if !is_reading {
            return stalled;
        }
        let silence = earliest(self.idle(config), self.ping(pinged, config));
        earliest(silence, earliest(self.rate_check(), stalled))
    }
}

/// A connection cannot send Pings without a pause, so an interval of zero means none.
fn ping_interval(config: &Config) -> Option<Duration> {
    config.ping_interval.filter(|interval| !interval.is_zero())
}

impl Core {
    /// Returns when [`tick`](Self::tick) must be called, or `None` if nothing depends on time.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open => self.deadlines.while_open(self.pinged, &self.config, !self.receiver.is_paused),
            Phase::Closed => None,
            // There is always a limit, so that a connection ends.
            phase if phase.awaits_flush() => {
                self.deadlines.stalled(self.config.write_timeout.or(Some(self.config.close_timeout)))
            }
            _ => self.deadlines.mark,
        }
    }

    /// Does what is due, except that a Ping is returned.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Frame>, ProtocolError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        match self.phase {
            Phase::Open => self.next_due_while_open(now),
            Phase::Opening(_) => {
                self.fail(ProtocolError::HandshakeTimeout, now, out);
                Err(ProtocolError::HandshakeTimeout)
            }
            Phase::Answering { .. } => {
                self.fail(ProtocolError::ResponseTimeout, now, out);
                Err(ProtocolError::ResponseTimeout)
            }
            _ if self.phase.awaits_flush() => self.end_with(ProtocolError::WriteTimeout),
            // The peer has not replied to our Close.
            Phase::CloseSent { .. } => self.end_with(ProtocolError::ConnectionLost),
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.phase = Phase::Closed;
                Ok(None)
            }
        }
    }

    fn next_due_while_open(&mut self, now: Instant) -> Result<Option<Frame>, ProtocolError> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.deadlines.forgive_late_ping(self.pinged, &self.config, now);
        let (deadlines, config) = (&self.deadlines, &self.config);
        if is_due(deadlines.stalled(config.write_timeout)) {
            return self.end_with(ProtocolError::WriteTimeout);
        }
        if self.receiver.is_paused {
            return Ok(None);
        }
        if is_due(deadlines.idle(config)) {
            return self.end_with(ProtocolError::IdleTimeout);
        }
        if is_due(deadlines.rate_check()) {
            self.check_rate(now)?;
        }
        if !is_due(self.deadlines.ping(self.pinged, &self.config)) {
            return Ok(None);
        }
        note_ping(self, now);
        self.receiver.has_automatic_pings = true;
        Ok(Some(Frame::ping(AUTOMATIC_PING.to_vec())))
    }

    fn end_with<T>(&mut self, err: ProtocolError) -> Result<T, ProtocolError> {
        self.phase = Phase::Closed;
        Err(err)
    }

    /// Fails the connection if too little of the message in progress has arrived. Otherwise the next period begins.
    fn check_rate(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let Some(progress) = self.deadlines.measured.as_mut().and_then(|measured| measured.message.as_mut())
        else {
            return Ok(());
        };
        let period = usize::try_from(now.saturating_duration_since(progress.since).as_secs());
        let least = self.config.min_message_rate.saturating_mul(period.unwrap_or(usize::MAX));
        if progress.received < least {
            self.fail_open(now);
            return Err(ProtocolError::SlowMessage);
        }
        *progress = Progress { since: now, received: 0 };
        Ok(())
    }

    /// Records input of an open connection, for the rate of the message in progress. Control frames are no progress.
    pub(super) fn measure_message(&mut self, consumed: usize, is_control: bool, now: Instant) {
        if !self.receiver.awaits_rest() {
            self.deadlines.message_ends();
        } else if !is_control && self.config.min_message_rate > 0 {
            self.deadlines.message_grows(consumed, now);
        }
    }

    /// Records that the front end reads again. The silence before the pause counts, so that a peer does not stay because the front
    /// end pauses often.
    pub(super) fn resume_reading(&mut self, now: Instant) {
        if !std::mem::take(&mut self.receiver.is_paused) {
            return;
        }
        if matches!(self.phase, Phase::Open) {
            let silence = Duration::from_millis(self.receiver.silence.into());
            self.deadlines.skip(self.deadlines.silence(now).saturating_sub(silence));
        }
        if let Some(progress) =
            self.deadlines.measured.as_mut().and_then(|measured| measured.message.as_mut())
        {
            *progress = Progress { since: now, received: 0 };
        }
    }
}

/// Records that a Ping is sent.
fn note_ping(core: &mut Core, now: Instant) {
    match Pinged::after(core.deadlines.silence(now)) {
        Some(pinged) => core.pinged = pinged,
        // A silence of more than 49 days begins anew.
        None => note_input(core, now),
    }
}

/// Records input of an open connection.
#[inline(always)]
pub(super) fn note_input(core: &mut Core, now: Instant) {
    core.deadlines.mark = Some(now);
    core.pinged = Pinged::default();
}

pub(super) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
