//! The connection of a client, for the threads that use it: the one that reads the input, and the one that handles Ctrl-C.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sockeye::{CloseCode, Message, Sender};

use crate::commands;
use crate::exit::{self, Exit, Failure};
use crate::session::INPUT_ENDED;
use crate::target::{Ended, Target, retry, send_when_possible};

enum State {
    /// The connection is not open yet, or not open again.
    Connecting,
    Open(Sender),
    Ended,
}

pub(crate) struct Link {
    state: Mutex<State>,
    changed: Condvar,
    /// Why the input could not be read.
    failure: Mutex<Option<Failure>>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Connecting), changed: Condvar::new(), failure: Mutex::new(None) }
    }

    pub(crate) fn opened(&self, out: Sender) {
        self.set(State::Open(out));
    }

    /// There will be no further connection.
    pub(crate) fn ended(&self) {
        self.set(State::Ended);
    }

    /// Returns why the input could not be read.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes the connection for an interrupt. Without a connection, there is nothing to wait for.
    pub(crate) fn interrupt(&self) {
        match self.current() {
            Some(out) if out.close(CloseCode::Normal).is_ok() => {}
            _ => exit::leave(Exit::Interrupted),
        }
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<Sender> {
        match &*self.lock() {
            State::Open(out) => Some(out.clone()),
            State::Connecting | State::Ended => None,
        }
    }

    /// Waits until there is a connection.
    fn wait(&self) -> Result<Sender, Ended> {
        let is_connecting = |state: &mut State| matches!(state, State::Connecting);
        let state =
            self.changed.wait_while(self.lock(), is_connecting).unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(out) => Ok(out.clone()),
            State::Connecting | State::Ended => Err(Ended),
        }
    }
}

impl Target for Link {
    fn send(&self, message: Message) -> Result<(), Ended> {
        send_when_possible(&self.wait()?, &message)
    }

    fn send_to(&self, _client: u32, _message: Message) -> Result<(), String> {
        Err("/to is a command of a server".to_owned())
    }

    fn ping(&self, payload: Vec<u8>) -> Result<(), Ended> {
        let out = self.wait()?;
        retry(|| out.ping(payload.clone()))
    }

    fn pong(&self, payload: Vec<u8>) -> Result<(), Ended> {
        let out = self.wait()?;
        retry(|| out.pong(payload.clone()))
    }

    fn close(&self, code: CloseCode, reason: &str) -> bool {
        if let Some(out) = self.current() {
            // An error means that the connection is closed already.
            let _ = out.close_with_reason(code, reason.to_owned());
        }
        true
    }

    fn quit(&self) {
        self.close(CloseCode::Normal, "");
    }

    /// A timer, so that the session learns of it after everything that was sent before.
    fn input_ended(&self) {
        if let Ok(out) = self.wait() {
            let _ = retry(|| out.timeout(0, INPUT_ENDED));
        }
    }

    fn input_failed(&self, failure: Failure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        self.quit();
    }

    fn clients(&self) -> Vec<String> {
        vec!["/clients is a command of a server".to_owned()]
    }

    fn help(&self) -> String {
        commands::HELP.to_owned()
    }
}
