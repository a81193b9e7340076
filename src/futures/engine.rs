//! One connection: its stream, its session, and the input and output between them.
//!
//! Everything that would be lost with a dropped future lives here. Each poll drives both directions: it reads while the
//! receive queue has room, and writes the output. Thus Pings and the Close are answered whatever the program awaits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::Transport;
use super::budget::Budget;
use super::item_queue::ItemQueue;
use super::output::OutputBuffer;
use super::timer::{DeadlineTimer, Timer};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Body, Request, Response};
use crate::protocol::{Event, Frame, OpCode, ProtocolError, SharedMessage, State};
use crate::socket::output_queue::SharedOutput;
use crate::socket::read_buffer::ReadBuffer;
use crate::socket::session::{Item, Session, Unit};
use crate::socket::{Error, Result};

/// How much is read at once, in bytes.
const CHUNK: usize = 8 * 1024;

/// What a step has led to.
enum Progress {
    /// Nothing can be done before something happens.
    None,
    Some,
    Item(Item),
}

/// The state of our side of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteSide {
    Open,
    /// It is being closed.
    Closing,
    Closed,
}

pub(super) struct Engine<S> {
    /// Present until the program takes it.
    stream: Option<S>,
    pub(super) session: Session,
    input: ReadBuffer,
    output: OutputBuffer,
    received: ItemQueue,
    /// Whether the program receives events or frames.
    pub(super) unit: Unit,
    /// Why the connection has failed. It is returned once, after the Close for the peer has been written. Boxed, because few
    /// connections have one at a time, and all have room for it.
    error: Option<Box<Error>>,
    /// Whether output that was accepted could not be written.
    has_lost_output: bool,
    /// The length of this output, in bytes.
    lost_len: usize,
    /// Whether the peer has ended its side of the stream.
    has_ended: bool,
    /// Whether reading has paused because the program does not receive. The peer cannot be blamed for that.
    is_paused: bool,
    write_side: WriteSide,
    /// The body of a response that rejects a client. While it is being read, the stream stays open.
    body: Option<Box<Body>>,
    timer: DeadlineTimer,
    max_buffered: usize,
    pub(super) high_water: usize,
    max_body: usize,
    /// Changes with everything that another task may be waiting for.
    pub(super) progress: u64,
    /// What the task that polls may still do before it must return to its executor.
    pub(super) budget: Budget,
}

/// The options of a connection that the core does not know.
pub(super) struct EngineOptions {
    pub(super) timer: Option<Timer>,
    pub(super) max_buffered: usize,
    pub(super) high_water: usize,
    pub(super) max_body: usize,
}

impl<S: Transport> Engine<S> {
    pub(super) fn new(stream: S, mut session: Session, unwritten: Vec<u8>, options: EngineOptions) -> Self {
        session.decompress_in_steps();
        Self {
            stream: Some(stream),
            session,
            input: ReadBuffer::new(Vec::new()),
            output: OutputBuffer::new(unwritten),
            received: ItemQueue::default(),
            unit: Unit::Event,
            error: None,
            has_lost_output: false,
            lost_len: 0,
            has_ended: false,
            is_paused: false,
            write_side: WriteSide::Open,
            body: None,
            timer: DeadlineTimer::new(options.timer),
            max_buffered: options.max_buffered,
            high_water: options.high_water,
            max_body: options.max_body,
            progress: 0,
            budget: Budget::default(),
        }
    }

    /// Starts with bytes that have been read already.
    pub(super) fn read_ahead(&mut self, bytes: Vec<u8>) {
        self.input = ReadBuffer::new(bytes);
    }

    pub(super) fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Takes out the stream, and what was read from it and not processed.
    pub(super) fn take_stream(&mut self) -> Option<(S, Vec<u8>)> {
        let stream = self.stream.take()?;
        self.session.connection.abandon();
        self.progress += 1;
        Some((stream, self.input.take()))
    }

    /// The number of bytes that are waiting to be written.
    pub(super) fn buffered(&self) -> usize {
        self.output.len()
    }

