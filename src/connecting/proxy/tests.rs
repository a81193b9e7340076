//! The handshakes with both kinds of proxies, in pieces of any size.

use super::script::{self, Outcome, begin, compare, perform};
use super::*;
use crate::protocol::ProtocolError;
use crate::random_inputs::{self, bytes, choose};
use rand::RngExt as _;

fn http(response: &str) -> std::result::Result<Option<usize>, ProxyFailure> {
    let handshake = begin("http://proxy.example", "ws://example.com/");
    perform(handshake, response.as_bytes(), &[]).result
}

fn socks(proxy: &str, url: &str, replies: &[u8]) -> Outcome {
    perform(begin(proxy, url), replies, &[])
}

#[test]
fn s9_3_6_connect_names_the_host_and_the_port() {
    for (proxy, url, expected) in [
        (
            "http://p",
            "ws://example.com/a?b",
            "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
        ),
        (
            "http://p",
            "wss://u:p@example.com/",
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        ),
        ("http://p", "ws://[::1]:3012/", "CONNECT [::1]:3012 HTTP/1.1\r\nHost: [::1]:3012\r\n\r\n"),
        (
            "http://Aladdin:open%20sesame@p",
            "ws://a/",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(begin(proxy, url).output()), expected, "{url}");
    }
}

#[test]
fn s9_3_6_any_2xx_opens_the_tunnel_behind_the_head() {
    for head in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        "HTTP/1.1 204\r\n\r\n",
        // These fields have no meaning.
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(http(head), Ok(Some(head.len())), "{head}");
        assert_eq!(http(&format!("{head}\x16\x03\x03HTTP")), Ok(Some(head.len())), "{head}");
        assert_eq!(http(&head[..head.len() - 1]), Ok(None), "{head}");
    }
}

#[test]
fn s9_3_6_other_responses_are_errors() {
    for status in [101, 302, 400, 403, 407, 502] {
        let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno!");
        assert_eq!(http(&head), Err(ProxyFailure::Status(status)));
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(20);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(6));
    for (head, expected) in [
        ("SSH-2.0-OpenSSH\r\n", ProtocolError::MalformedHead),
        ("HTTP/2 200\r\n\r\n", ProtocolError::MalformedHead),
        (&long, ProtocolError::HeadTooLarge),
        (&interim, ProtocolError::HeadTooLarge),
        (&many, ProtocolError::TooManyHeaders),
    ] {
        assert_eq!(http(head), Err(ProxyFailure::Response(expected)), "{head}");
    }
}

#[test]
fn rfc1928_s4_the_proxy_resolves_the_name() {
    let (methods, reply) = ([5, 0], [5, 0, 0, 1, 192, 0, 2, 1, 0, 80]);
    let replies = [&methods[..], &reply].concat();
    let greeting = [5, 1, 0];
    let name = [&[5, 1, 0, 3, 11][..], b"example.com", &[0, 80]].concat();
    let ipv4 = [5, 1, 0, 1, 127, 0, 0, 1, 0x0b, 0xc4];
    let mut ipv6 = vec![5, 1, 0, 4];
    ipv6.extend([0; 15]);
    ipv6.extend([1, 1, 0xbb]);
    for (url, request) in
        [("ws://example.com/", &name[..]), ("ws://127.0.0.1:3012/", &ipv4), ("wss://[::1]/", &ipv6)]
    {
        let outcome = socks("socks5://p", url, &replies);
        assert_eq!(outcome, Outcome { sent: [&greeting, request].concat(), result: Ok(Some(12)) }, "{url}");
    }
}

#[test]
fn rfc1928_s6_a_reply_contains_an_address_of_any_type() {
    let name = [&[5, 0, 0, 3, 4][..], b"host", &[0, 80]].concat();
    let ipv6 = [&[5, 0, 0, 4][..], &[0; 16], &[0, 80]].concat();
    for reply in [&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name, &ipv6, &[5, 0, 0, 3, 0, 0, 80]] {
        let replies = [&[5, 0][..], reply].concat();
        let len = replies.len();
        let behind = [&replies[..], b"more"].concat();
        assert_eq!(socks("socks5://p", "ws://a/", &behind).result, Ok(Some(len)), "{reply:?}");
        assert_eq!(socks("socks5://p", "ws://a/", &replies[..len - 1]).result, Ok(None), "{reply:?}");
    }
}

