//! The opening handshake of a server (§4.2): checks of the request, and of the response of the program.

use super::extended_connect::is_accepting;
use super::http::authority;
use super::http::head_buffer::HeadBuffer;
use super::http::headers;
use super::http::names::FieldName;
use super::http::syntax::{self, Version};
use super::{Extension, Request, Response, extensions, is_valid_key, subprotocols};
use crate::protocol::{Config, ProtocolError};

/// Takes the complete head of a request out of its buffer, and rejects requests that a server must answer with an error, whether they ask for a page or
/// for a WebSocket.
///
/// Requests of HTTP/1.0 are accepted: they may ask for a page, but not for an upgrade.
pub(crate) fn take_request(head: &mut HeadBuffer) -> Result<Box<Request>, ProtocolError> {
    let mut request = Box::new(Request::take(head)?);
    check_host(&request)?;
    normalize_target(&mut request)?;
    Ok(request)
}

/// Parses a head that was received by another HTTP server. The same limits apply as to a head that arrives here.
#[cfg(any(test, feature = "upgrade"))]
pub(crate) fn read_request(head: &[u8], config: &Config) -> Result<Request, ProtocolError> {
    let mut collected = HeadBuffer::request();
    match collected.feed(head, config)? {
        (len, true) if len == head.len() => take_request(&mut collected).map(|request| *request),
        _ => Err(ProtocolError::MalformedHead),
    }
}

/// RFC 9112 §3.2: a server MUST refuse a request of HTTP/1.1 without `Host`, and any with two or an invalid one.
fn check_host(request: &Request) -> Result<(), ProtocolError> {
    match request.fields().single(FieldName::Host) {
        Err(_) => Err(ProtocolError::MissingHost),
        Ok(None) if request.version == Version::Http11 => Err(ProtocolError::MissingHost),
        Ok(Some(host)) if authority::parse(host).is_none() => Err(ProtocolError::MalformedHead),
        Ok(_) => Ok(()),
    }
}

/// Converts a target to the form that programs expect: a path, or the `*` of `OPTIONS` (RFC 9112 §3.2).
///
/// §4.2.1, item 1, and RFC 9112 §3.2.2 require a server to accept the absolute form. Its host replaces the one in `Host`, which
/// MUST be ignored. Otherwise, the check of the origin and the program could use different hosts.
fn normalize_target(request: &mut Request) -> Result<(), ProtocolError> {
    let target = request.resource();
    if target.starts_with('/') || (target == "*" && request.method() == "OPTIONS") {
        return Ok(());
    }
    let (scheme, rest) = target.split_once("://").ok_or(ProtocolError::MalformedHead)?;
    if !["http", "https", "ws", "wss"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(ProtocolError::MalformedHead);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).ok_or(ProtocolError::MalformedHead)?;
    match authority::parse(host.as_bytes()) {
        Some(authority) if !authority.host.is_empty() => {}
        _ => return Err(ProtocolError::MalformedHead),
    }
    let host = host.as_bytes().to_vec();
    let resource = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    headers::replace(request.headers_mut(), FieldName::Host.text(), host);
    request.set_resource(resource);
    Ok(())
}

/// Checks a request for an upgrade against §4.2.1, item by item, and against what the server accepts (§4.2.2, item 4).
pub(crate) fn check_upgrade(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    check_request_line(request, config)?;
    // Items 3 and 4: |Upgrade| with the value "websocket", |Connection| with the token "Upgrade".
    if !request.is_upgrade() {
        return Err(ProtocolError::NotAnUpgrade);
    }
    check_no_body(request)?;
    // Item 6: |Sec-WebSocket-Version| with a value of 13; §11.3.5: only once. It is checked before the key, because older
    // versions have no key.
    match request.fields().single(FieldName::Version)? {
        Some(b"13") => {}
        _ => return Err(ProtocolError::UnsupportedVersion),
    }
    // RFC 8441 §5: an extended CONNECT has no key.
    if !request.is_extended_connect() {
        check_key(request, config)?;
    }
    // Item 8 and §4.2.2, item 4: the origin, if the server restricts it.
    if !config.origins.allows(request) {
        return Err(ProtocolError::OriginRefused);
    }
    // Items 9 and 10: the offers must be well-formed; §9.1: a malformed list of extensions MUST fail the connection.
    subprotocols::offered(request.fields())?;
    Extension::check_all(request.fields())?;
    Ok(())
}

/// §4.2.1, items 1 and 2.
fn check_request_line(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    // Item 1: HTTP/1.1 or higher, and GET; RFC 8441 §4: CONNECT.
    let method = match request.version {
        Version::Http10 => return Err(ProtocolError::HttpVersion),
        Version::Http11 => "GET",
        Version::Http2 => "CONNECT",
    };
    if config.method_strict && request.method() != method {
        return Err(ProtocolError::MethodNotGet);
    }
    // Item 2: |Host| with the server's authority.
    match request.fields().single(FieldName::Host) {
        Ok(Some(host)) if authority::parse(host).is_some_and(|authority| !authority.host.is_empty()) => {
            Ok(())
        }
        _ => Err(ProtocolError::MissingHost),
    }
}

