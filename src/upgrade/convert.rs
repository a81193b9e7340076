//! Conversion between the heads of `http` and those of the core.

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::protocol::handshake::{Request, Response, server};
use crate::protocol::{Config, ProtocolError};

/// The fields that belong to a connection of HTTP/1.1. In a request of HTTP/2 they are malformed (RFC 9113 §8.2.2).
const CONNECTION_SPECIFIC: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request, or its head: an [`http::Request`] with any body, or [`http::request::Parts`].
///
/// # Examples
///
/// ```
/// use sockeye::http::Request;
/// use sockeye::upgrade::{RequestHead, is_upgrade};
///
/// fn kind(request: &impl RequestHead) -> &'static str {
///     if is_upgrade(request) { "websocket" } else { "page" }
/// }
///
/// assert_eq!(kind(&Request::new("body")), "page");
/// assert_eq!(kind(&Request::new(()).into_parts().0), "page");
/// ```
pub trait RequestHead: sealed::Sealed {
    /// Returns the method. See the example of [`RequestHead`].
    fn method(&self) -> &Method;

    /// Returns the URI: a path, or for HTTP/2 with the scheme and the authority. See the example of [`RequestHead`].
    fn uri(&self) -> &Uri;

    /// Returns the version of HTTP. See the example of [`RequestHead`].
    fn version(&self) -> Version;

    /// Returns the headers. See the example of [`RequestHead`].
    fn headers(&self) -> &HeaderMap;
}

mod sealed {
    /// Only this crate implements it. See the example of [`RequestHead`](super::RequestHead).
    pub trait Sealed {}

    impl<B> Sealed for http::Request<B> {}
    impl Sealed for http::request::Parts {}
}

impl<B> RequestHead for http::Request<B> {
    fn method(&self) -> &Method {
        Self::method(self)
    }

    fn uri(&self) -> &Uri {
        Self::uri(self)
    }

    fn version(&self) -> Version {
        Self::version(self)
    }

    fn headers(&self) -> &HeaderMap {
        Self::headers(self)
    }
}

impl RequestHead for Parts {
    fn method(&self) -> &Method {
        &self.method
    }

    fn uri(&self) -> &Uri {
        &self.uri
    }

