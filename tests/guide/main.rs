//! The complete programs of the guide do what their pages state. Each runs in a process of its own, and is as short as promised.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chat;
mod migration;
mod process;
mod short;
