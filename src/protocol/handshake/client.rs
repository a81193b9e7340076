//! The client's side of the opening handshake (§4.1): the request before it is sent, and every check of the answer.

use super::http::Version;
use super::{Request, Response, accept_value, extensions, fields, protocols, server};
use crate::protocol::{Config, ProtocolError};

/// Completes the request: if the program offers no subprotocol, those of the configuration are offered, in their order.
pub(crate) fn complete(request: &mut Request, config: &Config) {
    if request.header(fields::PROTOCOL).is_none() {
        for protocol in config.subprotocols {
            request.add_protocol(protocol);
        }
    }
}

/// Checks a request before it is sent: §4.1 asks of the client what §4.2.1 has the server check.
///
/// The rules hold whatever the strict settings say; those are about the peer.
pub(crate) fn check_request(request: &Request) -> Result<(), ProtocolError> {
    server::check_upgrade(request, &Config::default())
}

/// Reads the head of a response.
pub(crate) fn parse_response(head: &[u8], config: &Config) -> Result<Response, ProtocolError> {
    Response::parse_head(head, config)
}

/// Returns whether a response only precedes the one that counts (RFC 9110 §15.2): any 1xx but 101.
///
/// The caller goes on with [`HeadBuffer::restart`](super::head::HeadBuffer::restart), whose limit covers all heads.
pub(crate) fn is_interim(response: &Response) -> bool {
    response.status() < 200 && response.status() != 101
}

/// Checks the answer of the server against §4.1, item by item.
pub(crate) fn check_response(
    request: &Request,
    response: &Response,
    config: &Config,
) -> Result<(), ProtocolError> {
    // Item 1: any other status is for HTTP to handle.
    if response.status() != 101 {
        return Err(ProtocolError::UnexpectedStatus(response.status()));
    }
    // HTTP/1.0 has no 101; who sends it does not know what it says.
    if response.http_version() != Version::Http11 {
        return Err(ProtocolError::HttpVersion);
    }
    // Items 2 and 3: |Upgrade| is "websocket", |Connection| contains the token "Upgrade", in any case.
    if !fields::has_token(response.headers(), fields::UPGRADE, "websocket") {
        return Err(ProtocolError::MissingUpgrade);
    }
    if !fields::has_token(response.headers(), fields::CONNECTION, "upgrade") {
        return Err(ProtocolError::MissingConnection);
    }
    check_accept(request, response, config)?;
    // Item 5, and §9.1 for the grammar.
    extensions::check_choice(request.headers(), response.headers(), ProtocolError::UnsolicitedExtension)?;
    // Item 6.
    protocols::check_choice(request.headers(), response.headers(), ProtocolError::UnsolicitedProtocol)
}

/// Item 4: |Sec-WebSocket-Accept| proves that the server has read our key; §11.3.3: only once.
fn check_accept(request: &Request, response: &Response, config: &Config) -> Result<(), ProtocolError> {
    if !config.key_strict {
        return Ok(());
    }
    let expected = fields::single(request.headers(), fields::KEY)?.map(accept_value);
    let accept = fields::single(response.headers(), fields::ACCEPT)?;
    match (expected, accept) {
        (Some(expected), Some(accept)) if expected.as_bytes() == accept => Ok(()),
        _ => Err(ProtocolError::AcceptMismatch),
    }
}
