//! Calls of the system that fail once.

use std::cell::Cell;
use std::io;

/// Counts the calls of a system that can fail, and lets one of them fail.
#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: Cell<usize>,
    fault: Cell<Option<(usize, io::ErrorKind)>>,
}

impl Faults {
    /// The call with this number fails. The first one has the number 0.
    pub(super) fn fail(&self, number: usize, kind: io::ErrorKind) {
        self.fault.set(Some((number, kind)));
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Counts a call. Returns an error if it must fail.
    pub(super) fn check(&self) -> io::Result<()> {
        let number = self.calls.replace(self.calls.get() + 1);
        match self.fault.get() {
            Some((at, kind)) if at == number => Err(kind.into()),
            _ => Ok(()),
        }
    }
}
