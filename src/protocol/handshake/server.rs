//! The server's side of the opening handshake (§4.2): every check of a request, and of what the program answers.

use super::fields;
use super::http::{self, Version};
use super::{Extension, Request, Response, accept_value, authority, extensions, is_valid_key, protocols};
use crate::protocol::{Config, ProtocolError};

/// Reads the head of a request, and refuses what no server should answer in any other way than with an error, whether
/// it asks for a page or for a WebSocket.
///
/// A request of HTTP/1.0 passes: its client may be given a page. An upgrade it may not ask for.
pub(crate) fn parse_request(head: &[u8], config: &Config) -> Result<Request, ProtocolError> {
    let mut request = Request::parse_head(head, config)?;
    check_host(&request)?;
    normalize_target(&mut request)?;
    Ok(request)
}

/// RFC 9112 §3.2: a server MUST refuse a request of HTTP/1.1 without `Host`, and any with two or an invalid one.
fn check_host(request: &Request) -> Result<(), ProtocolError> {
    match fields::single(request.headers(), fields::HOST) {
        Err(_) => Err(ProtocolError::MissingHost),
        Ok(None) if request.http_version() == Version::Http11 => Err(ProtocolError::MissingHost),
        Ok(Some(host)) if authority::parse(host).is_none() => Err(ProtocolError::MalformedHead),
        Ok(_) => Ok(()),
    }
}

/// Brings a target to the form in which programs expect it: a path, or the `*` of `OPTIONS` (RFC 9112 §3.2).
///
/// §4.2.1, item 1, and RFC 9112 §3.2.2 have a server accept the absolute form. Its host replaces that of `Host`, which
/// MUST be ignored then, or a check of the origin could be answered from one and the request from the other.
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
    fields::replace(request.headers_mut(), fields::HOST, host);
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
    // Item 6: |Sec-WebSocket-Version| with a value of 13; §11.3.5: only once. It comes before the key, which an older
    // version may not know.
    match fields::single(request.headers(), fields::VERSION)? {
        Some(b"13") => {}
        _ => return Err(ProtocolError::UnsupportedVersion),
    }
    check_key(request, config)?;
    // Item 8 and §4.2.2, item 4: the origin, if the server wants to know.
    if !config.origins.allows(request) {
        return Err(ProtocolError::OriginRefused);
    }
    // Items 9 and 10: what is offered must be readable; §9.1: a malformed list of extensions MUST fail the connection.
    protocols::offered(request.headers())?;
    Extension::parse_all(request.headers())?;
    Ok(())
}

/// §4.2.1, items 1 and 2.
fn check_request_line(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    // Item 1: HTTP/1.1 or higher, and GET.
    if request.http_version() != Version::Http11 {
        return Err(ProtocolError::HttpVersion);
    }
    if config.method_strict && request.method() != "GET" {
        return Err(ProtocolError::MethodNotGet);
    }
    // Item 2: |Host| with the server's authority.
    match fields::single(request.headers(), fields::HOST) {
        Ok(Some(host)) if authority::parse(host).is_some_and(|authority| !authority.host.is_empty()) => {
            Ok(())
        }
        _ => Err(ProtocolError::MissingHost),
    }
}

/// An upgrade has no body: its bytes could not be told from the first frames (H9).
fn check_no_body(request: &Request) -> Result<(), ProtocolError> {
    let is_empty = match fields::single(request.headers(), fields::CONTENT_LENGTH)? {
        Some(length) => length == b"0",
        None => true,
    };
    let is_encoded = fields::find(request.headers(), fields::TRANSFER_ENCODING).is_some();
    if is_empty && !is_encoded { Ok(()) } else { Err(ProtocolError::MalformedHead) }
}

/// §4.2.1, item 5: a key that, decoded, is 16 bytes in length; §11.3.1: only once.
fn check_key(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    if !config.key_strict {
        return fields::find(request.headers(), fields::KEY).map(drop).ok_or(ProtocolError::InvalidKey);
    }
    match fields::single(request.headers(), fields::KEY)? {
        Some(key) if is_valid_key(key) => Ok(()),
        _ => Err(ProtocolError::InvalidKey),
    }
}

/// Completes what the program answers: with status 101 and no subprotocol chosen, the first of ours that the client
/// offers is (§4.2.2, item 4).
pub(crate) fn complete(response: &mut Response, request: &Request, config: &Config) {
    if response.status() == 101 && response.header(fields::PROTOCOL).is_none() {
        response.choose_protocol(request, config.subprotocols);
    }
}

/// Checks what the program answers, before anything of it is sent (H12); any other status than 101 is free.
pub(crate) fn check_response(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    if response.status() != 101 {
        return Ok(());
    }
    // RFC 9110 §15.2.2: 101 answers an Upgrade; a page was asked for otherwise.
    if !request.is_upgrade() {
        return Err(ProtocolError::NotAnUpgrade);
    }
    check_accepting(request, response)?;
    protocols::check_choice(request.headers(), response.headers(), ProtocolError::ProtocolNotOffered)?;
    extensions::check_choice(request.headers(), response.headers(), ProtocolError::ExtensionNotOffered)
}

/// §4.2.2, items 5.2 to 5.4: what the client is going to demand.
fn check_accepting(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    let headers = response.headers();
    let upgrades = fields::has_token(headers, fields::UPGRADE, "websocket")
        && fields::has_token(headers, fields::CONNECTION, "upgrade");
    if !upgrades {
        return Err(ProtocolError::UnsendableHead);
    }
    let key = fields::find(request.headers(), fields::KEY).ok_or(ProtocolError::InvalidKey)?;
    match fields::single(headers, fields::ACCEPT)? {
        Some(accept) if accept == accept_value(key).as_bytes() => Ok(()),
        _ => Err(ProtocolError::AcceptMismatch),
    }
}

/// Makes the response by which a server refuses a request.
///
/// Its text is fixed for each status: what exactly was wrong is for the log of the server (H13).
pub(crate) fn refusal(error: ProtocolError) -> Response {
    let status = error.http_status();
    let reason = http::default_reason(status);
    let mut response = Response::new(status, reason, format!("{status} {reason}\n").into_bytes());
    let mut add = |name: &str, value: &str| {
        response.headers_mut().push((name.to_owned(), value.as_bytes().to_vec()));
    };
    add("Content-Type", "text/plain; charset=utf-8");
    match status {
        // RFC 9110 §15.5.6: the answer MUST say which methods are allowed.
        405 => add("Allow", "GET"),
        426 => {
            // RFC 9110 §15.5.22: the answer MUST name the protocol to upgrade to, and §7.8 in Connection, too.
            add(fields::CONNECTION, "close, Upgrade");
            add(fields::UPGRADE, "websocket");
            // §4.4: the answer MUST name the versions that the server knows.
            add(fields::VERSION, "13");
        }
        _ => {}
    }
    response
}
