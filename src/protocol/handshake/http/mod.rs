//! As much of HTTP/1.1 as an opening handshake needs (RFC 9110, RFC 9112).

pub(crate) mod authority;
pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod grammar;
pub(crate) mod head_buffer;
pub(crate) mod headers;
pub(crate) mod names;
mod received;
pub(crate) mod request_target;
pub(crate) mod response_encoder;
pub(crate) mod syntax;
