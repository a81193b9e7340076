//! `host[:port]`, as in `Host` and in an origin (RFC 3986 §3.2, RFC 9110 §7.2).

/// A host and an optional port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authority<'h> {
    pub(crate) host: &'h str,
    pub(crate) port: Option<u16>,
}

/// Parses `host[:port]`. An IPv6 address keeps its brackets. The host may be empty, as in `Host`.
///
/// Text with a user, a path, a space or another character that is invalid in a host is rejected as a whole.
pub(crate) fn parse(bytes: &[u8]) -> Option<Authority<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, after) = literal.split_once(']')?;
            if address.is_empty() || !address.bytes().all(is_literal_byte) {
                return None;
            }
            // The brackets belong to the host.
            (text.get(..address.len().saturating_add(2))?, after)
        }
        None => text.split_at_checked(text.find(':').unwrap_or(text.len()))?,
    };
    if !host.starts_with('[') && !host.bytes().all(is_name_byte) {
        return None;
    }
    Some(Authority { host, port: parse_port(port)? })
}

/// Parses `[:port]`: `None` if it is invalid, `Some(None)` if there is no number (RFC 3986 allows a lone colon).
fn parse_port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(None),
        Some("") => Some(None),
        // `parse` alone would accept a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(Some),
        Some(_) => None,
    }
}

/// `unreserved / pct-encoded / sub-delims` (RFC 3986 §3.2.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

/// The characters of an IP literal: IPv6, IPv4 within it, a zone, a future version (RFC 3986 §3.2.2, RFC 6874).
fn is_literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.%-_~".contains(&byte)
}

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
            assert_eq!((authority.host, authority.port), (host, port));
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
