//! The parts of a URL that appear in a request: the resource, the `Host` and the credentials (§3, §4.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::error::{Error, ErrorKind, Result, redacted};

/// The scheme for WebSockets over Unix sockets.
const UNIX_SCHEME: &str = "ws+unix";

/// The parts of a request that a URL determines.
pub(crate) struct Target {
    pub(crate) resource: String,
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
}

impl Target {
    /// Parses a URL with one of the schemes `ws`, `wss`, `http`, `https` and `ws+unix`.
    pub(crate) fn of(url: &Url) -> Result<Self> {
        let (host, resource) = match url.scheme() {
            "ws" | "wss" | "http" | "https" => (host_of(url)?, resource_of(url.path(), url.query())),
            UNIX_SCHEME => {
                let (_, resource) = unix_target(url).ok_or_else(|| {
                    refused("a ws+unix URL has the form ws+unix:///path/to/socket:/resource")
                })?;
                ("localhost".to_owned(), resource)
            }
            _ => return Err(unsupported_scheme(url)),
        };
        Ok(Self { resource, host, authorization: authorization_of(url)? })
    }
}

/// Splits a URL such as `ws+unix:///run/app.sock:/chat?room=1` into the path of the socket and the resource.
///
/// The path ends before its first colon; a colon in the path is written as `%3A`. The path is percent-decoded, the resource is
/// not, and it is `/` if the URL has none. Returns `None` if the URL has another scheme or a host, or if the path is empty,
/// relative, not UTF-8, or contains NUL.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::unix_target;
///
/// let url = "ws+unix:///run/my%20app.sock:/chat?room=1".parse()?;
/// assert_eq!(unix_target(&url), Some(("/run/my app.sock".into(), "/chat?room=1".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn unix_target(url: &Url) -> Option<(String, String)> {
    if url.scheme() != UNIX_SCHEME || url.host_str().is_some_and(|host| !host.is_empty()) {
        return None;
    }
    let (socket, path) = url.path().split_once(':').unwrap_or((url.path(), "/"));
    let socket = String::from_utf8(percent_decode(socket)).ok()?;
    if socket.len() < 2 || !socket.starts_with('/') || socket.contains('\0') {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    path.starts_with('/').then(|| (socket, resource_of(path, url.query())))
}

/// §3: the resource name is the path, `/` if it is empty, and the query. A fragment is never sent.
fn resource_of(path: &str, query: Option<&str>) -> String {
    let path = if path.is_empty() { "/" } else { path };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// §4.1, item 4: the host and, unless it is the default one, the port. The user is never part of `Host` (K4).
fn host_of(url: &Url) -> Result<String> {
    let host =
        url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("the URL has no host"))?;
    // `port` omits the default port of the scheme.
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Formats the credentials of a URL according to RFC 7617.
fn authorization_of(url: &Url) -> Result<Option<String>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut credentials = percent_decode(url.username());
    // RFC 7617 §2: a user name with a colon could not be separated from the password.
    if credentials.contains(&b':') {
        return Err(refused("the user in the URL contains a colon"));
    }
    credentials.push(b':');
    credentials.extend(percent_decode(url.password().unwrap_or_default()));
    Ok(Some(format!("Basic {}", STANDARD.encode(credentials))))
}

/// Decodes `%41` and leaves every other byte, a broken escape included, as it is (RFC 3986 §2.1).
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let escape = match (first, rest) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|digits| (digits, after)),
            _ => None,
        };
        match escape {
            Some(((high, low), after)) => {
                decoded.push(high << 4 | low);
                bytes = after;
            }
            None => {
                decoded.push(*first);
                bytes = rest;
            }
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Creates the error for a URL whose scheme no client supports.
pub(crate) fn unsupported_scheme(url: &Url) -> Error {
    let (url, scheme) = (redacted(url.as_str()), url.scheme());
    let details =
        format!("cannot connect to {url}: the scheme `{scheme}` is not one of ws, wss and {UNIX_SCHEME}");
    Error::new(ErrorKind::Protocol, details)
}

fn refused(details: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn target(url: &str) -> Target {
        Target::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn k4_host_omits_the_default_port_and_the_user() {
        for (url, host) in [
            ("ws://example.com", "example.com"),
            ("ws://example.com:80/", "example.com"),
            ("ws://example.com:443/", "example.com:443"),
            ("wss://example.com:443/", "example.com"),
            ("wss://example.com:80/", "example.com:80"),
            ("http://EXAMPLE.com/", "example.com"),
            ("https://user:secret@example.com:8443/", "example.com:8443"),
            ("ws://[::1]:3012/", "[::1]:3012"),
            ("ws://m\u{fc}nchen.example/", "xn--mnchen-3ya.example"),
        ] {
            assert_eq!(target(url).host, host, "{url}");
        }
    }

    #[test]
    fn s3_the_resource_is_the_path_and_query_without_the_fragment() {
        for (url, resource) in [
            ("ws://a", "/"),
            ("ws://a?", "/?"),
            ("ws://a/b/c?d=e#f", "/b/c?d=e"),
            ("ws://a/b c\r\nX: y", "/b%20cX:%20y"),
            ("ws://a/\u{e9}?\u{e9}", "/%C3%A9?%C3%A9"),
            ("ws+unix:///s:/r?q#f", "/r?q"),
        ] {
            assert_eq!(target(url).resource, resource, "{url}");
        }
    }

    #[test]
    fn credentials_are_sent_as_basic_authorization() {
        let of = |url| target(url).authorization;
        assert_eq!(of("ws://a/"), None);
        assert_eq!(of("ws://Aladdin:open%20sesame@a/").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(of("ws://user@a/").unwrap(), format!("Basic {}", STANDARD.encode("user:")));
        assert_eq!(of("ws://:pass@a/").unwrap(), format!("Basic {}", STANDARD.encode(":pass")));
        assert_eq!(of("ws://u:%0d%ff%zz@a/").unwrap(), format!("Basic {}", STANDARD.encode(b"u:\r\xff%zz")));
        assert!(Target::of(&"ws://a%3Ab:c@a/".parse().unwrap()).is_err());
    }

    #[test]
    fn unix_urls_contain_a_socket_path_and_a_resource() {
        let of = |url: &str| unix_target(&url.parse().unwrap());
        let some = |socket: &str, resource: &str| Some((socket.to_owned(), resource.to_owned()));
        assert_eq!(of("ws+unix:///run/a.sock"), some("/run/a.sock", "/"));
        assert_eq!(of("ws+unix:///run/a.sock:"), some("/run/a.sock", "/"));
        assert_eq!(of("ws+unix:///run/a.sock?q"), some("/run/a.sock", "/?q"));
        assert_eq!(of("ws+unix:///run/a%3Ab:/c:d?e#f"), some("/run/a:b", "/c:d?e"));
        assert_eq!(of("ws+unix:/run/a.sock:/x"), some("/run/a.sock", "/x"));
        for url in [
            "ws://a/b:/c",
            "ws+unix://run/a.sock",
            "ws+unix:///",
            "ws+unix:///a%00b",
            "ws+unix:///a%ff",
            "ws+unix:///a:b",
            "ws+unix:a",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
        assert_eq!(target("ws+unix:///s:/r").host, "localhost");
    }

    #[test]
    fn k4_other_urls_are_rejected() {
        for url in
            ["ftp://a/", "file:///etc/passwd", "mailto:a@b", "data:,x", "ws+unix://host/s:/r", "ws+unix:x"]
        {
            assert!(Request::from_url(&url.parse().unwrap()).is_err(), "{url}");
        }
    }
}
