//! The tools that measure Sockeye and its peers: what the load generators and the runner share.
//!
//! `spec` contains the messages between the runner and a load generator. `load` is the load generator. `runner` contains the
//! servers, the workloads, the order of the runs, and the pages.

pub mod load;
pub mod process;
pub mod runner;
pub mod spec;

/// Any error, as text; no caller distinguishes them.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
