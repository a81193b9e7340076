//! Which end of a connection one is.

use std::ops::Not;

/// One of the two ends of a connection; `!role` is the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the connection; masks what it sends (§5.1).
    Client,
    /// Accepted the connection; sends as it is (§5.1).
    Server,
}

impl Not for Role {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
