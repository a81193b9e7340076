//! The opening handshake (§1.3, §4): HTTP/1.1 heads to bytes and back, and the checks that an endpoint must make.
//!
//! A client sends a [`Request`] that asks for an upgrade, a server answers with a [`Response`] of status 101, and from
//! the next byte on the connection speaks frames.
//!
//! ```text
//! client                                                    server
//! Request::from_url -> encode    ──  request head  ──▶    HeadBuffer -> take_request
//!                                                           check_upgrade, then the program responds
//! HeadBuffer -> take_response   ◀── response head ──     check_response -> encode_for
//! check_response
//! ```
//!
//! Nothing here knows a socket or a clock: heads come in as slices, in pieces of any size, and go out into a `Vec<u8>`
//! that the caller passes. Timeouts, the order of the steps and what follows the head are handled by
//! [`Connection`](super::Connection).

pub(crate) mod client;
mod client_upgrade;
pub(crate) mod extended_connect;
mod extensions;
pub(crate) mod http;
mod origin;
mod rejected;
mod request;
mod request_parts;
mod response;
pub(crate) mod server;
pub(crate) mod subprotocols;
mod upgrade;

pub use self::client_upgrade::ClientUpgrade;
pub use self::http::body::Body;
pub use self::http::request_target::unix_target;
#[cfg(feature = "reactor")]
pub(crate) use self::http::request_target::unsupported_scheme;
pub use extensions::Extension;
pub use origin::{OriginPolicy, Origins};
pub use rejected::Rejected;
pub use request::Request;
pub use request_parts::secrets_match;
pub use response::Response;
pub use upgrade::Upgrade;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use self::http::grammar::{all_in, byte_set};

/// The text that a server appends to the key before hashing (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of a key before base64 encoding, in bytes (§4.1, item 7).
const KEY_LENGTH: usize = 16;

/// Returns the value of a new `Sec-WebSocket-Key`: 16 unpredictable bytes in base64 (§4.1, item 7).
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::generate_key;
///
/// assert_eq!(generate_key().len(), 24);
/// assert_ne!(generate_key(), generate_key());
/// ```
pub fn generate_key() -> String {
    STANDARD.encode(rand::random::<[u8; KEY_LENGTH]>())
}

/// Returns the `Sec-WebSocket-Accept` with which a server proves that it has received a key (§1.3, §4.2.2, item 5.4).
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::accept_value;
///
/// assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_value<K: AsRef<[u8]>>(key: K) -> String {
    accept_text(&accept_of(key.as_ref()))
}

/// The value of `Sec-WebSocket-Accept`: 20 bytes in base64.
type AcceptValue = [u8; 28];

fn accept_of(key: &[u8]) -> AcceptValue {
    let mut accept = AcceptValue::default();
    // It cannot fail: 20 bytes become 28 characters.
    let _ = STANDARD.encode_slice(Sha1::new().chain_update(key).chain_update(GUID).finalize(), &mut accept);
    accept
}

fn accept_text(accept: &AcceptValue) -> String {
    // It is ASCII.
    String::from_utf8_lossy(accept).into_owned()
}

