//! A connection with several users: its two halves, the futures of its end, and the callbacks of the browser.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasm_bindgen::JsValue;

use super::backend::Backend;
use super::js;
use super::limits::Limits;
use super::state::{Opening, ReadyState, State, WakerKey};
use crate::close::{CloseCode, Closed};
use crate::error::redacted;
use crate::message::Message;
use crate::protocol::{ProtocolError, check_close};
use crate::socket::{Error, Result, TimeoutKind};

/// A connection.
pub(super) struct Link {
    state: RefCell<State>,
    backend: OnceCell<Box<dyn Backend>>,
    pub(super) limits: Limits,
    /// The URL, for error texts.
    url: String,
}

/// What a half of a connection holds. When the last handle is dropped, the connection ends.
#[derive(Debug)]
pub(super) struct LinkHandle(Rc<Link>);

impl LinkHandle {
    pub(super) fn new(limits: Limits, url: &str) -> Self {
        let state = RefCell::new(State::new(&limits));
        Self(Rc::new(Link { state, backend: OnceCell::new(), limits, url: url.to_owned() }))
    }

    /// The connection. To hold it does not keep it open.
    pub(super) fn link(&self) -> &Rc<Link> {
        &self.0
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.0.close_on_drop();
    }
}

impl Link {
    /// Continues with a backend that has started to connect.
    pub(super) fn begin(self: &Rc<Self>, backend: Box<dyn Backend>, timeout: Duration) {
        let _ = self.backend.set(backend);
        self.set_deadline(timeout, |link| {
            link.change(|state| state.fail(Error::Timeout(TimeoutKind::Connect)));
            link.abandon();
        });
    }

