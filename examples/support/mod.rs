//! What the examples share: the command line, Ctrl-C, and errors that are one line of text.

#![allow(dead_code, unused_imports, reason = "no example uses everything")]

mod arguments;
mod failure;
mod interrupt;

use std::io::Write;
use std::time::Instant;

pub(crate) use arguments::{Arguments, URL, parse_url};
pub(crate) use failure::{Failure, Result};
pub(crate) use interrupt::{is_interrupted, on_interrupt};

/// Logs what the library does, at the level in the variable `RUST_LOG`. Without the variable, nothing is logged.
/// Each line begins with the seconds since this call.
pub(crate) fn init_logger() {
    let start = Instant::now();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off"))
        .format(move |out, record| {
            let seconds = start.elapsed().as_secs_f64();
            writeln!(out, "{seconds:8.3} {:5} {}: {}", record.level(), record.target(), record.args())
        })
        .init();
}

/// Binds a listener, and names the address if that fails.
pub(crate) fn listen(address: &str) -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
        .map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))
}

/// On Ctrl-C, closes all connections of the event loop with 1001 (going away) and ends the loop.
#[cfg(feature = "reactor")]
pub(crate) fn shut_down_on_interrupt(out: &sockeye::Sender) {
    let out = out.clone();
    on_interrupt(move || {
        // This fails only if the loop has already ended.
        let _ = out.shutdown();
    });
}

/// Waits for a thread, and returns what it returned.
pub(crate) fn join(thread: std::thread::JoinHandle<sockeye::Result<()>>) -> Result {
    match thread.join() {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::new("a thread panicked")),
    }
}
