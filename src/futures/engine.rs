//! One connection: its stream, its protocol, and what waits in between.
//!
//! Everything that a future could lose when it is dropped lives here. Whoever polls drives both directions: reads as long as
//! nobody owes the program anything, and writes what is to be written, so that Pings and the Close are answered
//! whatever the program awaits.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::Transport;
use super::input::Input;
use super::output::Output;
use super::timer::{Alarm, Timer};
use crate::close::{CloseCode, Closed};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::Body;
use crate::protocol::{Connection, Event, Frame, ProtocolError, State};

/// Most events that wait for the program. Only control frames come to so many: there is one message at most.
const MAX_WAITING: usize = 16;

/// How often one poll goes on before others get their turn.
const TURNS: u32 = 64;

/// What was received, and waits for the program.
#[derive(Debug)]
pub(super) enum Item {
    Event(Event),
    /// A frame that has been acted on, and what became of it.
    Frame(Frame, Option<Event>),
}

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
    pub(super) core: Connection,
    input: Input,
    output: Output,
    inbox: VecDeque<Item>,
    /// Whether the program looks at frames.
    pub(super) by_frame: bool,
    /// Why the connection has failed; told when the peer has been told.
    error: Option<Error>,
    has_failed: bool,
    /// Output that was accepted has not been written.
    has_lost_output: bool,
    /// The peer has ended its side.
    has_ended: bool,
    ending: Ending,
    /// The body of a response that rejects us; while there is one, the stream stays open.
    body: Option<Body>,
    closed: Option<Closed>,
    alarm: Alarm,
    max_buffered: usize,
    max_body: usize,
    /// Changes with everything that somebody else may be waiting for.
    pub(super) progress: u64,
}

impl<S: Transport> Engine<S> {
    pub(super) fn new(stream: S, core: Connection, unwritten: Vec<u8>, limits: Limits) -> Self {
        let mut output = Output::default();
        *output.buffer() = unwritten;
        Self {
            stream: Some(stream),
            core,
            input: Input::default(),
            output,
            inbox: VecDeque::new(),
            by_frame: false,
            error: None,
            has_failed: false,
            has_lost_output: false,
            has_ended: false,
            ending: Ending::Not,
            body: None,
            closed: None,
            alarm: Alarm::new(limits.timer),
            max_buffered: limits.max_buffered,
            max_body: limits.max_body,
            progress: 0,
        }
    }

    /// Begins with what someone else has read.
    pub(super) fn read_ahead(&mut self, bytes: Vec<u8>) {
        self.input = Input::of(bytes);
    }

    pub(super) fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Gives up the stream, and what was read from it and not looked at.
    pub(super) fn take_stream(&mut self) -> Option<(S, Vec<u8>)> {
        let stream = self.stream.take()?;
        self.core.abandon();
        self.progress += 1;
        Some((stream, self.input.take()))
    }

