//! A connection of the loop: a socket, the protocol, a handler, and what is queued for the peer.
//!
//! `events` brings what the peer sends to the handler, `commands` what senders ask for to the protocol, `transfer` moves
//! bytes between the socket and both.

mod commands;
mod events;
mod failing;
mod io;
mod redirect;

pub(super) use self::redirect::{Redirect, Redirected};
use super::accepting::listener::Addresses;
use super::api::handler::Handler;
use super::loop_state::{ConnectionId, LoopState, TimerEvent, TimerKind};
use super::queue::{Command, Phase, Target};
use super::timers::{Key, TimerList};
use super::transport::Socket;
use super::write_queue::WriteQueue;
use crate::close::CloseCode;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{self, Output as _, State};

/// A connection whose TCP is made.
#[derive(Debug)]
pub(super) struct Connection<H> {
    id: ConnectionId,
    socket: Socket,
    protocol: protocol::Connection,
    /// `None` for a client that was refused because the loop is full, and after the handler has panicked.
    handler: Option<H>,
    stage: Stage,
    /// What is queued for the peer, while there is any.
    output: Option<Box<WriteQueue>>,
    /// How much of what the status says is output, or was when it was last measured.
    reported_len: usize,
    /// What was read, and is more than the share of one turn.
    unread: Box<[u8]>,
    /// What matters only until the connection is open.
    early: Option<Box<Early>>,
    timers: TimerList,
    /// The alarm of the connection's own deadline.
    deadline: Option<Key>,
    flags: Flags,
}

/// What a connection has until it is open.
#[derive(Debug, Default)]
struct Early {
    /// What waits for that.
    commands: Vec<Command>,
    /// Where a client may be sent by the server.
    redirect: Option<Redirect>,
    /// What is known of a server's addresses.
    addresses: Option<Addresses>,
}

/// How far the handler has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `on_open` has not been called.
    Opening,
    /// `on_open` has been called, `on_close` has not.
    Opened,
    /// Nothing more is to be told.
    Ended,
}

/// Conditions of the socket and of the loop's lists, independent of each other.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// In the list of connections to flush.
    is_dirty: bool,
    /// In the list of connections to read from again.
    is_ready: bool,
    /// In the list of connections that have ended.
    is_dead: bool,
    /// The handler has failed, and a Close is queued: it gets no more messages.
    has_failed: bool,
    /// The handler wants no more messages for now.
    is_paused: bool,
    /// The socket may have more to read, which was not taken because of the pause, or because too much output waits.
    is_readable: bool,
    /// The peer has ended its side, which was not acted on for the same reason.
    has_ended: bool,
    /// The system has not taken all output: it will tell when it takes more.
    is_blocked: bool,
    /// The loop hears when the socket becomes writable.
    watches_writable: bool,
    /// All is said, and our side of the socket is to be ended.
    ends_writing: bool,
}

impl<H: Handler> Connection<H> {
    /// Takes over a socket; its protocol may have written the first output already.
    pub(super) fn new(
        id: ConnectionId,
        socket: Socket,
        protocol: protocol::Connection,
        handler: Option<H>,
        output: Option<Box<WriteQueue>>,
        timers: TimerList,
    ) -> Self {
        let flags = Flags { watches_writable: socket.interest().is_writable(), ..Flags::default() };
        Self {
            id,
            socket,
            protocol,
            handler,
            stage: Stage::Opening,
            output,
            reported_len: 0,
            unread: Box::default(),
            early: None,
            timers,
            deadline: None,
            flags,
        }
    }

    /// Whether the loop hears already when the socket becomes writable, as it does for one that has been connecting.
    pub(super) fn watches_writable(&mut self) {
        self.flags.watches_writable = true;
    }

    /// A client has come, from and to these addresses, if they are known already.
    pub(super) fn begin_as_server(&mut self, addresses: Option<Addresses>, state: &mut LoopState) {
        if addresses.is_some() {
            self.early = Some(Box::new(Early { addresses, ..Early::default() }));
        }
        self.update(state);
    }

    /// What was asked of a client before its TCP was made, and what it may still do if it is sent elsewhere.
    pub(super) fn begin_as_client(
        &mut self,
        commands: Vec<Command>,
        redirect: Redirect,
        state: &mut LoopState,
    ) {
        self.early = Some(Box::new(Early { commands, redirect: Some(redirect), addresses: None }));
        // The server may have spoken first, such as one that has no room: the event for that came to the dial.
        self.read_again(state);
        self.update(state);
    }