    pub(super) fn state(&self) -> State {
        self.session.connection.state()
    }

    /// The state of the connection, which is closed only once the stream has ended as well.
    pub(super) fn observed_state(&self) -> State {
        match self.state() {
            _ if self.closed().is_some() => State::Closed,
            State::Closed => State::Closing,
            state => state,
        }
    }

    /// How the connection has ended, or `None` if it has not.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.is_over().then(|| self.session.closed().unwrap_or_else(Closed::abnormal))
    }

    /// Appends a message to the output.
    pub(super) fn send(&mut self, message: Message) -> Result<()> {
        self.check_writable()?;
        if self.is_full() {
            return Err(Error::Full(message));
        }
        Ok(self.session.send(message, Instant::now(), self.output.queue())?)
    }

    /// Appends a message that other connections send as well.
    pub(super) fn send_shared(&mut self, message: &SharedMessage) -> Result<()> {
        self.check_writable()?;
        let frame = message.frame().clone();
        if self.is_full() {
            return Err(Error::FullFrame(Box::new(frame)));
        }
        let mut out = SharedOutput(self.output.queue());
        Ok(self.session.send_frame(frame, Instant::now(), &mut out)?)
    }

    /// Appends a message to the output, or returns it if it is not accepted now.
    pub(super) fn offer(&mut self, message: Message) -> Result<Option<Message>> {
        let can_send = self.session.connection.can_send(OpCode::Text);
        if !can_send || self.check_writable().is_err() || self.is_full() {
            return Ok(Some(message));
        }
        self.session.send(message, Instant::now(), self.output.queue())?;
        Ok(None)
    }

    /// The number of bytes that were accepted, and that the stream has not accepted.
    pub(super) fn unsent(&self) -> usize {
        self.lost_len.saturating_add(self.output.len())
    }

    /// Appends a frame to the output.
    pub(super) fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.check_writable()?;
        if self.is_full() {
            return Err(Error::FullFrame(Box::new(frame)));
        }
        Ok(self.session.send_frame(frame, Instant::now(), self.output.queue())?)
    }

    /// Appends the response of a server to the output.
    pub(super) fn respond(&mut self, request: &Request, response: &mut Response) -> Result<()> {
        self.check_writable()?;
        Ok(self.session.respond(request, response, Instant::now(), self.output.buffer())?)
    }

    fn check_writable(&self) -> Result<()> {
        if self.stream.is_none() || self.has_lost_output { Err(Error::Closed) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.output.len() >= self.max_buffered
    }

    /// Begins to close, or answers the Close of the peer. `max_buffered` does not apply.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        Ok(self.session.close(code, reason, Instant::now(), self.output.buffer())?)
    }

    /// Waits for the next item; `None` once the connection has ended, after the error if there is one.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Item>>> {
        if let Some(item) = self.received.pop() {
            return Poll::Ready(Ok(Some(item)));
        }
        if let Some(item) = self.advance(cx) {
            // The reply is sent at once, and a connection that always has input has deadlines, too.
            self.write(cx);
            self.tick(cx);
            return Poll::Ready(Ok(Some(item)));
        }
        if !self.is_over() {
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map_or(Ok(None), |err| Err(*err)))
    }

    /// Waits until at most `most` bytes are waiting to be written. For zero, it also flushes the stream.
    pub(super) fn poll_flush(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx);
        if self.has_lost_output {
            return Poll::Ready(Err(ProtocolError::ConnectionLost.into()));
        }
        let is_done = if most == 0 { self.output.is_flushed() } else { self.output.len() <= most };
        if is_done || self.is_over() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits for the end. Items that arrive meanwhile are dropped once the receive queue is full.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.drive(cx);
        self.closed().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the body of a response that rejects a client.
    pub(super) fn poll_body(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        while let (Some(body), Some(stream)) = (&mut self.body, &mut self.stream) {
            if body.push(&self.input.take()) || self.timer.poll(until, cx).is_ready() {
                break;
            }
            match ready!(Pin::new(stream).poll_read(cx, self.input.room(CHUNK, 0))) {
                Ok(0) | Err(_) => break,
                Ok(len) => self.input.filled(len),
            }
        }
        self.input.release();
        Poll::Ready(self.body.take().map(|body| body.finish()).unwrap_or_default())
    }

    /// Sends a Close with 1001 if that is possible without waiting, and drops the stream.
    pub(super) fn leave(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Some(mut stream) = self.stream.take() {
            self.session.leave(Instant::now(), self.output.buffer());
            // The last bytes have no budget.
            let written = self.output.poll_write(&mut stream, cx, usize::MAX).1;
            if matches!(written, Poll::Ready(Ok(()))) && self.output.poll_flush(&mut stream, cx).is_ready() {
                let _ = Pin::new(&mut stream).poll_close(cx);
            }
        }
        self.session.connection.abandon();
        self.progress += 1;
    }

    /// Whether the program has received everything, including the error.
    pub(super) fn is_spent(&self) -> bool {
        self.is_over() && self.received.is_empty() && self.error.is_none()
    }

    fn is_over(&self) -> bool {
        self.state() == State::Closed && (self.write_side == WriteSide::Closed || self.stream.is_none())
    }

    /// Records why the connection has failed. Only the first error is kept.
    pub(super) fn fail(&mut self, err: impl Into<Error>) {
        self.error.get_or_insert_with(|| Box::new(err.into()));
        self.progress += 1;
    }

    /// Does everything that can be done now, in both directions. Items wait for the program.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        while let Some(item) = self.advance(cx) {
            self.progress += 1;
            self.received.push(item);
        }
    }

    /// Does everything that can be done now, in both directions, up to the next item.
    fn advance(&mut self, cx: &mut Context<'_>) -> Option<Item> {
        while !self.budget.is_spent() {
            self.write(cx);
            match self.process() {
                Progress::Item(item) => return Some(item),
                Progress::Some => self.budget.spend_step(),
                // The clock comes last, because everything before may have moved the deadline.
                Progress::None if self.fill(cx) || self.tick(cx) => self.budget.spend_step(),
                // If the budget is spent, the stream may not have been asked to wake the task.
                Progress::None if self.budget.is_spent() => {}
                Progress::None => {
                    self.received.release();
                    return None;
                }
            }
        }
        self.tick(cx);
        cx.waker().wake_by_ref();
        None
    }

    /// Does what is due at this time, and returns whether there was anything.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        if self.timer.poll(self.session.connection.deadline(), cx).is_pending() {
            return false;
        }
        if let Err(err) = self.session.tick(Instant::now(), self.output.buffer_for_reply()) {
            self.fail(err);
        }
        true
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.state() == State::Closed && !self.output.is_flushed() {
            self.lose_output();
        }
        let Some(stream) = &mut self.stream else { return };
        if self.has_lost_output {
            self.lose_output();
            return self.end(cx);
        }
        let (len, written) = self.output.poll_write(stream, cx, self.budget.bytes_left());
        self.budget.spend_bytes(len);
        self.progress += u64::from(len > 0);
        match written {
            Poll::Pending => return self.session.connection.unsent(len, Instant::now()),
            Poll::Ready(Err(err)) => return self.stop_writing(err),
            Poll::Ready(Ok(())) => {}
        }
        if self.session.send_pending_pong(Instant::now(), self.output.buffer_for_reply()) {
            return self.write(cx);
        }
        match self.output.poll_flush(stream, cx) {
            Poll::Pending => return self.session.connection.unsent(0, Instant::now()),
            Poll::Ready(Err(err)) => return self.stop_writing(err),
            Poll::Ready(Ok(())) => {}
        }
        self.end(cx);
    }

    /// Everything is written: closes our side of the stream, if that comes next (§7.1.1).
    fn end(&mut self, cx: &mut Context<'_>) {
        let is_closed = self.state() == State::Closed;
        if (self.session.connection.flushed(Instant::now()) || (is_closed && self.body.is_none()))
            && self.write_side == WriteSide::Open
        {
            self.write_side = WriteSide::Closing;
        }
        let is_closed = self.state() == State::Closed;
        let Some(stream) = &mut self.stream else { return };
        // A closed connection does not wait for a stream that cannot be closed: the stream is dropped.
        if self.write_side == WriteSide::Closing && (Pin::new(stream).poll_close(cx).is_ready() || is_closed)
        {
            self.write_side = WriteSide::Closed;
            self.progress += 1;
        }
    }

    fn lose_output(&mut self) {
        self.lost_len = self.unsent();
        self.output.discard();
        self.has_lost_output = true;
    }

    /// Writing has failed. Reading goes on, because the peer may have sent something before.
    fn stop_writing(&mut self, err: io::Error) {
        self.lose_output();
        self.progress += 1;
        // After the Close of the peer this does not matter.
        if !self.session.has_received_close() {
            self.error.get_or_insert_with(|| Box::new(Error::ConnectionLost(err)));
        }
    }

    /// Processes input up to the next item.
    fn process(&mut self) -> Progress {
        if self.session.is_decompressing() {
            return self.decompress();
        }
        if self.input.is_empty() || self.body.is_some() || !self.has_room() {
            return Progress::None;
        }
        let before = self.input.len();
        let out = self.output.buffer_for_reply();
        let received = self.session.receive(&mut self.input, self.unit, Instant::now(), out);
        let processed = before.saturating_sub(self.input.len());
        self.budget.spend_bytes(processed);
        match received {
            Ok(Some(item)) => {
                self.budget.spend_step();
                // An inflated message costs more than its input.
                self.budget.spend_bytes(item.len().saturating_sub(processed));
                self.note(&item);
                Progress::Item(item)
            }
            Ok(None) if processed == 0 => Progress::None,
            Ok(None) => Progress::Some,
            Err(err) => {
                self.fail(err);
                Progress::Some
            }
        }
    }

    /// Decompresses the next part of a long message. Others come first after each part.
    fn decompress(&mut self) -> Progress {
        self.budget.spend_rest();
        match self.session.decompress(Instant::now(), self.output.buffer_for_reply()) {
            Ok(Some(item)) => Progress::Item(item),
            Ok(None) => Progress::Some,
            Err(err) => {
                self.fail(err);
                Progress::Some
            }
        }
    }

    /// Records what follows from an item.
    fn note(&mut self, item: &Item) {
        match item.event() {
            Some(Event::Close(..)) => {
                self.progress += 1;
                // It is no error that writing has failed: the peer has closed.
                self.error = None;
            }
            Some(Event::Rejected(response)) => {
                self.body = Some(Box::new(Body::of(response, self.max_body)));
            }
            _ => {}
        }
    }

    /// Reads, and returns whether there was anything.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        self.update_pause();
        let connection = &self.session.connection;
        let is_done = self.has_ended || self.body.is_some() || self.state() == State::Closed;
        if is_done || !self.input.is_empty() || !connection.wants_input() || !self.has_room() {
            return false;
        }
        let Some(stream) = self.stream.as_mut() else { return false };
        let read = Pin::new(stream).poll_read(cx, self.input.room(CHUNK, connection.missing()));
        if !matches!(read, Poll::Ready(Ok(1..))) {
            self.input.release();
        }
        match read {
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
                if self.session.on_read_error() {
                    self.fail(Error::ConnectionLost(err));
                }
            }
        }
        true
    }

    /// Informs the core whether the connection reads.
    fn update_pause(&mut self) {
        let has_room = self.has_room();
        if has_room == self.is_paused {
            self.is_paused = !has_room;
            match has_room {
                true => self.session.connection.resume_reading(Instant::now()),
                false => self.session.connection.pause_reading(Instant::now()),
            }
        }
    }

    /// Whether more can be received. After our own Close no more messages are delivered.
    fn has_room(&self) -> bool {
        self.state().is_ending() || self.received.has_room()
    }
}
