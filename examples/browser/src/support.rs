//! The command line and Ctrl-C, shared with the other examples.

#![allow(dead_code, reason = "this program does not use everything")]

#[path = "../../support/arguments.rs"]
mod arguments;
#[path = "../../support/failure.rs"]
mod failure;
#[path = "../../support/interrupt.rs"]
mod interrupt;

use tokio::sync::watch;

pub(crate) use arguments::Arguments;
pub(crate) use failure::Result;

/// Returns a receiver that changes on Ctrl-C.
pub(crate) fn interrupted() -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    interrupt::on_interrupt(move || {
        let _ = sender.send(());
    });
    receiver
}
