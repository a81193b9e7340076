//! A connection of the loop: a socket, the protocol, a handler, and what is queued for the peer.
//!
//! `events` brings what the peer sends to the handler, `commands` what senders ask for to the protocol, `transfer` moves
//! bytes between the socket and both.

mod commands;
mod events;
mod failing;
mod io;
mod redirect;

pub(super) use self::redirect::{Moved, Redirect};
use super::accepting::listener::Addresses;
use super::api::handler::Handler;
use super::loop_state::{Alarm, AlarmKind, Context, Name};
use super::queue::{Phase, Signal, Target};
use super::timers::{Key, Owned};
use super::transport::Socket;
use super::write_queue::Output;
use crate::close::CloseCode;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{self, Output as _, State};

/// A connection whose TCP is made.
#[derive(Debug)]
pub(super) struct Connection<H> {
    name: Name,
    socket: Socket,
    protocol: protocol::Connection,
    /// `None` for a client that was refused because the loop is full, and after the handler has panicked.
    handler: Option<H>,
    stage: Stage,
    /// What is queued for the peer, while there is any.
    output: Option<Box<Output>>,
    /// How much of what the gauge says is output, or was when it was last measured.
    gauged: usize,
    /// What was read, and is more than the share of one turn.
    unread: Box<[u8]>,
    /// What matters only until the connection is open.
    early: Option<Box<Early>>,
    timers: Owned,
    /// The alarm of the connection's own deadline.
    alarm: Option<Key>,
    flags: Flags,
}

/// What a connection has until it is open.
#[derive(Debug, Default)]
struct Early {
    /// What waits for that.
    signals: Vec<Signal>,
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
    is_condemned: bool,
    /// The handler wants no more messages for now.
    is_paused: bool,
    /// The socket may have more to read, which was not taken because of the pause, or because too much output waits.
    is_readable: bool,
    /// The peer has ended its side, which was not acted on for the same reason.
    has_ended: bool,
    /// The system has not taken all output: it will tell when it takes more.
    is_blocked: bool,
    /// The loop hears when the socket becomes writable.
    hears_writable: bool,
    /// All is said, and our side of the socket is to be ended.
    ends_writing: bool,
}

impl<H: Handler> Connection<H> {
    /// Takes over a socket; its protocol may have written the first output already.
    pub(super) fn new(
        name: Name,
        socket: Socket,
        protocol: protocol::Connection,
        handler: Option<H>,
        output: Option<Box<Output>>,
        timers: Owned,
    ) -> Self {
        let flags = Flags { hears_writable: socket.interest().is_writable(), ..Flags::default() };
        Self {
            name,
            socket,
            protocol,
            handler,
            stage: Stage::Opening,
            output,
            gauged: 0,
            unread: Box::default(),
            early: None,
            timers,
            alarm: None,
            flags,
        }
    }

    /// Whether the loop hears already when the socket becomes writable, as it does for one that has been connecting.
    pub(super) fn hears_writable(&mut self) {
        self.flags.hears_writable = true;
    }

    /// A client has come, from and to these addresses, if they are known already.
    pub(super) fn begin_as_server(&mut self, addresses: Option<Addresses>, cx: &mut Context) {
        if addresses.is_some() {
            self.early = Some(Box::new(Early { addresses, ..Early::default() }));
        }
        self.settle(cx);
    }

    /// What was asked of a client before its TCP was made, and what it may still do if it is sent elsewhere.
    pub(super) fn begin_as_client(&mut self, signals: Vec<Signal>, redirect: Redirect, cx: &mut Context) {
        self.early = Some(Box::new(Early { signals, redirect: Some(redirect), addresses: None }));
        // The server may have spoken first, such as one that has no room: the event for that came to the dial.
        self.read_again(cx);
        self.settle(cx);
    }

    /// The opening handshake was made elsewhere, and there some of what follows it was read.
    pub(super) fn begin_upgraded(
        &mut self,
        request: Request,
        response: Response,
        read_ahead: Vec<u8>,
        cx: &mut Context,
    ) {
        self.on_open(request, response, cx);
        self.unread = read_ahead.into();
        self.read_again(cx);
        self.settle(cx);
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }

    /// What senders call this connection.
    fn target(&self) -> Target {
        Target::One { slot: self.name.slot, id: self.name.id }
    }

    /// Whether the client is only told that there is no room: it never had a handler.
    pub(super) fn is_turned_away(&self) -> bool {
        self.handler.is_none() && self.stage == Stage::Opening
    }

    /// Calls a method of the handler, unless it has panicked before.
    ///
    /// One that panics, and is let, is not called again: nobody knows what state it is in.
    #[inline]
    pub(super) fn call<R>(&mut self, cx: &mut Context, method: impl FnOnce(&mut H) -> R) -> Option<R> {
        let handler = self.handler.as_mut()?;
        let called = cx.guard(|| method(handler));
        if called.is_none() {
            self.dismiss_handler(cx);
        }
        called
    }