    /// The opening handshake was made elsewhere, and there some of what follows it was read.
    pub(super) fn begin_upgraded(
        &mut self,
        request: Request,
        response: Response,
        read_ahead: Vec<u8>,
        state: &mut LoopState,
    ) {
        self.on_open(request, response, state);
        self.unread = read_ahead.into();
        self.read_again(state);
        self.update(state);
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// What senders call this connection.
    fn target(&self) -> Target {
        Target::One { slot: self.id.slot, id: self.id.serial }
    }

    /// Whether the client is only told that there is no room: it never had a handler.
    pub(super) fn is_rejected(&self) -> bool {
        self.handler.is_none() && self.stage == Stage::Opening
    }

    /// Calls a method of the handler, unless it has panicked before.
    ///
    /// One that panics, and is let, is not called again: nobody knows what state it is in.
    #[inline]
    pub(super) fn call<R>(&mut self, state: &mut LoopState, method: impl FnOnce(&mut H) -> R) -> Option<R> {
        let handler = self.handler.as_mut()?;
        let called = state.guard(|| method(handler));
        if called.is_none() {
            self.dismiss_handler(state);
        }
        called
    }

    /// Calls a method of the handler that may fail, and acts on the error.
    #[inline]
    fn call_fallible<R>(
        &mut self,
        state: &mut LoopState,
        method: impl FnOnce(&mut H) -> crate::error::Result<R>,
    ) -> Option<R> {
        match self.call(state, method)? {
            Ok(value) => Some(value),
            Err(err) => {
                self.handle_error(err, state);
                None
            }
        }
    }

    /// Tells the handler, once, that the connection has ended.
    fn end(&mut self, code: CloseCode, reason: &str, state: &mut LoopState) {
        if self.stage == Stage::Opened {
            self.stage = Stage::Ended;
            self.show(Phase::Closed, state);
            self.call(state, |handler| handler.on_close(code, reason));
        }
    }

    /// Brings what others see of the connection up to date, after anything has happened to it: the status, the lists of
    /// the loop, the alarm.
    pub(in crate::reactor) fn update(&mut self, state: &mut LoopState) {
        let phase = self.protocol.state();
        let queued = self.measure(state);
        if phase.is_ending() && !self.is_redirecting() {
            self.show(Phase::Closing, state);
        }
        if let Some(output) = self.output.take_if(|_| queued == 0) {
            state.recycle_output(output);
        }
        if phase == State::Closing {
            // What a pause has left unread may be the Close that is awaited.
            self.resume(state);
        }
        if phase == State::Closed {
            self.mark_closed(state);
        } else if (queued > 0 || self.protocol.awaits_flush()) && !self.flags.is_blocked {
            if !self.flags.is_dirty {
                state.unflushed += queued;
            }
            self.mark_dirty(state);
        }
        if self.socket.has_more() {
            self.read_again(state);
        }
        self.rearm_deadline(state);
    }

    /// Shows senders how much output there is, and returns it.
    fn measure(&mut self, state: &LoopState) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.len()) + self.socket.unsent();
        if let Some(status) = state.queue.status(self.id.slot) {
            status.add_local(queued);
            status.sub_local(self.reported_len);
        }
        self.reported_len = queued;
        queued
    }

    /// Shows senders the phase of the connection.
    fn show(&self, phase: Phase, state: &LoopState) {
        if let Some(status) = state.queue.status(self.id.slot) {
            status.advance(phase);
        }
    }

    fn mark_dirty(&mut self, state: &mut LoopState) {
        if !self.flags.is_dirty {
            self.flags.is_dirty = true;
            state.to_flush.push(self.id.slot);
        }
    }

    fn mark_closed(&mut self, state: &mut LoopState) {
        if !self.flags.is_dead {
            self.flags.is_dead = true;
            state.to_close.push(self.id.slot);
        }
    }

    /// Sees to it that the loop wakes at the protocol's deadline. An alarm that is early is left: moving it for every
    /// sign of life would cost more than looking again when it goes off.
    fn rearm_deadline(&mut self, state: &mut LoopState) {
        let held_until = self.output.as_ref().and_then(|output| output.held_until);
        let held_until = held_until.filter(|until| self.flags.is_readable && *until > state.now);
        let deadline = self.protocol.deadline().into_iter().chain(held_until).min();
        match (deadline, self.deadline) {
            (Some(deadline), Some(event)) if state.is_not_after(event, deadline) => return,
            (None, None) => return,
            _ => {}
        }
        if let Some(key) = self.deadline.take() {
            state.timers.cancel(key);
        }
        if let Some(deadline) = deadline {
            let event = TimerEvent { id: self.id, kind: TimerKind::Connection };
            self.deadline = state.schedule_at(deadline, &mut self.timers, event);
        }
    }

    /// The alarm of the connection's deadline has gone off.
    pub(super) fn on_deadline(&mut self, state: &mut LoopState) {
        self.deadline = None;
        let out = output_of(&mut self.output, state).buffer();
        match self.protocol.tick(state.now, out) {
            Ok(Some(ping)) => self.send_frame(ping, state),
            Ok(None) => {}
            Err(err) => {
                self.handle_violation(err, state);
                if self.socket.is_handshaking() {
                    // No answer can be sent.
                    self.protocol.abandon();
                }
            }
        }
        self.read_on(state);
        self.update(state);
    }

    /// The loop removes the connection: the handler hears the end if it has not, and goes back to the factory.
    pub(super) fn close_and_release(mut self, state: &mut LoopState) -> Option<H> {
        self.end(CloseCode::Abnormal, "", state);
        // What has not been sent must not look as if it were all.
        if self.output.is_none() {
            self.socket.send_close_notify();
        }
        state.timers.cancel_all(&mut self.timers);
        state.queue.remove_connection(self.id.slot);
        self.handler
    }
}

/// The output of a connection, made if there is none; a function of the field, so that others stay free to be used.
#[inline]
fn output_of<'a>(output: &'a mut Option<Box<WriteQueue>>, state: &mut LoopState) -> &'a mut WriteQueue {
    output.get_or_insert_with(|| state.take_output())
}
