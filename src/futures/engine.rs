//! One connection: its stream, its protocol, and what waits in between.
//!
//! Everything that a future could lose when it is dropped lives here. Whoever polls drives both directions: reads as long as
//! nobody owes the program anything, and writes what is to be written, so that Pings and the Close are answered
//! whatever the program awaits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::Transport;
use super::inbox::Inbox;
use super::output::Output;
use super::timer::{Alarm, Timer};
use crate::close::{CloseCode, Closed};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::Body;
use crate::protocol::{Event, ProtocolError, State};
use crate::socket::read_buffer::Input;
use crate::socket::session::{Item, Session, Unit};

/// How much is read at once, in bytes.
const CHUNK: usize = 8 * 1024;

/// How often one poll goes on before others get their turn.
const TURNS: u32 = 64;

/// How far the end of the stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Our side is open.
    Not,
    /// Our side is to be ended.
    Due,
    /// Our side has been ended.
    Done,
}

pub(super) struct Engine<S> {
    /// There until the program takes it.
    stream: Option<S>,
    pub(super) session: Session,
    input: Input,
    output: Output,
    inbox: Inbox,
    /// What the program looks at.
    pub(super) unit: Unit,
    /// Why the connection has failed; told when the peer has been told.
    error: Option<Error>,
    /// Output that was accepted has not been written.
    has_lost_output: bool,
    /// The peer has ended its side.
    has_ended: bool,
    ending: Ending,
    /// The body of a response that rejects us; while there is one, the stream stays open.
    body: Option<Body>,
    alarm: Alarm,
    max_buffered: usize,
    max_body: usize,
    /// Changes with everything that somebody else may be waiting for.
    pub(super) progress: u64,
}

/// What holds for a connection beside the configuration of the core.
pub(super) struct Limits {
    pub(super) timer: Option<Timer>,
    pub(super) max_buffered: usize,
    pub(super) max_body: usize,
}

impl<S: Transport> Engine<S> {
    pub(super) fn new(stream: S, session: Session, unwritten: Vec<u8>, limits: Limits) -> Self {
        Self {
            stream: Some(stream),
            session,
            input: Input::new(Vec::new(), CHUNK),
            output: Output::new(unwritten),
            inbox: Inbox::default(),
            unit: Unit::Event,
            error: None,
            has_lost_output: false,
            has_ended: false,
            ending: Ending::Not,
            body: None,
            alarm: Alarm::new(limits.timer),
            max_buffered: limits.max_buffered,
            max_body: limits.max_body,
            progress: 0,
        }
    }

    /// Begins with what someone else has read.
    pub(super) fn read_ahead(&mut self, bytes: Vec<u8>) {
        self.input = Input::new(bytes, CHUNK);
    }

    pub(super) fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Gives up the stream, and what was read from it and not looked at.
    pub(super) fn take_stream(&mut self) -> Option<(S, Vec<u8>)> {
        let stream = self.stream.take()?;
        self.session.connection.abandon();
        self.progress += 1;
        Some((stream, self.input.take()))
    }

