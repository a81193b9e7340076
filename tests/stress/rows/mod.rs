//! The rows of `tests/stress/run`.

mod broadcast;
mod draining;
mod latency;
mod memory;
mod neighbors;
mod reading;
mod silence;

use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::soak;
use crate::topics;

/// A row: its name, and the function that measures it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Options, &mut Report),
}

/// All rows, in the order in which they run.
pub(crate) const ROWS: &[Row] = &[
    Row { name: "w1_inflated", run: memory::inflated },
    Row { name: "w2_unfinished", run: memory::unfinished },
    Row { name: "w3_unread", run: memory::unread },
    Row { name: "w1_w2_w3_mixed", run: memory::mixed },
    Row { name: "w4_broadcast", run: broadcast::slow_readers },
    Row { name: "w5_silent", run: silence::silent_peers },
    Row { name: "w5_one_host", run: silence::one_host },
    Row { name: "w7_close", run: reading::close },
    Row { name: "w7_shutdown", run: reading::shutdown },
    Row { name: "w7_response", run: reading::response },
    Row { name: "w8_floods", run: latency::floods },
    Row { name: "w8_inflation", run: latency::inflation },
    Row { name: "w8_broadcasts", run: latency::broadcasts },
    Row { name: "w14_topics", run: topics::topics },
    Row { name: "drain", run: draining::drain },
    Row { name: "soak", run: soak::soak },
];

const MIB: usize = 1024 * 1024;

/// How long a row waits for what must happen. What happens at all happens much earlier.
const WAIT: Duration = Duration::from_secs(30);

/// Waits until a condition holds. Returns `false` if it does not.
pub(crate) fn holds_in_time(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + WAIT;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
