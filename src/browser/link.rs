//! A connection that several hold: its two halves, who waits for its end, and the browser that calls back.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasm_bindgen::JsValue;

use super::builder::Limits;
use super::js;
use super::standard::Standard;
use super::state::{Opening, Phase, State, Who};
use super::streaming::Streaming;
use crate::close::{CloseCode, Closed};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::protocol::{ProtocolError, check_close};

/// The interface of the browser that is in use.
#[derive(Debug)]
pub(super) enum Transport {
    Standard(Standard),
    Stream(Streaming),
}

pub(super) struct Link {
    state: RefCell<State>,
    transport: OnceCell<Transport>,
    pub(super) limits: Limits,
}

/// What a half of a connection holds: when the last is dropped, so is the connection.
#[derive(Debug)]
pub(super) struct Owner(Rc<Link>);

impl Owner {
    pub(super) fn new(limits: Limits) -> Self {
        let state = RefCell::new(State::new(&limits));
        Self(Rc::new(Link { state, transport: OnceCell::new(), limits }))
    }

    /// The connection, to look at without keeping it open.
    pub(super) fn link(&self) -> &Rc<Link> {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Link {
    /// Goes on with the interface of the browser that was asked to connect.
    pub(super) fn begin(self: &Rc<Self>, transport: Transport, patience: Duration) {
        let _ = self.transport.set(transport);
        self.set_deadline(patience, |link| {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the connection took too long to open");
            link.change(|state| state.fail(late.into()));
            link.abandon();
        });
    }

    /// Changes something, and wakes all who may be waiting for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let changed = change(&mut state);
        let waiting = state.take_waiting();
        drop(state);
        waiting.into_values().for_each(Waker::wake);
        changed
    }

    /// Looks at the state, or polls it. Nothing within may make the browser call back.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.borrow_mut())
    }

    pub(super) fn wake(&self, who: Who) {
        let waker = self.with(|state| state.take(who));
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for a state.
    pub(super) async fn until(&self, who: Who, is_so: impl Fn(&State) -> bool) {
        poll_fn(|cx| self.with(|state| if is_so(state) { Poll::Ready(()) } else { state.wait(who, cx) }))
            .await;
    }

    pub(super) fn streaming(&self) -> Option<&Streaming> {
        match self.transport.get() {
            Some(Transport::Stream(streaming)) => Some(streaming),
            _ => None,
        }
    }

    pub(super) fn standard(&self) -> Option<&Standard> {
        match self.transport.get() {
            Some(Transport::Standard(standard)) => Some(standard),
            _ => None,
        }
    }

    /// The browser has connected.
    pub(super) fn opened(self: &Rc<Self>, opening: Opening) {
        self.change(|state| state.open(opening));
        if let Some(patience) = self.limits.idle_timeout {
            self.hear();
            self.listen(patience);
        }
    }

    /// The browser has received a message.
    pub(super) fn received(self: &Rc<Self>, data: &JsValue) {
        if !self.with(|state| state.wants()) {
            return;
        }
        let message = js::into_message(data, self.limits.max_message_size).map_err(Error::from);
        match message.and_then(|message| self.with(|state| state.inbox.push(message))) {
            Ok(()) => {
                self.hear();
                self.wake(Who::Receiver);
            }
            // What comes while we close, and does not fit, is dropped.
            Err(_) if self.with(|state| state.phase != Phase::Open) => {}
            Err(err) => self.fail(err),
        }
    }

    pub(super) fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        let message = self.with(|state| state.poll_message(cx));
        if matches!(message, Poll::Ready(Ok(Some(_)))) {
            self.hear();
            self.wake(Who::Reading);
        }
        message
    }

    /// Ends the connection because of an error, which the program is told. The peer gets the nearest that the browser
    /// lets us say.
    pub(super) fn fail(self: &Rc<Self>, err: Error) {
        let code = matches!(err.kind, ErrorKind::Capacity).then_some(TOO_MUCH);
        self.change(|state| state.fail(err));
        self.start_closing(code, "");
    }

    /// The connection has ended.
    pub(super) fn ended(&self, closed: Closed) {
        let has_unsent = !self.has_sent(0);
        self.change(|state| {
            if state.phase == Phase::Connecting {
                state.note(refused("the browser does not say why"));
            }
            state.has_lost_output |= has_unsent;
            state.end(closed);
        });
    }

