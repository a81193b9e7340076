//! The mode of the terminal. An editor that waits for a key cannot be ended from another thread, so its changes are undone here.

use std::io::{self, Write as _};

/// Writes to the terminal. There is nobody to report an error to.
pub(super) fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    pub(crate) fn save() {
        let mode = termios::tcgetattr(io::stdin()).ok();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    pub(crate) fn restore() {
        let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let is_line_mode = |mode: &Termios| mode.local_flags.contains(LocalFlags::ICANON);
        if termios::tcgetattr(io::stdin()).is_ok_and(|mode| is_line_mode(&mode) == is_line_mode(&before)) {
            return;
        }
        // Removes the prompt, and ends the bracketed paste mode of the editor.
        super::write("\r\x1b[K\x1b[?2004l");
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &before);
    }
}

#[cfg(unix)]
pub(super) use self::unix::{restore, save};

/// A console of Windows is restored by the shell.
#[cfg(not(unix))]
pub(super) fn save() {}

#[cfg(not(unix))]
pub(super) fn restore() {}
