//! Ctrl-C and `SIGTERM`: the first one drains the event loops, and a later one ends them at once.

use sockeye::Sender;

use crate::limits;
use crate::support::Result;

/// Handles the signals until the returned value is dropped.
#[cfg(all(unix, feature = "signals"))]
pub(crate) fn drain_on_signals(all: Sender) -> Result<sockeye::signals::Guard> {
    Ok(sockeye::signals::Signals::new(&all, limits::drain()).start()?)
}

/// Without the feature, all examples share a handler. It stays in place.
#[cfg(not(all(unix, feature = "signals")))]
pub(crate) fn drain_on_signals(all: Sender) -> Result<impl Sized> {
    crate::support::on_interrupt(move || {
        // This fails only if the loop has already ended.
        let _ = all.drain(limits::drain());
    });
    Ok(())
}
