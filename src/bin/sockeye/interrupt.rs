//! Ctrl-C and SIGTERM: the first one closes the connection, the second one ends the program at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exit::{self, Exit, Failure};

enum State {
    /// There is nothing to close.
    Idle,
    Armed(Box<dyn FnOnce() + Send>),
    Interrupted,
}

static STATE: Mutex<State> = Mutex::new(State::Idle);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `close` on the first interrupt.
pub(crate) fn on_first(close: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    *state() = State::Armed(Box::new(close));
    ctrlc::set_handler(trigger).map_err(|err| Failure::failed(format!("cannot handle Ctrl-C: {err}")))
}

/// Does what Ctrl-C does. While a line is edited, the terminal reports Ctrl-C as a key and not as a signal.
pub(crate) fn trigger() {
    let before = std::mem::replace(&mut *state(), State::Interrupted);
    match before {
        State::Armed(close) => close(),
        State::Idle | State::Interrupted => exit::leave(Exit::Interrupted),
    }
}

pub(crate) fn has_happened() -> bool {
    matches!(*state(), State::Interrupted)
}
