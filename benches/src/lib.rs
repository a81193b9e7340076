//! The tools that measure Sockeye and its peers: what the load generators and the runner share.
//!
//! `spec` is what the runner asks of a load generator, and what it gets back. `load` is the generator, `runner`
//! everything around it: which servers there are, which workloads, how they take turns, and the pages written.

pub mod load;
pub mod process;
pub mod runner;
pub mod spec;

/// Whatever went wrong, in words; nobody tells these errors apart.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
