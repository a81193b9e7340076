//! The syntax of HTTP/1.1 heads (RFC 9112) for requests and responses: decoding and encoding of lines and fields.
//!
//! Decoding is strict: if two recipients disagree on line breaks, requests can be smuggled (H8).

use std::borrow::Cow;
use std::fmt;

use super::fields::Fields;
use super::grammar::{self, all_in, byte_set};
use super::headers;
use crate::error::{Error, ErrorKind};
use crate::protocol::ProtocolError;

/// The supported versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0, in which a request can ask for a page but not for an upgrade.
    Http10,
    /// HTTP/1.1, and later versions 1.x, which are compatible with 1.1 (RFC 9110 §2.5).
    Http11,
    /// HTTP/2 and later versions, whose heads other crates decode and encode (RFC 8441, RFC 9220).
    Http2,
}

/// The first line of a request (RFC 9112 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Cow<'static, str>,
    pub(crate) target: String,
    pub(crate) version: Version,
}

/// The first line of a response (RFC 9112 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: Cow<'static, str>,
}

/// Parses the first line of a request: three words, separated by one space.
pub(crate) fn parse_request_line(line: &[u8]) -> Result<RequestLine, ProtocolError> {
    // All valid versions have the same length.
    let Some((words, version)) = line.split_last_chunk::<8>() else {
        return Err(ProtocolError::MalformedHead);
    };
    let Some((method, target)) = words.strip_suffix(b" ").and_then(|words| split_once(words, b' ')) else {
        return Err(ProtocolError::MalformedHead);
    };
    if !grammar::is_token(method) || !is_target(target) {
        return Err(ProtocolError::MalformedHead);
    }
    let version = parse_version(version)?;
    let method = match method {
        b"GET" => Cow::Borrowed("GET"),
        // A token, and so ASCII.
        other => Cow::Owned(String::from_utf8_lossy(other).into_owned()),
    };
    let target = String::from_utf8(target.to_vec()).map_err(|_| ProtocolError::MalformedHead)?;
    Ok(RequestLine { method, target, version })
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == separator)?)?;
    rest.split_first().map(|(_, rest)| (first, rest))
}

/// Parses the first line of a response. Some servers omit the space before an empty reason.
pub(crate) fn parse_status_line(line: &[u8]) -> Result<StatusLine, ProtocolError> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let reason = words.next().unwrap_or_default();
    let version = parse_version(version)?;
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = status else { return Err(ProtocolError::MalformedHead) };
    if !grammar::is_text(reason) {
        return Err(ProtocolError::MalformedHead);
    }
    let number = std::str::from_utf8(status).ok().and_then(|digits| digits.parse().ok());
    let status = number.ok_or(ProtocolError::MalformedHead)?;
    let usual = default_reason(status);
    let reason = if reason == usual.as_bytes() {
        Cow::Borrowed(usual)
    } else {
        Cow::Owned(String::from_utf8_lossy(reason).into_owned())
    };
    Ok(StatusLine { version, status, reason })
}

fn parse_version(word: &[u8]) -> Result<Version, ProtocolError> {
    match word {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(ProtocolError::HttpVersion),
        _ => Err(ProtocolError::MalformedHead),
    }
}

/// Returns whether the text can be a request target, which is visible ASCII. Other characters must be percent-encoded.
///
/// A target has no fragment (RFC 9112 §3.2, RFC 6455 §3).
pub(crate) fn is_target(target: &[u8]) -> bool {
    const TARGET: [bool; 256] = byte_set(
        b"!\"$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
    );
    !target.is_empty() && all_in(&TARGET, target)
}

/// Appends the first line of a request.
pub(crate) fn encode_request_line(
    method: &str,
    target: &str,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    if !grammar::is_token(method.as_bytes()) || !is_target(target.as_bytes()) {
        return Err(ProtocolError::UnsendableHead);
    }
    append(out, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    Ok(())
}

/// Appends the first line of a response. An empty reason becomes the usual one of the status.
pub(crate) fn encode_status_line(status: u16, reason: &str, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    if !(100..=999).contains(&status) || !grammar::is_text(reason.as_bytes()) {
        return Err(ProtocolError::UnsendableHead);
    }
    let reason = if reason.is_empty() { default_reason(status) } else { reason };
    append(out, &[b"HTTP/1.1 ", status.to_string().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    Ok(())
}

/// Appends the fields and the empty line after them.
pub(crate) fn encode_fields<'h>(
    fields: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    for (name, value) in fields {
        headers::check_sendable(name, value)?;
        append(out, &[name, b": ", value, b"\r\n"]);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Removes what was appended if the rest cannot be encoded.
pub(crate) fn all_or_nothing(
    out: &mut Vec<u8>,
    append: impl FnOnce(&mut Vec<u8>) -> Result<(), ProtocolError>,
) -> Result<(), ProtocolError> {
    let start = out.len();
    append(out).inspect_err(|_| out.truncate(start))
}

fn append(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Formats bytes of a peer as text that is safe in a terminal and in a log: control characters and bytes that are not text are
/// escaped (H17).
pub(crate) fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    use fmt::Write as _;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

/// Formats fields and the empty line for people.
pub(crate) fn write_fields(f: &mut fmt::Formatter<'_>, fields: &Fields) -> fmt::Result {
    for (name, value) in fields.iter() {
        write_escaped(f, name)?;
        f.write_str(": ")?;
        write_escaped(f, value)?;
        f.write_str("\r\n")?;
    }
    f.write_str("\r\n")
}

/// Formats fields for `Debug`, with values as text instead of lists of numbers.
pub(crate) struct Shown<'h>(pub(crate) &'h Fields);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.0
                    .iter()
                    .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value))),
            )
            .finish()
    }
}

/// Converts an error of the core to the error of the public `parse` functions, where invalid syntax is `ErrorKind::Http`.
pub(crate) fn parse_error(err: ProtocolError) -> Error {
    match err {
        ProtocolError::MalformedHead => Error::new(ErrorKind::Http(httparse::Error::Token), err.to_string()),
        ProtocolError::HttpVersion => Error::new(ErrorKind::Http(httparse::Error::Version), err.to_string()),
        ProtocolError::TooManyHeaders => {
            Error::new(ErrorKind::Http(httparse::Error::TooManyHeaders), err.to_string())
        }
        _ => err.into(),
    }
}

/// Returns the reason phrase of a status, or an empty string for an unknown status (RFC 9110 §15, RFC 6585).
pub(crate) fn default_reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
