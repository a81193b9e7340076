//! Proxies, redirects to other origins, and hosts with several addresses, through the clients of all front ends.
//!
//! `scripted` contains proxies that do what a test demands, and `real` those that tests/proxies/run installs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
mod addresses;
mod clients;
mod programs;
mod real;
mod redirects;
mod scripted;
mod servers;
