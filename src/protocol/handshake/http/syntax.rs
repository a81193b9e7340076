//! The syntax of HTTP/1.1 heads (RFC 9112) for requests and responses: decoding and encoding of lines and fields.
//!
//! Decoding is strict: if two recipients disagree on line breaks, requests can be smuggled (H8).

use std::fmt;

use super::fields::{self, Headers};
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
pub(crate) struct RequestLine<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) version: Version,
}

/// The first line of a response (RFC 9112 §4).
pub(crate) struct StatusLine<'h> {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: &'h [u8],
}

/// Splits a complete head, its empty line included, into the first line and the fields.
pub(crate) fn parse_head(head: &[u8], max_headers: usize) -> Result<(&[u8], Headers), ProtocolError> {
    let (line_feeds, line_breaks) = count_line_ends(head);
    // httparse accepts a lone LF as a line break, as RFC 9112 §2.2 allows. H8 forbids it.
    if line_feeds != line_breaks {
        return Err(ProtocolError::MalformedHead);
    }
    let (line, fields) = split_first_line(head).ok_or(ProtocolError::MalformedHead)?;
    // One line break for the first line, one for each field, and one for the empty line.
    let count = line_breaks.saturating_sub(2);
    if count > max_headers {
        return Err(ProtocolError::TooManyHeaders);
    }
    Ok((line, parse_fields(fields, count)?))
}

/// Counts the LFs, and those that follow a CR.
fn count_line_ends(head: &[u8]) -> (usize, usize) {
    // Compilers use vector instructions for counters that fit into a byte.
    const CHUNK: usize = 255;
    let feeds = head
        .chunks(CHUNK)
        .map(|chunk| chunk.iter().fold(0u8, |count, byte| count.wrapping_add(u8::from(*byte == b'\n'))));
    let seconds = head.get(1..).unwrap_or_default().chunks(CHUNK);
    let breaks = head.chunks(CHUNK).zip(seconds).map(|(firsts, seconds)| {
        let pairs = firsts.iter().zip(seconds);
        pairs.fold(0u8, |count, (first, second)| {
            count.wrapping_add(u8::from(*first == b'\r') & u8::from(*second == b'\n'))
        })
    });
    (feeds.map(usize::from).sum(), breaks.map(usize::from).sum())
}

fn parse_fields(fields: &[u8], count: usize) -> Result<Headers, ProtocolError> {
    let mut headers = vec![httparse::EMPTY_HEADER; count];
    match httparse::parse_headers(fields, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) if length == fields.len() => {
            Ok(headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect())
        }
        _ => Err(ProtocolError::MalformedHead),
    }
}

/// Splits at the first line break, which is not part of the result.
pub(crate) fn split_first_line(head: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = head.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = head.split_at_checked(end)?;
    Some((line, rest.strip_prefix(b"\r\n")?))
}

/// Skips empty lines before a request, as RFC 9112 §2.2 requires of a server.
pub(crate) fn skip_empty_lines(mut head: &[u8]) -> &[u8] {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    head
}

/// Parses the first line of a request: three words, separated by one space.
pub(crate) fn parse_request_line(line: &[u8]) -> Result<RequestLine<'_>, ProtocolError> {
    let line = std::str::from_utf8(line).map_err(|_| ProtocolError::MalformedHead)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ProtocolError::MalformedHead);
    };
    if !fields::is_token(method.as_bytes()) || !is_target(target) {
        return Err(ProtocolError::MalformedHead);
    }
    Ok(RequestLine { method, target, version: parse_version(version.as_bytes())? })
}

/// Parses the first line of a response. Some servers omit the space before an empty reason.
pub(crate) fn parse_status_line(line: &[u8]) -> Result<StatusLine<'_>, ProtocolError> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let reason = words.next().unwrap_or_default();
    let version = parse_version(version)?;
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = status else { return Err(ProtocolError::MalformedHead) };
    if !fields::is_text(reason) {
        return Err(ProtocolError::MalformedHead);
    }
    let number = std::str::from_utf8(status).ok().and_then(|digits| digits.parse().ok());
    Ok(StatusLine { version, status: number.ok_or(ProtocolError::MalformedHead)?, reason })
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
pub(crate) fn is_target(target: &str) -> bool {
    !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Appends the first line of a request.
pub(crate) fn encode_request_line(
    method: &str,
    target: &str,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    if !fields::is_token(method.as_bytes()) || !is_target(target) {
        return Err(ProtocolError::UnsendableHead);
    }
    append(out, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    Ok(())
}

/// Appends the first line of a response. An empty reason becomes the usual one of the status.
pub(crate) fn encode_status_line(status: u16, reason: &str, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    if !(100..=999).contains(&status) || !fields::is_text(reason.as_bytes()) {
        return Err(ProtocolError::UnsendableHead);
    }
    let reason = if reason.is_empty() { default_reason(status) } else { reason };
    append(out, &[b"HTTP/1.1 ", status.to_string().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    Ok(())
}

/// Appends the fields and the empty line after them.
pub(crate) fn encode_fields<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    for (name, value) in headers {
        fields::check_sendable(name, value)?;
        append(out, &[name.as_bytes(), b": ", value, b"\r\n"]);
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

/// Borrows the fields in the form that [`encode_fields`] needs.
pub(crate) fn borrowed(headers: &Headers) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
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
pub(crate) fn write_fields(f: &mut fmt::Formatter<'_>, headers: &Headers) -> fmt::Result {
    for (name, value) in headers {
        write_escaped(f, name.as_bytes())?;
        f.write_str(": ")?;
        write_escaped(f, value)?;
        f.write_str("\r\n")?;
    }
    f.write_str("\r\n")
}

/// Formats fields for `Debug`, with values as text instead of lists of numbers.
pub(crate) struct Shown<'h>(pub(crate) &'h Headers);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
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