    /// Sends a message, or puts it with those that wait.
    pub(super) fn send(&self, message: &Message) -> Result<()> {
        let is_open = self.is_open();
        let Some(transport) = self.transport.get().filter(|_| is_open) else {
            return Err(ProtocolError::NotOpen.into());
        };
        if self.buffered() >= self.limits.max_buffered {
            return Err(Error::new(ErrorKind::Capacity, "too much waits to be sent"));
        }
        match transport {
            Transport::Standard(standard) => standard.send(message)?,
            Transport::Stream(streaming) => streaming.send(message),
        }
        self.wake(Who::Writing);
        Ok(())
    }

    pub(super) fn buffered(&self) -> usize {
        match self.transport.get() {
            Some(Transport::Standard(standard)) => standard.buffered(),
            Some(Transport::Stream(streaming)) => streaming.buffered(),
            None => 0,
        }
    }

    /// Whether at most `most` bytes wait to be sent; for none, nor does an empty message.
    fn has_sent(&self, most: usize) -> bool {
        let is_empty = self.streaming().is_none_or(Streaming::is_empty);
        self.buffered() <= most && (most > 0 || is_empty)
    }

    pub(super) fn is_open(&self) -> bool {
        let can_say = self.standard().is_none_or(Standard::is_open);
        can_say && self.with(|state| state.phase == Phase::Open && !state.has_lost_output)
    }

    /// Waits until at most `most` bytes wait to be sent.
    pub(super) fn poll_flush(self: &Rc<Self>, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let has_lost = self.with(|state| state.has_lost_output || state.is_left);
        if has_lost {
            return Poll::Ready(Err(ProtocolError::ConnectionLost.into()));
        }
        if self.has_sent(most) {
            return Poll::Ready(Ok(()));
        }
        if let Some(standard) = self.standard() {
            standard.watch(self, most);
        }
        self.with(|state| state.wait(Who::Sender, cx))
    }

    /// Starts the closing handshake, unless it has started or is over.
    pub(super) fn begin_close(self: &Rc<Self>, code: CloseCode, reason: &str) -> Result<()> {
        if !self.is_open() {
            return Ok(());
        }
        check_close(code, reason)?;
        let code = match (code, u16::from(code)) {
            (CloseCode::Status | CloseCode::Empty, _) => None,
            (_, number @ (1000 | 3000..=4999)) => Some(number),
            // The browser has the others to itself.
            _ => return Err(ProtocolError::UnsendableCloseCode.into()),
        };
        self.start_closing(code, reason);
        Ok(())
    }

    fn start_closing(self: &Rc<Self>, code: Option<u16>, reason: &str) {
        let is_first = self.with(|state| {
            let is_first = state.phase == Phase::Open;
            if is_first {
                state.phase = Phase::Closing;
            }
            is_first
        });
        if !is_first {
            return;
        }
        self.set_deadline(self.limits.close_timeout, |link| link.abandon());
        match self.transport.get() {
            Some(Transport::Standard(standard)) => standard.close(code, reason),
            Some(Transport::Stream(streaming)) => streaming.close(code, reason),
            None => {}
        }
        // Reading goes on until the peer has closed as well, whatever waits for the program.
        self.wake(Who::Reading);
        self.wake(Who::Writing);
    }

    /// Gives up without waiting for the peer.
    pub(super) fn abandon(&self) {
        match self.transport.get() {
            Some(Transport::Standard(standard)) => standard.abandon(),
            Some(Transport::Stream(streaming)) => streaming.abandon(),
            None => {}
        }
        self.change(|state| state.end_reading(None));
        self.ended(Closed::abnormal());
    }

    /// Nobody is there any more: closes, without waiting for the peer.
    fn leave(self: &Rc<Self>) {
        match self.with(|state| state.phase) {
            Phase::Connecting => self.abandon(),
            Phase::Open => self.start_closing(None, ""),
            Phase::Closing | Phase::Closed => {}
        }
        self.change(State::leave);
    }
}

/// What a browser can say in place of 1009.
const TOO_MUCH: u16 = 4009;

/// The browser tells a program no more than that there is no connection (WHATWG WebSockets §4).
pub(super) fn refused(details: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Io(io::ErrorKind::ConnectionRefused.into()), details)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