#[test]
fn rfc1929_credentials_are_sent_if_the_proxy_asks_for_them() {
    let replies = [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let outcome = socks("socks5://user:se%00ret@p", "ws://a/", &replies);
    let sent = [&[5, 2, 0, 2, 1, 4][..], b"user", &[6], b"se\0ret", &[5, 1, 0, 3, 1, b'a', 0, 80]].concat();
    assert_eq!(outcome, Outcome { sent, result: Ok(Some(14)) });
    // The proxy may also do without.
    let outcome = socks("socks5://user:secret@p", "ws://a/", &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(outcome.result, Ok(Some(12)));
    assert!(!outcome.sent.windows(6).any(|sent| sent == b"secret"));
}

#[test]
fn rfc1928_other_replies_are_errors() {
    for (replies, expected) in [
        (&[5, 255][..], ProxyFailure::Authentication),
        (&[5, 1], ProxyFailure::Authentication),
        // It was not offered.
        (&[5, 2], ProxyFailure::Authentication),
        (&[4], ProxyFailure::NotSocks),
        (b"HTTP/1.1 400 Bad Request\r\n", ProxyFailure::NotSocks),
        (&[5, 0, 5, 2], ProxyFailure::Reply(2)),
        (&[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], ProxyFailure::Reply(5)),
        (&[5, 0, 4], ProxyFailure::NotSocks),
        (&[5, 0, 5, 0, 0, 2], ProxyFailure::NotSocks),
    ] {
        assert_eq!(socks("socks5://p", "ws://a/", replies).result, Err(expected), "{replies:?}");
    }
    for (replies, expected) in [
        (&[5, 2, 1, 1][..], ProxyFailure::Credentials),
        (&[5, 2, 5, 0], ProxyFailure::NotSocks),
        (&[5, 255], ProxyFailure::Authentication),
    ] {
        assert_eq!(socks("socks5://user:secret@p", "ws://a/", replies).result, Err(expected), "{replies:?}");
    }
}

#[test]
fn a_name_that_socks_cannot_express_is_an_error() {
    let host = format!("{}example", format!("{}.", "a".repeat(60)).repeat(5));
    let url: Url = format!("ws://{host}/").parse().unwrap();
    let proxy = Proxy::new("socks5://127.0.0.1:1").unwrap();
    let result = Handshake::new(proxy.server_for(&url).unwrap(), &url, &Config::default());
    let err = result.unwrap_err();
    assert_eq!(err.failure(), ProxyFailure::NameTooLong);
    let expected =
        "cannot connect through the proxy 127.0.0.1:1: the host of the URL is longer than 255 bytes";
    assert_eq!(err.to_string(), expected);
}

#[test]
fn errors_contain_the_proxy_and_no_credentials() {
    let mut handshake = begin("http://user:secret@proxy.example:3128", "ws://example.com/");
    let err = handshake.receive(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap_err();
    assert_eq!(err.address(), "proxy.example:3128");
    let expected =
        "cannot connect through the proxy proxy.example:3128: it requires other credentials (status 407)";
    assert_eq!(crate::Error::from(err).to_string(), expected);
    let debug = format!("{:?}", Proxy::new("http://user:secret@proxy.example:3128").unwrap());
    assert!(!debug.contains("secret") && debug.contains("proxy.example:3128"), "{debug}");
}

#[test]
fn f12_any_split_gives_the_same_result() {
    let proxies = ["http://u:p@p", "socks5://p", "socks5://u:p@p"];
    let pieces: [&[u8]; 12] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 407 No\r\n",
        b"A: b\r\n",
        b"\r\n",
        &[5, 0],
        &[5, 2],
        &[1, 0],
        &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 3, 4, 104, 111, 115, 116, 0, 80],
        &[5, 0, 0, 4],
        &[0; 18],
    ];
    random_inputs::for_each(|rng| {
        let mut replies = Vec::new();
        for _ in 0..rng.random_range(0..7) {
            match rng.random_range(0..6) {
                0 => replies.extend_from_slice(&bytes(rng, 0..4)),
                _ => replies.extend_from_slice(choose(rng, &pieces)),
            }
        }
        let cuts: Vec<usize> = (0..rng.random_range(0..32)).map(|_| rng.random_range(0..16)).collect();
        compare(choose(rng, &proxies), &replies, &cuts);
        script::run(&[&[rng.random(), rng.random()], &*replies].concat());
    });
}