    fn version(&self) -> Version {
        self.version
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Converts a request for an upgrade of HTTP/1.1.
pub(super) fn upgrade_request(request: &impl RequestHead, config: &Config) -> Result<Request, ProtocolError> {
    // HTTP/2 has another form of request (RFC 8441), and HTTP/1.0 has none.
    if request.version() != Version::HTTP_11 {
        return Err(ProtocolError::HttpVersion);
    }
    parse(request, None, config)
}

/// Converts an extended CONNECT (RFC 8441 §4).
pub(super) fn connect_request(
    request: &impl RequestHead,
    protocol: Option<&str>,
    config: &Config,
) -> Result<Request, ProtocolError> {
    if request.version() < Version::HTTP_2 {
        return Err(ProtocolError::HttpVersion);
    }
    if request.method() != Method::CONNECT {
        return Err(ProtocolError::MethodNotGet);
    }
    if protocol != Some("websocket") {
        return Err(ProtocolError::WrongConnectProtocol);
    }
    if CONNECTION_SPECIFIC.iter().any(|name| request.headers().contains_key(*name)) {
        return Err(ProtocolError::MalformedHead);
    }
    // With `:protocol`, `:scheme` and `:path` MUST be present.
    if request.uri().scheme().is_none() || request.uri().path_and_query().is_none() {
        return Err(ProtocolError::MalformedHead);
    }
    let authority = request.uri().authority().ok_or(ProtocolError::MissingHost)?.as_str();
    // RFC 9113 §8.3.1: a `Host` with another authority is malformed.
    let is_same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if !request.headers().get_all(HOST).iter().all(is_same) {
        return Err(ProtocolError::MalformedHead);
    }
    Ok(parse(request, Some(authority), config)?.into_extended_connect())
}

/// Parses a request with the core, so that its limits and checks apply. `authority` replaces `Host`.
fn parse(
    request: &impl RequestHead,
    authority: Option<&str>,
    config: &Config,
) -> Result<Request, ProtocolError> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let line = format!("{} {target} HTTP/1.1", request.method());
    let host = authority.map(|authority| ("host", authority.as_bytes()));
    let others = request.headers().iter().filter(|(name, _)| authority.is_none() || *name != HOST);
    let fields = host.into_iter().chain(others.map(|(name, value)| (name.as_str(), value.as_bytes())));
    read_fields(&line, fields, config)
}

/// Parses a head whose first line and fields another server has separated.
pub(crate) fn read_fields<'f, V: AsRef<[u8]>>(
    line: &str,
    fields: impl Iterator<Item = (&'f str, V)>,
    config: &Config,
) -> Result<Request, ProtocolError> {
    let mut head = line.as_bytes().to_vec();
    for (name, value) in fields {
        for part in [b"\r\n", name.as_bytes(), b": ", value.as_ref()] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n\r\n");
    server::read_request(&head, config)
}

/// Converts a response of the core.
pub(super) fn response(response: &Response) -> http::Result<http::Response<Vec<u8>>> {
    let mut converted = http::Response::builder().status(response.status()).body(response.body().to_vec())?;
    copy_headers(response.headers(), converted.headers_mut())?;
    Ok(converted)
}

/// Converts a response that a client has received. Its body stays where it is.
pub(super) fn received_response<B>(response: &http::Response<B>) -> Response {
    let status = response.status();
    let mut converted =
        Response::new(status.as_u16(), status.canonical_reason().unwrap_or_default(), Vec::new());
    let headers = response.headers().iter();
    *converted.headers_mut() =
        headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    converted
}

pub(super) fn copy_headers(from: &[(String, Vec<u8>)], to: &mut HeaderMap) -> http::Result<()> {
    for (name, value) in from {
        to.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::{accept, accept_extended_connect, refusal_for};

    fn connect(uri: &str, version: Version, headers: &[(&str, &str)]) -> http::Request<()> {
        let mut request = http::Request::connect(uri).version(version).header("sec-websocket-version", "13");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn check(request: &http::Request<()>) -> Result<(), ProtocolError> {
        accept_extended_connect(request, Some("websocket"), Config::default()).map(drop)
    }

    #[test]
    fn rfc8441_s4_the_scheme_the_path_and_the_authority_are_required() {
        let with = |uri| check(&connect(uri, Version::HTTP_2, &[]));
        assert_eq!(with("https://example.com/chat"), Ok(()));
        assert_eq!(check(&connect("https://example.com/chat", Version::HTTP_3, &[])), Ok(()));
        for uri in ["example.com:443", "/chat"] {
            assert_eq!(with(uri), Err(ProtocolError::MalformedHead), "{uri}");
        }
    }

    #[test]
    fn rfc8441_s4_the_version_the_method_and_the_protocol_are_checked() {
        let request = connect("https://example.com/", Version::HTTP_11, &[]);
        assert_eq!(check(&request), Err(ProtocolError::HttpVersion));
        let mut request = connect("https://example.com/", Version::HTTP_2, &[]);
        assert_eq!(accept(&request, Config::default()).unwrap_err(), ProtocolError::HttpVersion);
        for protocol in [None, Some("connect-udp"), Some("")] {
            let accepted = accept_extended_connect(&request, protocol, Config::default());
            assert_eq!(accepted.unwrap_err(), ProtocolError::WrongConnectProtocol, "{protocol:?}");
        }
        *request.method_mut() = Method::GET;
        assert_eq!(check(&request), Err(ProtocolError::MethodNotGet));
    }

    #[test]
    fn rfc9113_s8_2_2_fields_of_a_connection_are_malformed() {
        for name in CONNECTION_SPECIFIC {
            let request = connect("https://example.com/", Version::HTTP_2, &[(name, "x")]);
            assert_eq!(check(&request), Err(ProtocolError::MalformedHead), "{name}");
        }
    }

    #[test]
    fn the_authority_replaces_host() {
        let request =
            connect("https://example.com:8443/chat?a", Version::HTTP_2, &[("host", "EXAMPLE.com:8443")]);
        let upgrade = accept_extended_connect(&request, Some("websocket"), Config::default()).unwrap();
        assert_eq!(upgrade.request().resource(), "/chat?a");
        assert_eq!(upgrade.request().header_text("Host"), Some("example.com:8443"));
        let other = connect("https://example.com/", Version::HTTP_2, &[("host", "example.org")]);
        assert_eq!(check(&other), Err(ProtocolError::MalformedHead));
    }

    #[test]
    fn rfc9113_s8_2_2_refusals_of_http2_contain_no_fields_of_a_connection() {
        for (reason, status) in [
            (ProtocolError::UnsupportedVersion, 400),
            (ProtocolError::NotAnUpgrade, 400),
            (ProtocolError::MethodNotGet, 405),
            (ProtocolError::WrongConnectProtocol, 501),
            (ProtocolError::OriginRefused, 403),
        ] {
            let response = refusal_for(Version::HTTP_2, reason).unwrap();
            assert_eq!(response.status(), status, "{reason:?}");
            assert!(CONNECTION_SPECIFIC.iter().all(|name| !response.headers().contains_key(*name)));
            assert!(response.body().starts_with(status.to_string().as_bytes()));
            assert_eq!(response.headers()["content-length"], response.body().len().to_string());
        }
        let response = refusal_for(Version::HTTP_2, ProtocolError::MethodNotGet).unwrap();
        assert_eq!(response.headers()["allow"], "CONNECT");
        assert_eq!(refusal_for(Version::HTTP_11, ProtocolError::NotAnUpgrade).unwrap().status(), 426);
    }

    #[test]
    fn the_limits_of_the_core_apply() {
        let request = connect("https://example.com/", Version::HTTP_2, &[("x", "y"), ("z", "1")]);
        let config = Config { max_headers: 2, ..Config::default() };
        let accepted = accept_extended_connect(&request, Some("websocket"), config);
        assert_eq!(accepted.unwrap_err(), ProtocolError::TooManyHeaders);
    }
}
