//! The interface of ws 0.9, provided by Sockeye.
pub use sockeye::*;
