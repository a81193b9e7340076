//! The two ends of a connection.

use std::ops::Not;

/// One of the two ends of a connection. `!role` is the other end.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::Role;
///
/// assert_eq!(!Role::Client, Role::Server);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that opened the connection. It masks its frames (§5.1).
    Client,
    /// The end that accepted the connection. It does not mask its frames (§5.1).
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
