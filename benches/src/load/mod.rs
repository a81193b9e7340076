//! The load generator: one thread with many connections. The frames are created and masked in advance.
//!
//! It is generic over the stream, so that plain TCP and TLS run the same code. The length of each reply is checked in
//! every run, and its content is compared on request.

mod broadcast;
mod connect;
mod content;
mod echo;
mod handshakes;
mod idle;
mod latency;
mod link;
mod nuisance;
mod paced;
mod replies;
mod requests;
mod ring;
mod rounds;
mod schedule;
mod stream;

pub use stream::{Plain, Stream};

use crate::Result;
use crate::spec::{Mode, Outcome, Spec};

/// Executes one specification.
///
/// # Errors
///
/// Returns an error if the server cannot be reached, violates the protocol, or sends an unexpected reply.
pub fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    match spec.mode {
        Mode::Echo if spec.rounds > 0 => rounds::run::<S>(spec),
        Mode::Echo => echo::run::<S>(spec),
        Mode::Paced => paced::run::<S>(spec),
        Mode::Broadcast => broadcast::run::<S>(spec),
        Mode::SlowReaders => broadcast::run_slow::<S>(spec),
        Mode::Handshakes => handshakes::run(spec),
        Mode::Idle => idle::run::<S>(spec),
    }
}

/// The main function of a load generator. It reads the specification from the first argument, and prints the outcome to
/// standard output.
///
/// # Errors
///
/// Returns an error if [`run`] does, or if the specification is missing or invalid.
pub fn main<S: Stream>() -> Result<()> {
    let text = std::env::args().nth(1).ok_or("the argument is missing: a specification in JSON")?;
    let outcome = run::<S>(&serde_json::from_str(&text)?)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
