//! `host[:port]`, as in `Host` and in an origin (RFC 3986 §3.2, RFC 9110 §7.2).

use super::grammar::{byte_set, contains};

/// A host and an optional port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authority<'h> {
    pub(crate) host: &'h [u8],
    pub(crate) port: Option<u16>,
}

/// Parses `host[:port]`. An IPv6 address keeps its brackets. The host may be empty, as in `Host`.
///
/// Text with a user, a path, a space or another character that is invalid in a host is rejected as a whole.
pub(crate) fn parse(bytes: &[u8]) -> Option<Authority<'_>> {
    let len = match bytes {
        [b'[', literal @ ..] => {
            let len = len_of(literal, &LITERAL);
            if len == 0 || literal.get(len) != Some(&b']') {
                return None;
            }
            // The brackets belong to the host.
            len.saturating_add(2)
        }
        _ => len_of(bytes, &NAME),
    };
    let (host, port) = bytes.split_at_checked(len)?;
    Some(Authority { host, port: parse_port(port)? })
}

/// Parses `[:port]`: `None` if it is invalid, `Some(None)` if there is no number (RFC 3986 allows a lone colon).
fn parse_port(text: &[u8]) -> Option<Option<u16>> {
    match text {
        [] | [b':'] => Some(None),
        [b':', digits @ ..] => {
            let digits = digits.iter().map(|digit| digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0')));
            let add = |port: u16, digit: Option<u8>| port.checked_mul(10)?.checked_add(u16::from(digit?));
            digits.into_iter().try_fold(0, add).map(Some)
        }
        _ => None,
    }
}

/// Returns how many bytes at the front are in a set.
fn len_of(bytes: &[u8], set: &[bool; 256]) -> usize {
    bytes.iter().position(|byte| !contains(set, *byte)).unwrap_or(bytes.len())
}

/// The characters of a name: `unreserved / pct-encoded / sub-delims` (RFC 3986 §3.2.2).
const NAME: [bool; 256] =
    byte_set(b"-._~%!$&'()*+,;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// The characters of an IP literal: IPv6, IPv4 within it, a zone, a future version (RFC 3986 §3.2.2, RFC 6874).
const LITERAL: [bool; 256] =
    byte_set(b":.%-_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_parsed() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[fe80::1%25eth0]:80", "[fe80::1%25eth0]", Some(80)),
            ("", "", None),
        ] {
            let authority = parse(text.as_bytes()).unwrap();
            assert_eq!((authority.host, authority.port), (host.as_bytes(), port));
        }
    }

    #[test]
    fn h7_invalid_hosts_are_rejected() {
        for text in [
            "a b", "user@a", "a/b", "a?b", "a#b", "a:b", "a:+80", "a:65536", "a:1:2", "::1", "[::1", "[]",
            "[::1]80", "[a@b]", "a\\b", "\u{e9}",
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(parse(b"a\xff").is_none());
    }
}
