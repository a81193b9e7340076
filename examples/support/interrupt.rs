//! Ctrl-C and SIGTERM.

#![expect(clippy::print_stderr, reason = "there is no caller that could return the error")]

use std::mem;
use std::process;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What happens on Ctrl-C.
enum OnInterrupt {
    /// The program ends at once, because it has not set an action yet.
    Exit,
    Run(Box<dyn FnOnce() + Send>),
    /// The action has been run. The next Ctrl-C ends the program at once.
    Interrupted,
}

static ON_INTERRUPT: Mutex<OnInterrupt> = Mutex::new(OnInterrupt::Exit);

fn state() -> MutexGuard<'static, OnInterrupt> {
    ON_INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `action` on Ctrl-C or SIGTERM, or now if the program has been interrupted already.
///
/// The action replaces the one that was set before.
pub(crate) fn on_interrupt(action: impl FnOnce() + Send + 'static) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if let Err(error) = ctrlc::set_handler(interrupt) {
            eprintln!("Ctrl-C will not end the program cleanly: {error}");
        }
    });
    let mut state = state();
    if matches!(*state, OnInterrupt::Interrupted) {
        drop(state);
        action();
    } else {
        *state = OnInterrupt::Run(Box::new(action));
    }
}

/// Returns whether the program has been interrupted.
pub(crate) fn is_interrupted() -> bool {
    matches!(*state(), OnInterrupt::Interrupted)
}

fn interrupt() {
    let before = mem::replace(&mut *state(), OnInterrupt::Interrupted);
    match before {
        OnInterrupt::Run(action) => action(),
        OnInterrupt::Exit | OnInterrupt::Interrupted => process::exit(130),
    }
}