/// Returns whether a key is the canonical base64 encoding of 16 bytes (§4.2.1, item 5).
fn is_valid_key(key: &[u8]) -> bool {
    const DIGITS: [bool; 256] = byte_set(b"+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    // 21 characters encode six bits each, and the last one encodes two: its other bits are zero.
    let [digits @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] = key else { return false };
    digits.len() == 21 && all_in(&DIGITS, digits)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::rngs::StdRng;

    use super::http::head_buffer::HeadBuffer;
    use super::http::{fields, grammar, headers};
    use super::*;
    use crate::protocol::{Config, ProtocolError};
    use crate::random_inputs::{self, bytes, choose};

    /// The opening handshake of §1.2 and §1.3, as the RFC prints it.
    const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";

    #[test]
    fn s1_3_the_example_handshake_is_accepted() {
        let config = Config::default();
        let request = server::read_request(REQUEST.as_bytes(), &config).unwrap();
        assert_eq!(server::check_upgrade(&request, &config), Ok(()));
        assert_eq!(request.protocols().unwrap(), ["chat", "superchat"]);

        let mut response = Response::from_request(&request).unwrap();
        let config = Config { subprotocols: vec!["chat".to_owned()], ..config };
        server::complete(&mut response, &request, &config);
        assert_eq!(server::check_response(&request, &response), Ok(()));

        let printed = read_response(RESPONSE.as_bytes(), &config).unwrap();
        assert_eq!(client::check_response(&request, &printed, &config), Ok(()));
        assert_eq!(printed.key().unwrap(), response.key().unwrap());
        assert_eq!(printed.protocol().unwrap(), response.protocol().unwrap());
    }

    #[test]
    fn s4_the_client_and_the_server_complete_a_handshake() {
        let config =
            Config { subprotocols: ["wamp", "soap"].map(String::from).to_vec(), ..Config::default() };
        let mut request = Request::from_url(&"ws://example.com/a?b".parse().unwrap()).unwrap();
        client::complete(&mut request, &config);
        assert_eq!(client::check_request(&request), Ok(()));
        let mut head = Vec::new();
        request.encode(&mut head).unwrap();

        let asked = server::read_request(&head, &config).unwrap();
        assert_eq!(server::check_upgrade(&asked, &config), Ok(()));
        let mut response = Response::from_request(&asked).unwrap();
        server::complete(&mut response, &asked, &config);
        assert_eq!(server::check_response(&asked, &response), Ok(()));
        let mut head = Vec::new();
        response.encode_for(false, &mut head).unwrap();

        let answered = read_response(&head, &config).unwrap();
        assert_eq!(client::check_response(&request, &answered, &config), Ok(()));
        assert_eq!(answered.protocol().unwrap(), Some("wamp"));
    }

    #[test]
    fn s4_1_keys_have_16_bytes_and_differ() {
        let keys: std::collections::HashSet<String> = (0..1000).map(|_| generate_key()).collect();
        assert_eq!(keys.len(), 1000);
        assert!(keys.iter().all(|key| is_valid_key(key.as_bytes())));
    }

    #[test]
    fn s4_2_1_a_key_must_be_16_bytes_in_canonical_base64() {
        assert!(is_valid_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            "",
            "abc",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            // The unused last bits are not zero: a second spelling of the same bytes.
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZXM=",
            "dGhlIHNhbXBsZSBub25jZQ== ",
            "dGhlIHNhbXBsZSB-b25jZQ==",
            "\u{e9}GhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_valid_key(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn s4_2_1_a_key_is_valid_if_a_decoder_finds_16_bytes() {
        let decodes = |key: &[u8]| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == KEY_LENGTH);
        random_inputs::for_each(|rng| {
            let mut key = generate_key().into_bytes();
            let at = rng.random_range(0..key.len());
            key[at] = rng.random();
            assert_eq!(is_valid_key(&key), decodes(&key), "{}", key.escape_ascii());
        });
        for last in 0..=u8::MAX {
            let key = [b"dGhlIHNhbXBsZSBub25jZ", &[last][..], b"=="].concat();
            assert_eq!(is_valid_key(&key), decodes(&key), "{}", key.escape_ascii());
        }
    }

    fn read_response(head: &[u8], config: &Config) -> Result<Response, ProtocolError> {
        let mut collected = HeadBuffer::response();
        match collected.feed(head, config)? {
            (_, true) => client::take_response(&mut collected),
            (_, false) => Err(ProtocolError::HandshakeCut),
        }
    }

    const PIECES: [&str; 15] = [
        "GET /chat HTTP/1.1\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 404\r\n",
        "Host: example.com\r\n",
        "Host: [::1]:80\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Extensions: a; b=\"c\\d\", e\r\n",
        "Sec-WebSocket-Protocol: a,b\r\n",
        "Origin: http://example.com\r\n",
        "X: \u{fc}\r\n",
        "Forwarded: for=\"[::1]:1\";by=x\r\n",
        "\r\n",
    ];

    /// Returns bytes that are a head more often than random ones are.
    fn almost_a_head(rng: &mut StdRng) -> Vec<u8> {
        let ends = [
            ("", ""),
            ("GET /chat HTTP/1.1\r\nHost: example.com\r\n", "\r\n"),
            ("HTTP/1.1 101 Switching Protocols\r\n", "\r\n"),
        ];
        let (first, last) = choose(rng, &ends);
        let mut head = first.as_bytes().to_vec();
        for _ in 0..rng.random_range(0..16) {
            match rng.random_range(0..6) {
                0 => head.extend_from_slice(&bytes(rng, 0..4)),
                1 => head.push(choose(rng, b"\r\n \t:,;=\"\\\0%[]/*")),
                _ => head.extend_from_slice(choose(rng, &PIECES).as_bytes()),
            }
        }
        head.extend_from_slice(last.as_bytes());
        head
    }

    fn read_all_of(request: &Request, config: &Config) {
        let _ = server::check_upgrade(request, config);
        let _ = (request.protocols(), request.extensions(), request.origin(), request.client_addr());
        let _ = (request.key(), request.hashed_key(), request.version(), request.is_upgrade());
        let _ = (format!("{request} {request:?}"), Origins::SameHost.allows(request));
        assert!(!request.to_string().contains(|c: char| c.is_control() && c != '\r' && c != '\n'));
        if let Ok(mut response) = Response::from_request(request) {
            server::complete(&mut response, request, config);
            let _ = server::check_response(request, &response);
        }
        let mut again = Vec::new();
        request.encode(&mut again).unwrap();
        assert!(Request::parse(&again).unwrap().is_some());
    }

    #[test]
    fn h7_a_server_handles_nearly_valid_requests_without_a_panic() {
        let config = Config { subprotocols: vec!["b".to_owned()], ..Config::default() };
        random_inputs::for_each(|rng| {
            let head = almost_a_head(rng);
            let _ = Request::parse(&head);
            if let Ok(request) = server::read_request(&head, &config) {
                read_all_of(&request, &config);
            }
        });
    }

    #[test]
    fn h7_a_client_handles_nearly_valid_responses_without_a_panic() {
        let config = Config::default();
        let request = server::read_request(REQUEST.as_bytes(), &config).unwrap();
        random_inputs::for_each(|rng| {
            let head = almost_a_head(rng);
            let _ = Response::parse(&head);
            if let Ok(response) = read_response(&head, &config) {
                let _ = client::check_response(&request, &response, &config);
                let _ = (format!("{response} {response:?}"), response.extensions(), response.protocol());
                let mut again = Vec::new();
                response.encode(&mut again).unwrap();
                assert!(Response::parse(&again).unwrap().is_some());
            }
        });
    }

    #[test]
    fn h7_random_bytes_are_parsed_without_a_panic() {
        random_inputs::for_each(|rng| {
            let bytes = bytes(rng, 0..512);
            let _ = (Request::parse(&bytes), Response::parse(&bytes));
            let _ = server::read_request(&bytes, &Config::default());
            let _ = read_response(&bytes, &Config::default());
            let _ = Extension::parse_list(&bytes);
        });
    }

    #[test]
    fn f12_any_split_gives_the_same_head() {
        let config = Config { max_head_size: 400, max_headers: 6, max_target_size: 12, ..Config::default() };
        let kinds: [(fn() -> HeadBuffer, Take); 2] = [
            (HeadBuffer::request, |head| {
                head.take_request().map(|(line, fields)| (format!("{line:?}"), fields))
            }),
            (HeadBuffer::response, |head| {
                head.take_response().map(|(line, fields)| (format!("{line:?}"), fields))
            }),
        ];
        random_inputs::for_each(|rng| {
            let head = almost_a_head(rng);
            let cuts: Vec<usize> = (0..rng.random_range(0..64)).map(|_| rng.random_range(0..64)).collect();
            let single = vec![1; head.len()];
            for (new, take) in kinds {
                let whole = collect(new(), take, &head, &[], &config);
                assert_eq!(whole, collect(new(), take, &head, &cuts, &config));
                assert_eq!(whole, collect(new(), take, &head, &single, &config));
            }
        });
    }

    #[test]
    fn h11_a_header_that_can_be_set_is_sent_as_one_header() {
        let names = b"ABYZabyz0189 :_-";
        random_inputs::for_each(|rng| {
            let name: String = (0..rng.random_range(1..5)).map(|_| char::from(choose(rng, names))).collect();
            let value: Vec<u8> =
                (0..rng.random_range(0..4)).map(|_| choose(rng, b"ab:, \t\xfc\r\n\0")).collect();
            let mut response = Response::new(200, "", Vec::new());
            if response.set_header(&name, &value).is_ok() {
                let mut out = Vec::new();
                response.encode(&mut out).unwrap();
                let read = Response::parse(&out).unwrap().unwrap();
                assert_eq!(read.headers().len(), response.headers().len());
                assert_eq!(read.header(&name).map(|value| grammar::trim(value)), Some(grammar::trim(&value)));
            }
        });
    }

    /// What is parsed of a head, and the number of bytes after it. `None` if the head is incomplete.
    type Collected = Option<(String, headers::Headers, usize)>;

    /// Takes a head out of a buffer: its first line, and its fields.
    type Take = fn(&mut HeadBuffer) -> Result<(String, fields::Fields), ProtocolError>;

    /// Pushes bytes in pieces of the given lengths, and the rest at once.
    fn collect(
        mut head: HeadBuffer,
        take: Take,
        bytes: &[u8],
        cuts: &[usize],
        config: &Config,
    ) -> Result<Collected, ProtocolError> {
        let mut bytes = bytes.to_vec();
        let mut rest = bytes.as_mut_slice();
        for length in cuts.iter().copied().chain([usize::MAX]) {
            let (mut piece, others) = rest.split_at_mut(length.min(rest.len()));
            if head.push(&mut piece, config)? {
                let left = piece.len().saturating_add(others.len());
                return take(&mut head).map(|(line, fields)| Some((line, fields.list().clone(), left)));
            }
            assert!(piece.is_empty());
            rest = others;
        }
        Ok(None)
    }
}
