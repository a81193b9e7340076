//! Heads against the grammar of RFC 9112.

use super::super::head_buffer::HeadBuffer;
use super::super::headers::Headers;
use super::*;
use crate::protocol::Config;

/// The fields of a head that is complete.
fn head(bytes: &[u8]) -> Result<Headers, ProtocolError> {
    let mut head = HeadBuffer::request();
    match head.feed(bytes, &Config::default())? {
        (len, true) if len == bytes.len() => head.take_request().map(|(_, fields)| fields.list().clone()),
        _ => Err(ProtocolError::MalformedHead),
    }
}

#[test]
fn header_values_are_trimmed_bytes() {
    let headers = head(b"GET / HTTP/1.1\r\nA: \t b c \t\r\nB:\r\nC: \r\nD:\xff\xfe\r\n\r\n").unwrap();
    let values: Vec<&[u8]> = headers.iter().map(|(_, value)| value.as_slice()).collect();
    assert_eq!(values, [&b"b c"[..], b"", b"", b"\xff\xfe"]);
}

#[test]
fn h8_malformed_headers_are_rejected() {
    for text in [
        "A : b\r\n\r\n",
        "A: b\r\n c\r\n\r\n",
        " A: b\r\n\r\n",
        "A: b\n\r\n",
        "A: b\r\n\n",
        "A: b\rc\r\n\r\n",
        "A: \0\r\n\r\n",
        "A: \u{8}\r\n\r\n",
        "A\r\n\r\n",
        ": b\r\n\r\n",
        "A b: c\r\n\r\n",
        "A: b\r\n",
        "\r\nmore",
        "",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{text}");
        assert_eq!(head(bytes.as_bytes()), Err(ProtocolError::MalformedHead), "{text:?}");
    }
}

#[test]
fn h8_heads_without_a_valid_first_line_are_rejected() {
    for text in ["x\r\nA: b\r\n\r\n", "x", ""] {
        assert_eq!(head(text.as_bytes()), Err(ProtocolError::MalformedHead), "{text:?}");
    }
}

#[test]
fn h3_101_headers_are_rejected() {
    let text = |count| [b"GET / HTTP/1.1\r\n", &b"A: b\r\n".repeat(count)[..], b"\r\n"].concat();
    assert_eq!(head(&text(100)).map(|headers| headers.len()), Ok(100));
    assert_eq!(head(&text(101)), Err(ProtocolError::TooManyHeaders));
    assert_eq!(head(&text(0)), Ok(Vec::new()));
}

#[test]
fn request_lines_are_parsed_or_rejected() {
    let line = parse_request_line(b"GET /a?b HTTP/1.1").unwrap();
    assert_eq!((&*line.method, &*line.target, line.version), ("GET", "/a?b", Version::Http11));
    assert_eq!(parse_request_line(b"POST / HTTP/1.1").unwrap().method, "POST");
    assert_eq!(parse_request_line(b"GET / HTTP/1.0").unwrap().version, Version::Http10);
    assert_eq!(parse_request_line(b"GET / HTTP/1.2").unwrap().version, Version::Http11);
    for (line, error) in [
        ("GET / HTTP/2.0", ProtocolError::HttpVersion),
        ("GET / HTTP/0.9", ProtocolError::HttpVersion),
        ("PRI * HTTP/2.0", ProtocolError::HttpVersion),
        ("GET /", ProtocolError::MalformedHead),
        ("GET  / HTTP/1.1", ProtocolError::MalformedHead),
        ("GET / HTTP/1.1 ", ProtocolError::MalformedHead),
        ("GET / x HTTP/1.1", ProtocolError::MalformedHead),
        ("GET\t/ HTTP/1.1", ProtocolError::MalformedHead),
        ("G(T / HTTP/1.1", ProtocolError::MalformedHead),
        (" / HTTP/1.1", ProtocolError::MalformedHead),
        ("GET  HTTP/1.1", ProtocolError::MalformedHead),
        ("GET /\u{9b} HTTP/1.1", ProtocolError::MalformedHead),
        ("GET / http/1.1", ProtocolError::MalformedHead),
        ("GET / HTTP/1.10", ProtocolError::MalformedHead),
        ("GET / HTTP/11", ProtocolError::MalformedHead),
    ] {
        assert_eq!(parse_request_line(line.as_bytes()).map(|_| ()), Err(error), "{line:?}");
    }
}

#[test]
fn targets_are_visible_ascii_without_a_fragment() {
    for byte in 0..=u8::MAX {
        assert_eq!(is_target(&[b'/', byte]), byte.is_ascii_graphic() && byte != b'#', "{byte:#x}");
    }
    assert!(!is_target(b""));
}

#[test]
fn status_lines_are_parsed_or_rejected() {
    for (text, status, reason) in [
        ("HTTP/1.1 101 Switching Protocols", 101, "Switching Protocols"),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.1 404", 404, ""),
        ("HTTP/1.1 999 \u{fc}", 999, "\u{fc}"),
    ] {
        let line = parse_status_line(text.as_bytes()).unwrap();
        assert_eq!((line.status, &*line.reason), (status, reason));
    }
    for text in [
        "HTTP/1.1",
        "HTTP/1.1  200",
        "HTTP/1.1 20",
        "HTTP/1.1 2000",
        "HTTP/1.1 099",
        "HTTP/1.1 +99",
        "200 OK",
        "HTTP/1.1 200 \u{1b}",
    ] {
        assert_eq!(
            parse_status_line(text.as_bytes()).map(|_| ()),
            Err(ProtocolError::MalformedHead),
            "{text:?}"
        );
    }
}

#[test]
fn h17_text_from_a_peer_is_escaped() {
    struct Text(&'static [u8]);
    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_escaped(f, self.0)
        }
    }
    assert_eq!(Text(b"a\x1b[2J\t\xc2\x9b\xff\xc3\xbc").to_string(), "a\\u{1b}[2J\\t\\u{9b}\\xff\u{fc}");
}
