//! The load generator: one thread, many connections, frames made and masked beforehand.
//!
//! It is generic over the stream, so that plain TCP and TLS run the same code. Each reply's length is checked whatever
//! the run; its content on request.

mod broadcast;
mod connect;
mod content;
mod echo;
mod handshakes;
mod idle;
mod latency;
mod link;
mod nuisance;
mod replies;
mod requests;
mod ring;
mod stream;

pub use stream::{Plain, Stream};

use crate::Result;
use crate::spec::{Mode, Outcome, Spec};

/// Does what one specification asks for.
///
/// # Errors
///
/// If the server cannot be reached, breaks the protocol, or sends what was not expected.
pub fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    match spec.mode {
        Mode::Echo => echo::run::<S>(spec),
        Mode::Broadcast => broadcast::run::<S>(spec),
        Mode::SlowReaders => broadcast::run_slow::<S>(spec),
        Mode::Handshakes => handshakes::run(spec),
        Mode::Idle => idle::run::<S>(spec),
    }
}

/// The main function of a load generator: the specification is the first argument, the outcome goes to stdout.
///
/// # Errors
///
/// As [`run`], or if there is no specification.
pub fn main<S: Stream>() -> Result<()> {
    let text = std::env::args().nth(1).ok_or("the argument is missing: a specification in JSON")?;
    let outcome = run::<S>(&serde_json::from_str(&text)?)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
