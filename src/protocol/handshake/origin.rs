//! The sites whose pages can open a WebSocket (§4.2.2 item 4, §10.2).

use super::Request;
use super::http::authority::{self, Authority};
use super::http::names::FieldName;

/// The origins from which a server accepts WebSockets.
///
/// A browser lets every page open a WebSocket to every server, and sends the cookies of that server. A server that relies on
/// cookies must therefore check the origin of the page. Otherwise, a page of an attacker can act on behalf of its visitor
/// (cross-site WebSocket hijacking).
///
/// A request without `Origin` is accepted by every policy. Browsers always send this header, and other programs can send any
/// value. The check protects users of browsers; it does not authenticate clients (§10.2).
///
/// # Examples
///
/// ```
/// use sockeye::{Origins, Request};
///
/// let mut request = Request::from_url(&"wss://chat.example.com/".parse()?)?;
/// request.set_header("Origin", "https://example.com.evil.example")?;
/// assert!(!Origins::Only(&["https://example.com"]).allows(&request));
/// request.set_header("Origin", "https://EXAMPLE.com:443")?;
/// assert!(Origins::Only(&["https://example.com"]).allows(&request));
/// assert!(!Origins::SameHost.allows(&request));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origins {
    /// Every origin, including `null`.
    #[default]
    Any,
    /// The host and port in the `Host` header of the request.
    ///
    /// The scheme is not compared, because a server behind a proxy that terminates TLS does not know it. A missing port means
    /// the default port of the origin's scheme. A proxy must pass `Host` on unchanged.
    SameHost,
    /// The listed origins, in the form that browsers use, such as `https://example.com` or `http://localhost:8080`.
    ///
    /// Scheme and host are compared case-insensitively, and a missing port means the default port of the scheme. `null`, which
    /// sandboxed pages and local files send, matches only if it is listed. An entry that is not an origin, for example one with
    /// a path, never matches.
    Only(&'static [&'static str]),
}

impl Origins {
    /// Returns whether a request comes from an origin that is accepted.
    ///
    /// See the example of [`Origins`].
    pub fn allows(&self, request: &Request) -> bool {
        match self {
            Self::Any => true,
            Self::SameHost => is_allowed(request, |origin| is_same_host(origin, request)),
            Self::Only(origins) => is_allowed(request, |origin| is_listed(origin, origins)),
        }
    }
}

/// The origins that a server accepts, as in [`Origins`], with a list that is owned.
///
/// An `Origins` converts into an `OriginPolicy`. A list that is read at run time, for example from a configuration file,
/// does not have to be `'static`.
///
/// # Examples
///
/// ```
/// use sockeye::Origins;
/// use sockeye::protocol::Config;
/// use sockeye::protocol::handshake::OriginPolicy;
///
/// let listed = "https://example.com https://www.example.com".split(' ').map(String::from).collect();
/// let config = Config { origins: OriginPolicy::Only(listed), ..Config::default() };
/// # drop(config);
/// let config = Config { origins: Origins::SameHost.into(), ..Config::default() };
/// # drop(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Every origin, including `null`.
    #[default]
    Any,
    /// The host and port in the `Host` header of the request. See [`Origins::SameHost`].
    SameHost,
    /// The listed origins. See [`Origins::Only`].
    Only(Vec<String>),
}

impl OriginPolicy {
    /// Returns whether a request comes from an origin that is accepted.
    ///
    /// See the example of [`Origins`].
    pub fn allows(&self, request: &Request) -> bool {
        match self {
            Self::Any => true,
            Self::SameHost => Origins::SameHost.allows(request),
            Self::Only(origins) => is_allowed(request, |origin| is_listed(origin, origins)),
        }
    }

    /// Returns an entry of the list that is not an origin, and so can never match.
    #[cfg(feature = "reactor")]
    pub(crate) fn malformed(&self) -> Option<&str> {
        let Self::Only(origins) = self else { return None };
        let is_origin = |origin: &str| origin == "null" || Origin::parse(origin.as_bytes()).is_some();
        origins.iter().map(String::as_str).find(|origin| !is_origin(origin))
    }
}

impl From<Origins> for OriginPolicy {
    fn from(origins: Origins) -> Self {
        match origins {
            Origins::Any => Self::Any,
            Origins::SameHost => Self::SameHost,
            Origins::Only(origins) => Self::Only(origins.iter().copied().map(String::from).collect()),
        }
    }
}

/// Returns whether a request has no origin, or one that is accepted.
fn is_allowed(request: &Request, is_accepted: impl FnOnce(&[u8]) -> bool) -> bool {
    match request.fields().single(FieldName::Origin) {
        Ok(Some(origin)) => is_accepted(origin),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn is_listed<S: AsRef<str>>(origin: &[u8], origins: &[S]) -> bool {
    origins.iter().any(|accepted| is_same(origin, accepted.as_ref().as_bytes()))
}

/// An origin: scheme, host and port (RFC 6454 §4).
struct Origin<'h> {
    scheme: &'h str,
    authority: Authority<'h>,
}

impl<'h> Origin<'h> {
    /// Parses the form of RFC 6454 §6.2, `scheme://host[:port]`. Nothing is normalized: text that no browser sends is not an
    /// origin.
    fn parse(bytes: &'h [u8]) -> Option<Self> {
        let (scheme, authority) = std::str::from_utf8(bytes).ok()?.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let authority = authority::parse(authority.as_bytes())?;
        (is_scheme && !authority.host.is_empty()).then_some(Self { scheme, authority })
    }

    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| self.default_port())
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        }
    }
}