    /// How much is to be written, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.output.len()
    }

    pub(super) fn state(&self) -> State {
        self.session.connection.state()
    }

    /// How the connection has ended; `None` before.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.is_over().then(|| self.session.closed().unwrap_or_else(Closed::abnormal))
    }

    /// Lets the protocol say something, which goes out with the next thing that is driven.
    pub(super) fn say(
        &mut self,
        say: impl FnOnce(&mut Session, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        if self.stream.is_none() || self.has_lost_output {
            return Err(ProtocolError::NotOpen.into());
        }
        if self.output.len() >= self.max_buffered {
            return Err(Error::new(ErrorKind::Capacity, "too much waits to be sent"));
        }
        Ok(say(&mut self.session, Instant::now(), self.output.buffer())?)
    }

    /// Begins to close, or answers the Close of the peer. There is always room for that.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        Ok(self.session.close(code, reason, Instant::now(), self.output.buffer())?)
    }

    /// Waits for what comes next: `None` once the connection has ended, after the error if there is one.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Item>>> {
        if self.inbox.is_empty() {
            self.drive(cx);
        }
        if let Some(item) = self.inbox.pop() {
            return Poll::Ready(Ok(Some(item)));
        }
        if !self.is_over() {
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map_or(Ok(None), Err))
    }

    /// Waits until at most `most` bytes are still to be written, and, for none, have been flushed.
    pub(super) fn poll_flush(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx);
        if self.has_lost_output {
            return Poll::Ready(Err(ProtocolError::ConnectionLost.into()));
        }
        let is_done = if most == 0 { self.output.is_flushed() } else { self.output.len() <= most };
        if is_done || self.is_over() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits for the end; what still comes for the program is dropped when it is more than fits.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.drive(cx);
        self.closed().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the end of the body of a response that rejects us.
    pub(super) fn poll_body(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        while let (Some(body), Some(stream)) = (&mut self.body, &mut self.stream) {
            if body.push(&self.input.take()) || self.alarm.poll(until, cx).is_ready() {
                break;
            }
            match ready!(Pin::new(stream).poll_read(cx, self.input.room(0))) {
                Ok(0) | Err(_) => break,
                Ok(len) => self.input.filled(len),
            }
        }
        Poll::Ready(self.body.take().map(Body::finish).unwrap_or_default())
    }

    /// Tells the peer that nobody is there any more, as far as that can be done at once, and lets go of the stream.
    pub(super) fn leave(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Some(mut stream) = self.stream.take() {
            self.session.leave(Instant::now(), self.output.buffer());
            let written = self.output.poll_write(&mut stream, cx);
            if matches!(written, Poll::Ready(Ok(()))) && self.output.poll_flush(&mut stream, cx).is_ready() {
                let _ = Pin::new(&mut stream).poll_close(cx);
            }
        }
        self.session.connection.abandon();
        self.progress += 1;
    }

    /// Whether the program has been given everything, and been told of the end.
    pub(super) fn is_spent(&self) -> bool {
        self.is_over() && self.inbox.is_empty() && self.error.is_none()
    }

    fn is_over(&self) -> bool {
        self.state() == State::Closed && (self.ending == Ending::Done || self.stream.is_none())
    }

    /// Notes why the connection has failed. The first reason counts.
    pub(super) fn fail(&mut self, err: impl Into<Error>) {
        self.error.get_or_insert(err.into());
        self.progress += 1;
    }

    /// Does all that can be done now, in both directions.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        for _ in 0..TURNS {
            self.write(cx);
            // The clock comes last: all before may have moved the deadline that is to be waited for.
            if !self.process() && !self.fill(cx) && !self.tick(cx) {
                return;
            }
        }
        // Whoever always has something to read has deadlines, too.
        self.tick(cx);
        cx.waker().wake_by_ref();
    }

    /// Does what is due by the clock; returns whether there was anything.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alarm.poll(self.session.connection.deadline(), cx).is_pending() {
            return false;
        }
        if let Err(err) = self.session.tick(Instant::now(), self.output.buffer()) {
            self.fail(err);
        }
        true
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.state() == State::Closed && self.output.discard() {
            self.has_lost_output = true;
        }
        let Some(stream) = &mut self.stream else { return };
        if self.has_lost_output {
            self.output.discard();
            return self.end(cx);
        }
        let before = self.output.len();
        let written = self.output.poll_write(stream, cx);
        self.progress += u64::from(self.output.len() < before);
        match written {
            Poll::Pending => return self.session.connection.hold_pongs(),
            Poll::Ready(Err(err)) => return self.stop_writing(err),
            Poll::Ready(Ok(())) => {}
        }
        if self.session.release_pongs(Instant::now(), self.output.buffer()) {
            return self.write(cx);
        }
        match self.output.poll_flush(stream, cx) {
            Poll::Pending => return,
            Poll::Ready(Err(err)) => return self.stop_writing(err),
            Poll::Ready(Ok(())) => {}
        }
        self.end(cx);
    }

    /// All is written: ends our side of the stream, if that is next.
    fn end(&mut self, cx: &mut Context<'_>) {
        let is_closed = self.state() == State::Closed;
        if (self.session.connection.flushed(Instant::now()) || (is_closed && self.body.is_none()))
            && self.ending == Ending::Not
        {
            self.ending = Ending::Due;
        }
        let is_closed = self.state() == State::Closed;
        let Some(stream) = &mut self.stream else { return };
        // Once nothing is awaited, a stream that cannot even end is dropped as it is.
        if self.ending == Ending::Due && (Pin::new(stream).poll_close(cx).is_ready() || is_closed) {
            self.ending = Ending::Done;
            self.progress += 1;
        }
    }

    /// The peer takes nothing any more. It may have said something before, so that reading goes on.
    fn stop_writing(&mut self, err: io::Error) {
        self.output.discard();
        self.has_lost_output = true;
        self.progress += 1;
        // Who has heard the Close of the peer does not care.
        if !self.session.has_heard_close() {
            self.error.get_or_insert(err.into());
        }
    }

    /// Takes the next thing out of the input; returns whether there was anything.
    fn process(&mut self) -> bool {
        if self.input.is_empty() || self.body.is_some() || !self.has_room() {
            return false;
        }
        let before = self.input.len();
        match self.session.receive(&mut self.input, self.unit, Instant::now(), self.output.buffer()) {
            Ok(Some(item)) => self.push(item),
            Ok(None) => return self.input.len() < before,
            Err(err) => self.fail(err),
        }
        true
    }

    fn push(&mut self, item: Item) {
        self.progress += 1;
        match item.event() {
            // Told once all was written, it is no error that the peer has gone.
            Some(Event::Close(..)) => self.error = None,
            Some(Event::Rejected(response)) => self.body = Some(Body::of(response, self.max_body)),
            _ => {}
        }
        self.inbox.push(item);
    }

    /// Reads; returns whether there was anything.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let connection = &self.session.connection;
        let is_done = self.has_ended || self.body.is_some() || self.state() == State::Closed;
        if is_done || !self.input.is_empty() || !connection.wants_input() || !self.has_room() {
            return false;
        }
        let Some(stream) = self.stream.as_mut() else { return false };
        match Pin::new(stream).poll_read(cx, self.input.room(connection.missing())) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => {
                self.has_ended = true;
                if let Err(err) = self.session.receive_eof() {
                    self.fail(err);
                }
            }
            Poll::Ready(Ok(len)) => self.input.filled(len),
            Poll::Ready(Err(err)) if err.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(err)) => {
                self.has_ended = true;
                if self.session.lose() {
                    self.fail(err);
                }
            }
        }
        true
    }

    /// Whether the program can be given more. After our own Close no message comes any more.
    fn has_room(&self) -> bool {
        self.state().is_ending() || self.inbox.has_room()
    }
}
