//! Idle connections: the memory of each connection, and the processor time of many of them.

use std::time::Duration;

use super::{connect, stream::Stream};
use crate::Result;
use crate::process::{Meter, memory};
use crate::spec::{Outcome, Spec};

/// The number of connections that are opened before the first measurement of the memory, so that memory that a server
/// allocates once is not counted.
const EARLY: usize = 64;
/// The time for work that a server delays until a connection has opened.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    let early = connect::open::<S>(spec, EARLY)?;
    std::thread::sleep(PAUSE);
    let memory_before = memory(spec.pid, "VmRSS")?;
    let idle = connect::open::<S>(spec, spec.connections)?;
    std::thread::sleep(PAUSE);
    let meter = Meter::start(spec.pid)?;
    std::thread::sleep(Duration::from_secs_f64(spec.seconds));
    let usage = meter.stop()?;
    let memory_after = memory(spec.pid, "VmRSS")?;
    drop((early, idle));
    Ok(Outcome {
        operations: spec.connections as u64,
        usage,
        memory_before,
        memory_after,
        ..Outcome::default()
    })
}
