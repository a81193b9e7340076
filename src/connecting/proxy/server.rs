//! A proxy as its URL describes it.

use std::fmt;

use url::{Host, Url};

use super::error::{ProxyError, ProxyFailure};
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::protocol::handshake::http::request_target::percent_decode;

/// The most bytes of a user, of a password (RFC 1929 §2), and of a name (RFC 1928 §5).
pub(super) const MAX_FIELD: usize = 255;

/// How a client talks to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    Socks5,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

/// One proxy: its address, how to talk to it, and the credentials for it.
#[derive(Debug, Clone)]
pub(crate) struct ProxyServer {
    kind: ProxyKind,
    host: Host,
    port: u16,
    /// The host and port, for error texts.
    address: String,
    credentials: Option<Credentials>,
}

impl ProxyServer {
    /// Parses a URL such as `http://user:password@host:port`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|err| invalid(text, &err.to_string()))?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            "https" => return Err(invalid(text, "TLS to the proxy itself is not supported")),
            _ => return Err(invalid(text, "the scheme is not one of http, socks5 and socks5h")),
        };
        let host = host(&url).ok_or_else(|| invalid(text, "it has no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(text, "something follows the host and port"));
        }
        let port = url.port().unwrap_or(default_port);
        let credentials = credentials(&url);
        if let Some(why) = credentials.as_ref().and_then(|credentials| credentials.problem(kind)) {
            return Err(invalid(text, why));
        }
        Ok(Self { kind, address: format!("{host}:{port}"), host, port, credentials })
    }

    pub(super) fn kind(&self) -> ProxyKind {
        self.kind
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The host and port, for error texts.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn error(&self, failure: ProxyFailure) -> ProxyError {
        ProxyError { address: self.address.clone(), failure }
    }
}

/// Returns the host of a URL. The parser does not look for addresses if the scheme is not one of the web.
fn host(url: &Url) -> Option<Host> {
    match url.host()? {
        Host::Domain("") => None,
        Host::Domain(name) => Host::parse(name).ok(),
        Host::Ipv4(address) => Some(Host::Ipv4(address)),
        Host::Ipv6(address) => Some(Host::Ipv6(address)),
    }
}

fn credentials(url: &Url) -> Option<Credentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let (user, password) =
        (percent_decode(url.username()), percent_decode(url.password().unwrap_or_default()));
    Some(Credentials { user, password })
}

impl Credentials {
    /// Returns why they cannot be sent to a proxy.
    fn problem(&self, kind: ProxyKind) -> Option<&'static str> {
        let fits = |field: &[u8]| (1..=MAX_FIELD).contains(&field.len());
        match kind {
            // RFC 7617 §2: a user name with a colon could not be separated from the password.
            ProxyKind::Http => self.user.contains(&b':').then_some("the user contains a colon"),
            ProxyKind::Socks5 => (!fits(&self.user) || !fits(&self.password))
                .then_some("SOCKS needs a user and a password of 1 to 255 bytes"),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn invalid(url: &str, why: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("cannot use the proxy {}: {why}", redacted(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> ProxyServer {
        ProxyServer::parse(url).unwrap()
    }

    #[test]
    fn a_url_contains_the_kind_and_the_address() {
        for (url, kind, address) in [
            ("http://proxy.example", ProxyKind::Http, "proxy.example:80"),
            ("HTTP://Proxy.example:3128/", ProxyKind::Http, "proxy.example:3128"),
            ("http://[::1]:3128", ProxyKind::Http, "[::1]:3128"),
            ("socks5://Proxy.example", ProxyKind::Socks5, "proxy.example:1080"),
            ("socks5h://127.0.0.1:9050", ProxyKind::Socks5, "127.0.0.1:9050"),
        ] {
            let server = parse(url);
            assert_eq!((server.kind(), server.address()), (kind, address), "{url}");
        }
        assert!(matches!(parse("socks5://127.0.0.1").host(), Host::Ipv4(_)));
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let server = parse("http://us%20er:se%3Acret@proxy.example");
        let credentials = server.credentials().unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), (&b"us er"[..], &b"se:cret"[..]));
        assert!(!format!("{server:?}").contains("cret"));
        assert!(!server.error(ProxyFailure::Status(407)).to_string().contains("user"));
        assert_eq!(parse("http://proxy.example").credentials(), None);
        assert_eq!(parse("http://user@proxy.example").credentials().unwrap().password, b"");
    }

    #[test]
    fn other_urls_are_rejected_without_their_credentials() {
        let long = format!("socks5://{}:x@proxy.example", "u".repeat(256));
        for url in [
            "proxy.example:3128",
            "https://user:secret@proxy.example",
            "socks4://user:secret@proxy.example",
            "http://user:secret@",
            "socks5://user:secret@:1080",
            "http://user:secret@proxy.example/path",
            "http://user:secret@proxy.example?query",
            "http://us%3Aer:secret@proxy.example",
            "socks5://user@proxy.example",
            "socks5://:secret@proxy.example",
            &long,
            "",
        ] {
            let err = ProxyServer::parse(url).unwrap_err();
            assert!(matches!(err.kind, ErrorKind::Protocol), "{url}");
            assert!(!err.to_string().contains("secret"), "{err}");
            assert!(err.to_string().starts_with("cannot use the proxy "), "{err}");
        }
    }
}