    /// How much is to be written, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.output.len()
    }

    /// How the connection has ended; `None` before.
    pub(super) fn closed(&self) -> Option<Closed> {
        let closed = self.closed.clone().filter(|_| !self.has_failed);
        self.is_over().then(|| closed.unwrap_or_else(Closed::abnormal))
    }

    /// Lets the protocol say something, which goes out with the next thing that is driven.
    pub(super) fn say(
        &mut self,
        say: impl FnOnce(&mut Connection, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        if self.stream.is_none() || self.has_lost_output {
            return Err(ProtocolError::NotOpen.into());
        }
        if self.output.len() >= self.max_buffered {
            return Err(Error::new(ErrorKind::Capacity, "too much waits to be sent"));
        }
        Ok(say(&mut self.core, Instant::now(), self.output.buffer())?)
    }

    /// Waits for what comes next: `None` once the connection has ended, after the error if there is one.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Item>>> {
        if self.inbox.is_empty() {
            self.drive(cx);
        }
        if let Some(item) = self.inbox.pop_front() {
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
            let is_whole = body.push(self.input.unread());
            self.input.keep(0);
            if is_whole || self.alarm.poll(until, cx).is_ready() {
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
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let away = CloseCode::Away;
        if self.core.state() == State::Open {
            let _ = self.say(|core, now, out| core.close(away, "", now, out));
        }
        if let Some(mut stream) = self.stream.take() {
            let written = self.output.poll_write(&mut stream, cx);
            if matches!(written, Poll::Ready(Ok(()))) && self.output.poll_flush(&mut stream, cx).is_ready() {
                let _ = Pin::new(&mut stream).poll_close(cx);
            }
        }
        self.core.abandon();
        self.progress += 1;
    }

    /// Whether the program has been given everything, and been told of the end.
    pub(super) fn is_spent(&self) -> bool {
        self.is_over() && self.inbox.is_empty() && self.error.is_none()
    }

    pub(super) fn is_over(&self) -> bool {
        self.core.state() == State::Closed && (self.ending == Ending::Done || self.stream.is_none())
    }

    /// Notes why the connection has failed. The first reason counts.
    pub(super) fn fail(&mut self, err: impl Into<Error>) {
        self.error.get_or_insert(err.into());
        self.has_failed = true;
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
        cx.waker().wake_by_ref();
    }

    /// Does what is due by the clock; returns whether there was anything.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alarm.poll(self.core.deadline(), cx).is_pending() {
            return false;
        }
        match self.core.tick(Instant::now(), self.output.buffer()) {
            Ok(Some(ping)) => self.send(ping),
            Ok(None) => {}
            Err(err) => self.fail(err),
        }
        true
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.core.state() == State::Closed && self.output.discard() {
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
            Poll::Pending => return self.core.hold_pongs(),
            Poll::Ready(Err(err)) => return self.stop_writing(err),
            Poll::Ready(Ok(())) => {}
        }
        if let Some(pong) = self.core.release_pongs() {
            self.send(pong);
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
        let is_due =
            self.core.flushed(Instant::now()) || (self.core.state() == State::Closed && self.body.is_none());
        if is_due && self.ending == Ending::Not {
            self.ending = Ending::Due;
        }
        let Some(stream) = &mut self.stream else { return };
        // Once nothing is awaited, a stream that cannot even end is dropped as it is.
        if self.ending == Ending::Due
            && (Pin::new(stream).poll_close(cx).is_ready() || self.core.state() == State::Closed)
        {
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
        if self.closed.is_none() {
            self.error.get_or_insert(err.into());
        }
    }

    /// Takes the next event out of the input; returns whether there was anything.
    fn process(&mut self) -> bool {
        if self.input.is_empty() || self.body.is_some() || !self.has_room() {
            return false;
        }
        let now = Instant::now();
        let mut unread = self.input.unread();
        let before = unread.len();
        let received = match self.by_frame && self.core.state() != State::Connecting {
            true => receive_frame(&mut self.core, &mut unread, now, self.output.buffer()),
            false => receive_event(&mut self.core, &mut unread, now, self.output.buffer()),
        };
        let left = unread.len();
        self.input.keep(left);
        match received {
            Ok(Some(item)) => self.push(item),
            Ok(None) => return left < before,
            Err(err) => {
                if let Some(close) = self.core.failure(err) {
                    self.send(close);
                }
                self.fail(err);
            }
        }
        true
    }

    fn push(&mut self, item: Item) {
        self.progress += 1;
        match &item {
            Item::Event(Event::Close(code, reason)) | Item::Frame(_, Some(Event::Close(code, reason))) => {
                // Told once all was written, it is no error that the peer has gone.
                self.error = None;
                self.closed = Some(Closed { code: *code, reason: reason.clone(), was_clean: true });
            }
            Item::Event(Event::Rejected(response)) => self.body = Some(Body::of(response, self.max_body)),
            _ => {}
        }
        if self.inbox.len() < MAX_WAITING {
            self.inbox.push_back(item);
        }
    }

    /// Reads; returns whether there was anything.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let is_done = self.has_ended || self.body.is_some() || self.core.state() == State::Closed;
        if is_done || !self.input.is_empty() || !self.core.wants_input() || !self.has_room() {
            return false;
        }
        let Some(stream) = self.stream.as_mut() else { return false };
        match Pin::new(stream).poll_read(cx, self.input.room(self.core.missing())) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => {
                self.has_ended = true;
                if let Err(err) = self.core.receive_eof() {
                    self.fail(err);
                }
            }
            Poll::Ready(Ok(len)) => self.input.filled(len),
            Poll::Ready(Err(err)) if err.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(err)) => {
                self.has_ended = true;
                // After the Close of the peer it does not matter how TCP ends (§7.1.1).
                self.core.abandon();
                if self.closed.is_none() {
                    self.fail(err);
                }
            }
        }
        true
    }

    /// Whether the program can be given more: not before it has taken the message that waits. After our own Close no
    /// message comes any more.
    fn has_room(&self) -> bool {
        self.core.state().is_ending()
            || (self.inbox.len() < MAX_WAITING && !self.inbox.iter().any(Item::is_data))
    }

    fn send(&mut self, frame: Frame) {
        // What cannot be sent any more need not be.
        let _ = self.core.send_frame(frame, Instant::now(), self.output.buffer());
    }
}

/// What holds for a connection beside the configuration of the core.
pub(super) struct Limits {
    pub(super) timer: Option<Timer>,
    pub(super) max_buffered: usize,
    pub(super) max_body: usize,
}

impl Item {
    fn is_data(&self) -> bool {
        match self {
            Self::Event(event) => !is_control(event),
            Self::Frame(frame, _) => !frame.is_control(),
        }
    }

    /// What became of it, if that is an event.
    pub(super) fn into_event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Frame(_, event) => event,
        }
    }
}

fn is_control(event: &Event) -> bool {
    matches!(event, Event::Ping(_) | Event::Pong(_) | Event::Close(..))
}

/// Takes the next event. With `Answers::Manual`, it is the program that answers.
fn receive_event(
    core: &mut Connection,
    input: &mut &mut [u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> std::result::Result<Option<Item>, ProtocolError> {
    while let Some(event) = core.receive(input, now, out)? {
        let event = match event {
            Event::Frame(frame) => core.accept(frame, now, out)?,
            event => Some(event),
        };
        if let Some(event) = event {
            return Ok(Some(Item::Event(event)));
        }
    }
    Ok(None)
}

/// Takes the next frame, and acts on it.
fn receive_frame(
    core: &mut Connection,
    input: &mut &mut [u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> std::result::Result<Option<Item>, ProtocolError> {
    let Some(frame) = core.receive_frame(input, now, out)? else { return Ok(None) };
    let event = core.accept(frame.clone(), now, out)?;
    Ok(Some(Item::Frame(frame, event)))
}
