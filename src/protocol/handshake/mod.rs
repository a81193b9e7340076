//! The opening handshake (§1.3, §4): HTTP/1.1 heads to bytes and back, and every check that an endpoint owes its peer.
//!
//! A client sends a [`Request`] that asks for an upgrade, a server answers with a [`Response`] of status 101, and from
//! the next byte on the connection speaks frames.
//!
//! ```text
//! client                                                    server
//! Request::from_url -> encode    ──  request head  ──▶    HeadBuffer -> parse_request
//!                                                           check_upgrade, then the program answers
//! HeadBuffer -> parse_response   ◀── response head ──     check_response -> encode_for
//! check_response
//! ```
//!
//! Nothing here knows a socket or a clock: heads come in as slices, in pieces of any size, and go out into a `Vec<u8>`
//! that the caller lends. Time-outs, the order of the steps and what follows the head are the business of
//! [`Connection`](super::Connection).

mod answer;
mod authority;
pub(crate) mod client;
mod extensions;
mod fields;
pub(crate) mod head;
mod http;
mod origin;
mod protocols;
mod request;
mod response;
pub(crate) mod server;
mod target;

pub use extensions::Extension;
pub use origin::Origins;
pub use request::Request;
pub use response::Response;
pub use target::unix_target;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What a server appends to the key before it hashes it (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of a key before it is written in base64, in bytes (§4.1, item 7).
const KEY_LENGTH: usize = 16;

/// Makes the value of a new `Sec-WebSocket-Key`: 16 unpredictable bytes in base64 (§4.1, item 7).
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::generate_key;
///
/// assert_eq!(generate_key().len(), 24);
/// assert_ne!(generate_key(), generate_key());
/// ```
pub fn generate_key() -> String {
    STANDARD.encode(rand::random::<[u8; KEY_LENGTH]>())
}

/// Computes the `Sec-WebSocket-Accept` by which a server proves that it has read a key (§1.3, §4.2.2, item 5.4).
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::accept_value;
///
/// assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_value<K: AsRef<[u8]>>(key: K) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Returns whether a key stands for 16 bytes, in the one form that base64 has for them (§4.2.1, item 5).
fn is_valid_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == KEY_LENGTH)
}