/// An upgrade must not have a body, which could not be distinguished from the first frames (H9).
fn check_no_body(request: &Request) -> Result<(), ProtocolError> {
    let is_empty = match request.fields().single(FieldName::ContentLength)? {
        Some(length) => length == b"0",
        None => true,
    };
    let is_encoded = request.fields().first(FieldName::TransferEncoding).is_some();
    if is_empty && !is_encoded { Ok(()) } else { Err(ProtocolError::MalformedHead) }
}

/// §4.2.1, item 5: a key that, decoded, is 16 bytes in length; §11.3.1: only once.
fn check_key(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    if !config.key_strict {
        return request.fields().first(FieldName::Key).map(drop).ok_or(ProtocolError::InvalidKey);
    }
    match request.fields().single(FieldName::Key)? {
        Some(key) if is_valid_key(key) => Ok(()),
        _ => Err(ProtocolError::InvalidKey),
    }
}

/// Completes the response of the program. If it opens the connection and selects no subprotocol, the first supported one that the
/// client offers is selected (§4.2.2, item 4).
pub(crate) fn complete(response: &mut Response, request: &Request, config: &Config) {
    let is_undecided =
        !config.subprotocols.is_empty() && response.fields().first(FieldName::Protocol).is_none();
    if is_undecided && is_accepting(request, response) {
        let supported: Vec<&str> = config.subprotocols.iter().map(String::as_str).collect();
        response.choose_protocol(request, &supported);
    }
}

/// Checks the response of the program before it is sent (H12). Only responses with status 101, and those that accept an extended
/// CONNECT, are restricted.
pub(crate) fn check_response(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    if !is_accepting(request, response) {
        return Ok(());
    }
    // RFC 9110 §15.2.2: 101 is a response to `Upgrade` only.
    if !request.is_upgrade() {
        return Err(ProtocolError::NotAnUpgrade);
    }
    if !request.is_extended_connect() {
        check_accepting(request, response)?;
    }
    subprotocols::check_choice(request.fields(), response.fields(), ProtocolError::ProtocolNotOffered)?;
    extensions::check_choice(request.fields(), response.fields(), ProtocolError::ExtensionNotOffered)
}

/// §4.2.2, items 5.2 to 5.4: what the client requires.
fn check_accepting(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    let fields = response.fields();
    let upgrades = fields.as_accepting().is_some()
        || (fields.has_only_token(FieldName::Upgrade, b"websocket")
            && fields.has_token(FieldName::Connection, b"Upgrade"));
    if !upgrades {
        return Err(ProtocolError::UnsendableHead);
    }
    let expected = request.fields().accept_for_key().ok_or(ProtocolError::InvalidKey)?;
    match fields.single(FieldName::Accept)? {
        Some(accept) if accept == expected => Ok(()),
        _ => Err(ProtocolError::AcceptMismatch),
    }
}

/// Creates the response with which a server refuses a request.
///
/// Its text depends on the status only. The exact reason belongs in the log of the server (H13).
pub(crate) fn refusal(error: ProtocolError) -> Response {
    let status = error.http_status();
    let reason = syntax::default_reason(status);
    let mut response = Response::new(status, reason, format!("{status} {reason}\n").into_bytes());
    let mut add = |name: &str, value: &str| {
        response.headers_mut().push((name.to_owned(), value.as_bytes().to_vec()));
    };
    add("Content-Type", "text/plain; charset=utf-8");
    match status {
        // RFC 9110 §15.5.6: the response MUST list the allowed methods.
        405 => add("Allow", "GET"),
        426 => {
            // RFC 9110 §15.5.22: the response MUST name the protocol in Upgrade, and §7.8: list Upgrade in Connection.
            add(FieldName::Connection.text(), "close, Upgrade");
            add(FieldName::Upgrade.text(), "websocket");
            // §4.4: the response MUST list the versions that the server supports.
            add(FieldName::Version.text(), "13");
        }
        _ => {}
    }
    response
}

/// Creates the refusal of an extended CONNECT. HTTP/2 forbids fields of the connection (RFC 9113 §8.2.2), and with them status 426,
/// which requires `Upgrade` (RFC 9110 §15.5.22). `Sec-WebSocket-Version` stays.
#[cfg(feature = "upgrade")]
pub(crate) fn refusal_without_upgrade(error: ProtocolError) -> Response {
    let mut response = refusal(error);
    response.headers_mut().retain(|(name, _)| {
        !headers::is_named(name, FieldName::Connection.text())
            && !headers::is_named(name, FieldName::Upgrade.text())
    });
    match response.status() {
        405 => headers::replace(response.headers_mut(), "Allow", b"CONNECT".to_vec()),
        426 => {
            let bad = syntax::default_reason(400);
            let body = format!("400 {bad}\n").into_bytes();
            headers::replace(
                response.headers_mut(),
                FieldName::ContentLength.text(),
                body.len().to_string().into_bytes(),
            );
            response.set_status(400);
            response.set_reason(bad);
            response.set_body(body);
        }
        _ => {}
    }
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
