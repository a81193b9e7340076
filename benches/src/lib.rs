//! The tools that measure Sockeye and its peers. The load generators and the runner share this library.
//!
//! `spec` contains the messages between the runner and a load generator. `load` is the load generator. `runner`
//! contains the servers, the workloads, the order of the runs, and the pages.

pub mod load;
pub mod process;
pub mod runner;
pub mod spec;

/// A result whose error is only displayed. No caller distinguishes errors.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
