//! Lists of subprotocols (§1.9, §4.1 item 10, §11.3.4).

use std::collections::HashSet;

use super::http::fields::Fields;
use super::http::grammar;
use super::http::names::FieldName;
use crate::protocol::ProtocolError;

/// Parses the subprotocols that a request offers in all of its fields. Without such a field, the list is empty.
pub(super) fn offered(fields: &Fields) -> Result<Vec<&[u8]>, ProtocolError> {
    if fields.first(FieldName::Protocol).is_none() {
        return Ok(Vec::new());
    }
    let offered: Vec<&[u8]> = fields.elements(FieldName::Protocol).collect();
    // §4.1, item 10: the elements MUST be non-empty tokens, and MUST all be unique.
    let mut seen = HashSet::new();
    let are_unique_tokens =
        offered.iter().all(|protocol| grammar::is_token(protocol) && seen.insert(*protocol));
    if !are_unique_tokens || offered.is_empty() {
        return Err(ProtocolError::MalformedList);
    }
    Ok(offered)
}

/// Returns an entry of a list that no handshake can contain: it is not a token, or it is repeated.
#[cfg(feature = "reactor")]
pub(crate) fn malformed(protocols: &[String]) -> Option<&str> {
    let mut seen = HashSet::new();
    protocols
        .iter()
        .map(String::as_str)
        .find(|protocol| !grammar::is_token(protocol.as_bytes()) || !seen.insert(*protocol))
}

/// Checks the subprotocol that a response selects: at most one, and one that the request offers
/// (§4.1, item 6; §4.2.2, item 5.5).
pub(super) fn check_choice(
    request: &Fields,
    response: &Fields,
    not_offered: ProtocolError,
) -> Result<(), ProtocolError> {
    // §11.3.4: the header MUST NOT appear more than once in a response.
    let Some(chosen) = response.single(FieldName::Protocol)? else { return Ok(()) };
    // Subprotocols are compared case-sensitively, as in browsers.
    if offered(request)?.contains(&chosen) { Ok(()) } else { Err(not_offered) }
}