    /// Changes the state, and wakes all users.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let changed = change(&mut state);
        let waiting = state.take_wakers();
        drop(state);
        waiting.into_values().for_each(Waker::wake);
        changed
    }

    /// Reads or polls the state. The function must not cause a callback of the browser.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.borrow_mut())
    }

    pub(super) fn wake(&self, key: WakerKey) {
        let waker = self.with(|state| state.take_waker(key));
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits until the state fulfills a condition.
    pub(super) async fn until(&self, key: WakerKey, is_so: impl Fn(&State) -> bool) {
        poll_fn(|cx| self.with(|state| if is_so(state) { Poll::Ready(()) } else { state.wait(key, cx) }))
            .await;
    }

    /// The browser has connected.
    pub(super) fn opened(self: &Rc<Self>, opening: Opening) {
        self.change(|state| state.open(opening));
        if let Some(timeout) = self.limits.idle_timeout {
            self.record_activity();
            self.schedule_idle_check(timeout);
        }
    }

    /// The browser has received a message.
    pub(super) fn received(self: &Rc<Self>, data: &JsValue) {
        if !self.with(|state| state.accepts_messages()) {
            return;
        }
        let message = js::into_message(data, self.limits.max_message_size).map_err(Error::from);
        match message.and_then(|message| self.with(|state| state.received.push(message))) {
            Ok(()) => {
                self.record_activity();
                self.wake(WakerKey::Receiver);
            }
            // While the connection is being closed, messages that do not fit are dropped.
            Err(_) if self.with(|state| state.ready_state != ReadyState::Open) => {}
            Err(err) => self.fail(err),
        }
    }

    pub(super) fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        let message = self.with(|state| state.poll_message(cx));
        if matches!(message, Poll::Ready(Ok(Some(_)))) {
            self.record_activity();
            self.wake(WakerKey::Reading);
        }
        message
    }

    /// Fails the connection. The peer gets the nearest code that the browser allows.
    pub(super) fn fail(self: &Rc<Self>, err: Error) {
        let code = match &err {
            Error::Overflow => Some(TOO_MUCH),
            Error::Protocol(err) if err.close_code() == CloseCode::Size => Some(TOO_MUCH),
            _ => None,
        };
        self.change(|state| state.fail(err));
        self.start_closing(code, "");
    }

    /// The connection has ended.
    pub(super) fn ended(&self, closed: Closed) {
        let has_unsent = !self.has_sent(0);
        self.change(|state| {
            if state.ready_state == ReadyState::Connecting {
                state.record_error(self.refused("the browser gives no reason"));
            }
            state.has_lost_output |= has_unsent;
            state.end(closed);
        });
    }

    /// The browser has not connected. It shows a program no more than that (WHATWG WebSockets §4).
    pub(super) fn refused(&self, reason: impl Into<String>) -> Error {
        let source = io::Error::new(io::ErrorKind::ConnectionRefused, reason.into());
        Error::Connect { target: redacted(&self.url), source }
    }

    /// Adds a message to the output.
    pub(super) fn send(&self, message: Message) -> Result<()> {
        let is_open = self.is_open();
        let Some(backend) = self.backend.get().filter(|_| is_open) else { return Err(Error::Closed) };
        if self.buffered() >= self.limits.max_buffered {
            return Err(Error::Full(message));
        }
        backend.send(&message)?;
        self.wake(WakerKey::Writing);
        Ok(())
    }

    pub(super) fn buffered(&self) -> usize {
        self.backend.get().map_or(0, |backend| backend.buffered())
    }

    /// Whether at most `most` bytes are waiting to be sent. For zero, no empty message may be waiting either.
    fn has_sent(&self, most: usize) -> bool {
        let is_empty = self.backend.get().is_none_or(|backend| backend.is_empty());
        self.buffered() <= most && (most > 0 || is_empty)
    }

    pub(super) fn is_open(&self) -> bool {
        let can_send = self.backend.get().is_none_or(|backend| backend.is_open());
        can_send && self.with(|state| state.ready_state == ReadyState::Open && !state.has_lost_output)
    }

    /// The state of the connection, as the program sees it.
    pub(super) fn state(&self) -> ReadyState {
        let (is_over, state) = self.with(|state| (state.closed().is_some(), state.ready_state));
        match state {
            _ if is_over => ReadyState::Closed,
            // The browser or the network is ahead of the events.
            ReadyState::Open if !self.is_open() => ReadyState::Closing,
            // Messages that arrived before the end are not reported yet.
            ReadyState::Closed => ReadyState::Closing,
            state => state,
        }
    }

    /// Waits until at most `most` bytes are waiting to be sent.
    pub(super) fn poll_flush(&self, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let has_lost = self.with(|state| state.has_lost_output || state.is_abandoned());
        if has_lost {
            return Poll::Ready(Err(ProtocolError::ConnectionLost.into()));
        }
        if self.has_sent(most) {
            return Poll::Ready(Ok(()));
        }
        if let Some(backend) = self.backend.get() {
            backend.watch(most);
        }
        self.with(|state| state.wait(WakerKey::Sender, cx))
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
            // The browser reserves all other codes for itself.
            _ => return Err(ProtocolError::UnsendableCloseCode.into()),
        };
        self.start_closing(code, reason);
        Ok(())
    }

    fn start_closing(self: &Rc<Self>, code: Option<u16>, reason: &str) {
        let is_first = self.with(|state| {
            let is_first = state.ready_state == ReadyState::Open;
            if is_first {
                state.ready_state = ReadyState::Closing;
            }
            is_first
        });
        if !is_first {
            return;
        }
        self.set_deadline(self.limits.close_timeout, |link| link.abandon());
        if let Some(backend) = self.backend.get() {
            backend.close(code, reason);
        }
        // Reading continues until the peer has closed as well, even if messages are waiting for the program.
        self.wake(WakerKey::Reading);
        self.wake(WakerKey::Writing);
    }

    /// Ends the connection without waiting for the peer.
    pub(super) fn abandon(&self) {
        if let Some(backend) = self.backend.get() {
            backend.abandon();
        }
        self.change(|state| state.end_reading(None));
        self.ended(Closed::abnormal());
    }

    /// Closes the connection of a socket that was dropped, without waiting for the peer.
    fn close_on_drop(self: &Rc<Self>) {
        match self.with(|state| state.ready_state) {
            ReadyState::Connecting => self.abandon(),
            ReadyState::Open => self.start_closing(None, ""),
            ReadyState::Closing | ReadyState::Closed => {}
        }
        self.change(State::abandon);
    }
}

/// The close code that replaces 1009, which programs in a browser may not send.
const TOO_MUCH: u16 = 4009;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