fn is_same(origin: &[u8], accepted: &[u8]) -> bool {
    if origin == b"null" || accepted == b"null" {
        return origin == accepted;
    }
    let Some((origin, accepted)) = Origin::parse(origin).zip(Origin::parse(accepted)) else { return false };
    origin.scheme.eq_ignore_ascii_case(accepted.scheme)
        && origin.authority.host.eq_ignore_ascii_case(accepted.authority.host)
        && origin.port() == accepted.port()
}

fn is_same_host(origin: &[u8], request: &Request) -> bool {
    let Ok(Some(host)) = request.fields().single(FieldName::Host) else { return false };
    let Some((origin, host)) = Origin::parse(origin).zip(authority::parse(host)) else { return false };
    origin.authority.host.eq_ignore_ascii_case(host.host)
        && origin.port() == host.port.or_else(|| origin.default_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: &str) -> Request {
        let mut request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        request.set_header("Host", host).unwrap();
        request.set_header("Origin", origin).unwrap();
        request
    }

    const LIST: Origins = Origins::Only(&["https://example.com", "http://localhost:8080", "app://shell"]);

    #[test]
    fn h15_listed_origins_are_allowed() {
        for origin in [
            "https://example.com",
            "https://example.com:443",
            "HTTPS://Example.COM",
            "http://localhost:8080",
            "app://shell",
        ] {
            assert!(LIST.allows(&request("a", origin)), "{origin}");
        }
    }

    #[test]
    fn h15_origins_similar_to_listed_ones_are_rejected() {
        for origin in [
            "http://example.com",
            "https://example.com:80",
            "https://example.com:8443",
            "https://example.com.evil.example",
            "https://evil-example.com",
            "https://sub.example.com",
            "https://example.com.",
            "https://example.com/",
            "https://example.com@evil.example",
            "https://evil.example/https://example.com",
            "https://evil.example#https://example.com",
            "https://example.com https://evil.example",
            "https://example.com, https://evil.example",
            "https://example.com\\evil.example",
            "http://localhost",
            "http://localhost:8081",
            "app://shell:80",
            "example.com",
            "https:example.com",
            "//example.com",
            "://example.com",
            "https://",
            "null",
            "",
        ] {
            assert!(!LIST.allows(&request("example.com", origin)), "{origin}");
        }
    }

    #[test]
    fn h15_the_origin_null_is_allowed_only_if_listed() {
        let null = request("example.com", "null");
        assert!(Origins::Any.allows(&null));
        assert!(!Origins::SameHost.allows(&null));
        assert!(!Origins::SameHost.allows(&request("null", "null")));
        assert!(Origins::Only(&["null"]).allows(&null));
        assert!(!Origins::Only(&["null"]).allows(&request("a", "https://null")));
        assert!(!Origins::Only(&[]).allows(&null));
    }

    #[test]
    fn h15_same_host_compares_host_and_port() {
        for (host, origin) in [
            ("example.com", "http://example.com"),
            ("example.com", "https://EXAMPLE.com"),
            ("Example.com:443", "https://example.com"),
            ("example.com:8080", "http://example.com:8080"),
            ("[::1]:3012", "http://[::1]:3012"),
        ] {
            assert!(Origins::SameHost.allows(&request(host, origin)), "{host} {origin}");
        }
        for (host, origin) in [
            ("example.com", "http://example.com:8080"),
            ("example.com:8080", "http://example.com"),
            ("example.com:80", "https://example.com"),
            ("example.com", "http://example.com.evil.example"),
            ("example.com", "http://evil.example"),
            ("example.com", "http://example.com/"),
            ("", "http://example.com"),
        ] {
            assert!(!Origins::SameHost.allows(&request(host, origin)), "{host} {origin}");
        }
    }

    #[test]
    fn h15_several_origins_or_hosts_are_rejected() {
        let mut twice = request("example.com", "https://example.com");
        twice.add_header("origin", "https://example.com").unwrap();
        assert!(!LIST.allows(&twice) && !Origins::SameHost.allows(&twice));
        let mut twice = request("example.com", "https://example.com");
        twice.add_header("host", "example.com").unwrap();
        assert!(!Origins::SameHost.allows(&twice));
    }

    #[test]
    fn s10_2_requests_without_an_origin_are_allowed() {
        let request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        assert!(
            LIST.allows(&request)
                && Origins::SameHost.allows(&request)
                && Origins::Only(&[]).allows(&request)
        );
    }
}
