//! The answer of a server to the opening handshake of a client.

use crate::protocol::handshake::{Rejected, Response};

/// The answer of a server to the opening handshake of a client.
///
/// The `response` of the client contains the headers and the body.
///
/// See the example of `Client` in `blocking` and `futures`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The connection is open.
    Accepted {
        /// The subprotocol that the server has chosen.
        protocol: Option<String>,
    },
    /// The server redirects the client (RFC 9110 §15.4).
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        status: u16,
        /// The header `Location`, unchanged.
        location: String,
    },
    /// The server refuses the connection.
    Rejected {
        /// The status.
        status: u16,
    },
}

impl Answer {
    pub(crate) fn of(response: &Response) -> Self {
        let status = response.status();
        if status == 101 {
            let protocol = response.protocol().ok().flatten().map(str::to_owned);
            return Self::Accepted { protocol };
        }
        match Rejected::new(response.clone()).redirect() {
            Some(location) => Self::Redirect { status, location: location.to_owned() },
            None => Self::Rejected { status },
        }
    }
}