    /// Calls a method of the handler that may fail, and acts on the error.
    #[inline]
    fn call_fallible<R>(
        &mut self,
        cx: &mut Context,
        method: impl FnOnce(&mut H) -> crate::error::Result<R>,
    ) -> Option<R> {
        match self.call(cx, method)? {
            Ok(value) => Some(value),
            Err(err) => {
                self.handle_error(err, cx);
                None
            }
        }
    }

    /// Tells the handler, once, that the connection has ended.
    fn end(&mut self, code: CloseCode, reason: &str, cx: &mut Context) {
        if self.stage == Stage::Opened {
            self.stage = Stage::Ended;
            self.show(Phase::Closing, cx);
            self.call(cx, |handler| handler.on_close(code, reason));
        }
    }

    /// Brings what others see of the connection up to date, after anything has happened to it: the gauge, the lists of
    /// the loop, the alarm.
    pub(in crate::reactor) fn settle(&mut self, cx: &mut Context) {
        let state = self.protocol.state();
        let queued = self.measure(cx);
        if state.is_ending() && !self.has_moved() {
            self.show(Phase::Closing, cx);
        }
        if let Some(output) = self.output.take_if(|_| queued == 0) {
            cx.keep_output(output);
        }
        if state == State::Closing {
            // What a pause has left unread may be the Close that is awaited.
            self.resume(cx);
        }
        if state == State::Closed {
            self.die(cx);
        } else if (queued > 0 || self.protocol.awaits_flush()) && !self.flags.is_blocked {
            if !self.flags.is_dirty {
                cx.unflushed += queued;
            }
            self.mark_dirty(cx);
        }
        if self.socket.has_more() {
            self.read_again(cx);
        }
        self.set_alarm(cx);
    }

    /// Shows senders how much output there is, and returns it.
    fn measure(&mut self, cx: &Context) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.len()) + self.socket.unsent();
        if let Some(gauge) = cx.hub.gauge(self.name.slot) {
            gauge.add_local(queued);
            gauge.sub_local(self.gauged);
        }
        self.gauged = queued;
        queued
    }

    /// Shows senders where the connection stands.
    fn show(&self, phase: Phase, cx: &Context) {
        if let Some(gauge) = cx.hub.gauge(self.name.slot) {
            gauge.set_phase(phase);
        }
    }

    fn mark_dirty(&mut self, cx: &mut Context) {
        if !self.flags.is_dirty {
            self.flags.is_dirty = true;
            cx.dirty.push(self.name.slot);
        }
    }

    fn die(&mut self, cx: &mut Context) {
        if !self.flags.is_dead {
            self.flags.is_dead = true;
            cx.dead.push(self.name.slot);
        }
    }

    /// Sees to it that the loop wakes at the protocol's deadline. An alarm that is early is left: moving it for every
    /// sign of life would cost more than looking again when it goes off.
    fn set_alarm(&mut self, cx: &mut Context) {
        let held_until = self.output.as_ref().and_then(|output| output.held_until);
        let held_until = held_until.filter(|until| self.flags.is_readable && *until > cx.now);
        let deadline = self.protocol.deadline().into_iter().chain(held_until).min();
        match (deadline, self.alarm) {
            (Some(deadline), Some(alarm)) if cx.is_not_after(alarm, deadline) => return,
            (None, None) => return,
            _ => {}
        }
        if let Some(key) = self.alarm.take() {
            cx.timers.cancel(key);
        }
        if let Some(deadline) = deadline {
            let alarm = Alarm { name: self.name, kind: AlarmKind::Connection };
            self.alarm = cx.alarm_at(deadline, &mut self.timers, alarm);
        }
    }

    /// The alarm of the connection's deadline has gone off.
    pub(super) fn on_alarm(&mut self, cx: &mut Context) {
        self.alarm = None;
        let out = output_of(&mut self.output, cx).buffer();
        match self.protocol.tick(cx.now, out) {
            Ok(Some(ping)) => self.send_frame(ping, cx),
            Ok(None) => {}
            Err(err) => {
                self.handle_violation(err, cx);
                if self.socket.is_handshaking() {
                    // No answer can be sent.
                    self.protocol.abandon();
                }
            }
        }
        self.read_on(cx);
        self.settle(cx);
    }

    /// The loop removes the connection: the handler hears the end if it has not, and goes back to the factory.
    pub(super) fn bury(mut self, cx: &mut Context) -> Option<H> {
        self.end(CloseCode::Abnormal, "", cx);
        // What has not been sent must not look as if it were all.
        if self.output.is_none() {
            self.socket.say_goodbye();
        }
        cx.timers.cancel_all(&mut self.timers);
        cx.hub.vacate(self.name.slot);
        self.handler
    }
}

/// The output of a connection, made if there is none; a function of the field, so that others stay free to be used.
#[inline]
fn output_of<'a>(output: &'a mut Option<Box<Output>>, cx: &mut Context) -> &'a mut Output {
    output.get_or_insert_with(|| cx.take_output())
}
