//! The header of the PROXY protocol, in which a proxy sends the address of its client.
//!
//! This module finds the end of a header of either version (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>), and
//! limits the length. The crate `proxy-header` parses the addresses. The fields behind them are ignored.

use std::net::SocketAddr;
use std::ops::Range;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};

use crate::error::{Error, ErrorKind, Result};

/// The beginning of version 1, which is a line of text (§2.1).
const V1_PREFIX: &[u8] = b"PROXY ";

/// The beginning of version 2, which is binary (§2.2).
const V2_PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Where version 2 contains the length of what follows.
const V2_LEN: Range<usize> = 14..16;

/// The maximum length of version 1, in bytes with the end of the line (§2.1).
const MAX_V1: usize = 107;

/// The maximum length of version 2, in bytes. The fields behind the addresses can contain the certificate of a client.
pub(super) const MAX_V2: usize = 4096;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of bytes.
    pub(super) len: usize,
    /// The address of the client. `None` if the proxy itself is the client, or if the client has no IP address.
    pub(super) client: Option<SocketAddr>,
}

/// Parses the header at the beginning of the input. `None` means that more input is needed.
pub(super) fn parse(input: &[u8]) -> Result<Option<Header>> {
    let (len, max) = bounds(input).ok_or_else(invalid)?;
    let Some(len) = len.filter(|len| *len <= max) else {
        return if len.is_none() && input.len() < max { Ok(None) } else { Err(invalid()) };
    };
    let Some(header) = input.get(..len) else { return Ok(None) };
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, _) = ProxyHeader::parse(header, config).map_err(|_| invalid())?;
    Ok(Some(Header { len, client: client(&header)? }))
}

/// Returns the length of the header that begins like the input, once it is known, and its maximum length. `None` means that no
/// header begins so.
fn bounds(input: &[u8]) -> Option<(Option<usize>, usize)> {
    let begins_like = |prefix: &[u8]| input.iter().zip(prefix).all(|(byte, expected)| byte == expected);
    if begins_like(V2_PREFIX) {
        let len = input.get(V2_LEN).and_then(|len| len.try_into().ok());
        let len = len.map(|len| V2_LEN.end + usize::from(u16::from_be_bytes(len)));
        return Some((len, MAX_V2));
    }
    let line = || input.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    begins_like(V1_PREFIX).then(|| (line(), MAX_V1))
}

/// Returns the address of the client. The header of a TCP connection cannot describe a UDP client.
fn client(header: &ProxyHeader<'_>) -> Result<Option<SocketAddr>> {
    match header.proxied_address() {
        Some(addresses) if addresses.protocol == Protocol::Datagram => Err(invalid()),
        addresses => Ok(addresses.map(|addresses| addresses.source)),
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::Protocol, "the PROXY header is missing, malformed or too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_inputs::{self, bytes, choose};

    /// 192.0.2.1:56324, connected to 198.51.100.1:443.
    const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    /// Returns a header of version 2. `rest` follows the length.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_PREFIX, &[command, family], &len, rest].concat()
    }

    /// Asserts that the last byte completes the header, and that the input behind it does not matter.
    #[track_caller]
    fn check(header: &[u8], client: Option<&str>) {
        for len in 0..header.len() {
            assert_eq!(parse(&header[..len]).unwrap(), None, "{len} bytes");
        }
        let expected = Header { len: header.len(), client: client.map(|client| client.parse().unwrap()) };
        for rest in [&b""[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", &[b'\n'; 8000]] {
            assert_eq!(parse(&[header, rest].concat()).unwrap(), Some(expected));
        }
    }

    #[track_caller]
    fn check_invalid(input: &[u8]) {
        assert!(parse(input).is_err(), "{}", input.escape_ascii());
    }

    #[test]
    fn version_1_contains_the_address_of_the_client() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Some("192.0.2.1:56324"));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", Some("[2001:db8::1]:1"));
    }

    #[test]
    fn version_2_contains_the_address_of_the_client() {
        check(&v2(0x21, 0x11, &IPV4), Some("192.0.2.1:56324"));
        let with_field = [&IPV4[..], &[0xe0, 0, 2, 1, 2]].concat();
        check(&v2(0x21, 0x11, &with_field), Some("192.0.2.1:56324"));
        let client = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
        check(&v2(0x21, 0x21, &[&client[..], &[0; 16], &[0, 7, 1, 0xbb]].concat()), Some("[2001:db8::1]:7"));
    }

    #[test]
    fn a_header_can_have_no_address() {
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN what follows is ignored\r\n", None);
        // A health check of the proxy, whose addresses are ignored.
        check(&v2(0x20, 0x00, b""), None);
        check(&v2(0x20, 0x11, &IPV4), None);
        // Unspecified, and a Unix domain socket.
        check(&v2(0x21, 0x00, b""), None);
        check(&v2(0x21, 0x31, &[b'a'; 216]), None);
    }

    #[test]
    fn the_length_limits_are_inclusive() {
        let v1 = |len: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(len - 16));
        check(v1(107).as_bytes(), None);
        check_invalid(v1(108).as_bytes());
        check_invalid(&v1(108).as_bytes()[..107]);
        assert_eq!(parse(&v1(108).as_bytes()[..106]).unwrap(), None);
        check(&v2(0x20, 0x00, &[0; 4096 - 16]), None);
        let longer = v2(0x20, 0x00, &[0; 4096 - 15]);
        check_invalid(&longer);
        check_invalid(&longer[..16]);
    }

    #[test]
    fn a_malformed_header_is_invalid() {
        for line in ["TCP4 192.0.2.1 198.51.100.1 56324", "TCP4 a b 1 2", "TCP5 192.0.2.1 192.0.2.1 1 2"] {
            check_invalid(format!("PROXY {line}\r\n").as_bytes());
        }
        check_invalid(b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n");
        check_invalid(b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n");
        check_invalid(b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\rG\r\n");
        check_invalid(b"PROXY_UNKNOWN\r\n\r\n");
        // An unknown version, command and family, too few addresses, and UDP.
        check_invalid(&v2(0x31, 0x11, &IPV4));
        check_invalid(&v2(0x22, 0x11, &IPV4));
        check_invalid(&v2(0x21, 0x41, &IPV4));
        check_invalid(&v2(0x21, 0x11, &IPV4[1..]));
        check_invalid(&v2(0x21, 0x31, &IPV4));
        check_invalid(&v2(0x21, 0x12, &IPV4));
    }

    #[test]
    fn the_first_wrong_byte_is_detected() {
        for input in ["G", "\x16", "\0", "POST", "\r\n\r\nGET"] {
            check_invalid(input.as_bytes());
            assert_eq!(parse(&input.as_bytes()[..input.len() - 1]).unwrap_or(None), None);
        }
    }

    #[test]
    fn any_input_has_a_result() {
        random_inputs::for_each(|rng| {
            let begin =
                choose(rng, &[&V1_PREFIX[..3], V1_PREFIX, b"PROXY TCP4 ", V2_PREFIX, b"PROXY UNKNOWN"]);
            let input = [begin, &bytes(rng, 0..300)].concat();
            if let Ok(Some(header)) = parse(&input) {
                assert!(header.len <= input.len());
            }
        });
    }
}
