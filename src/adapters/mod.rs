//! Functions for the types of single HTTP libraries. Each of them is a public module of the crate, with a feature of its name.
//!
//! They convert requests and responses with [`upgrade`](crate::upgrade), and create sockets of `futures` or `blocking`.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "h2")]
pub mod h2;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "hyper")]
mod hyper_stream;
#[cfg(feature = "rouille")]
pub mod rouille;
#[cfg(any(feature = "rouille", feature = "tiny_http"))]
mod taken_stream;
#[cfg(feature = "tiny_http")]
pub mod tiny_http;

/// Checks the response that an HTTP client has received.
#[cfg(any(feature = "hyper", feature = "h2"))]
fn accept_response<B>(
    pending: crate::upgrade::ClientUpgrade,
    response: &http::Response<B>,
) -> crate::futures::Result<crate::protocol::Upgrade> {
    use crate::protocol::{ProtocolError, handshake::Rejected};
    use crate::upgrade::client;

    client::accept(pending, response).map_err(|reason| match reason {
        ProtocolError::UnexpectedStatus(_) => Rejected::new(client::received(response)).into(),
        _ => reason.into(),
    })
}
