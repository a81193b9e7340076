//! The request of the opening handshake (§4.1): building, parsing and encoding.

use std::borrow::Cow;
use std::fmt;

use url::Url;

use super::http::fields::Fields;
use super::http::head_buffer::HeadBuffer;
use super::http::headers::{self, Headers};
use super::http::names::FieldName;
use super::http::request_target::Target;
use super::http::syntax::{self, RequestLine, Version};
use super::{accept_text, generate_key};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Config, Overrides, ProtocolError};

/// An HTTP request, with which a client opens a WebSocket.
///
/// A server also receives requests for pages; [`is_upgrade`](Self::is_upgrade) distinguishes them. Names of headers are compared
/// case-insensitively. Values are bytes.
///
/// `Display` formats the head as text with escaped control characters, so that it is safe in a log.
///
/// # Examples
///
/// ```
/// use sockeye::Request;
///
/// let mut request = Request::from_url(&"ws://example.com/chat?room=1".parse()?)?;
/// request.add_protocol("superchat");
/// request.set_header("Origin", "http://example.com")?;
/// assert_eq!(request.resource(), "/chat?room=1");
/// assert_eq!(request.header("host"), Some(&b"example.com".to_vec()));
/// assert!(request.is_upgrade());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Request {
    pub(super) method: Cow<'static, str>,
    resource: String,
    pub(super) version: Version,
    fields: Fields,
    overrides: Overrides,
}

impl Request {
    /// Creates the request that opens a WebSocket to a URL (§4.1).
    ///
    /// The schemes are `ws`, `wss`, `http`, `https`, and `ws+unix` as described at [`unix_target`](super::unix_target). `Host`
    /// contains the port unless it is the default port. Credentials in the URL become `Authorization: Basic`. The key is new
    /// and unpredictable each time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the URL has another scheme or no host, or cannot be expressed as a request.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn from_url(url: &Url) -> Result<Self> {
        let target = Target::of(url)?;
        let mut headers: Headers = [
            (FieldName::Connection, "Upgrade".to_owned()),
            (FieldName::Host, target.host),
            (FieldName::Version, "13".to_owned()),
            (FieldName::Key, generate_key()),
            (FieldName::Upgrade, "websocket".to_owned()),
        ]
        .map(|(name, value)| (name.text().to_owned(), value.into_bytes()))
        .to_vec();
        headers.extend(target.authorization.map(|value| ("Authorization".to_owned(), value.into_bytes())));
        Ok(Self {
            method: Cow::Borrowed("GET"),
            resource: target.resource,
            version: Version::Http11,
            fields: Fields::from(headers),
            overrides: Overrides::default(),
        })
    }

    /// Parses the head of a request at the front of a buffer. `None` means that it is incomplete.
    ///
    /// The limits of [`Config::default`] apply. Bytes after the head are ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Http`] if the bytes are not HTTP/1.1 or HTTP/1.0, or have too many headers;
    /// [`ErrorKind::Protocol`] if another limit is exceeded.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let bytes = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nOrigin: https://example.com\r\n\r\nmore";
    /// let request = Request::parse(bytes)?.expect("the head is complete");
    /// assert_eq!((request.method(), request.resource()), ("GET", "/chat"));
    /// assert_eq!(request.origin()?, Some("https://example.com"));
    /// assert!(!request.is_upgrade());
    /// assert!(Request::parse(&bytes[..20])?.is_none());
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn parse(buf: &[u8]) -> Result<Option<Self>> {
        let config = Config::default();
        let mut head = HeadBuffer::request();
        match head.feed(buf, &config).map_err(syntax::parse_error)? {
            (_, true) => Self::take(&mut head).map(Some).map_err(syntax::parse_error),
            (_, false) => Ok(None),
        }
    }

    /// Takes a complete head out of its buffer. Only its syntax has been checked.
    pub(super) fn take(head: &mut HeadBuffer) -> std::result::Result<Self, ProtocolError> {
        let (RequestLine { method, target, version }, fields) = head.take_request()?;
        Ok(Self { method, resource: target, version, fields, overrides: Overrides::default() })
    }

    /// Appends the encoded head to `out`, as HTTP/1.1.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] if the method, the resource, a name or a value contains invalid bytes, such as a line
    /// break. Nothing is appended then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let request = Request::from_url(&"ws://example.com/chat".parse()?)?;
    /// let mut bytes = Vec::new();
    /// request.encode(&mut bytes)?;
    /// assert!(bytes.starts_with(b"GET /chat HTTP/1.1\r\n") && bytes.ends_with(b"\r\n\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) -> std::result::Result<(), ProtocolError> {
        syntax::all_or_nothing(out, |out| {
            syntax::encode_request_line(&self.method, &self.resource, out)?;
            syntax::encode_fields(self.fields.iter(), out)
        })
    }

    /// Returns the value of the first header with a name.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn header(&self, header: &str) -> Option<&Vec<u8>> {
        self.fields.listed(header)
    }

    /// Returns the value of the first header with a name, for changes.
    ///
    /// The value is checked when the request is sent. [`set_header`](Self::set_header) checks it immediately.
    ///
    /// See the example of [`headers`](Self::headers).
    pub fn header_mut(&mut self, header: &str) -> Option<&mut Vec<u8>> {
        headers::find_mut(self.headers_mut(), header)
    }

    /// Returns all headers, in their order.
    ///
    /// The first call of this method or of [`header`](Self::header) copies the headers of a request that was received into a list.
    /// [`header_text`](Self::header_text) and the methods for single headers do not need the list.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.add_header("Cookie", "session=1")?;
    /// request.headers_mut().push(("Cookie".into(), b"theme=dark".to_vec()));
    /// let cookies = request.headers().iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    /// assert_eq!(cookies.count(), 2);
    /// if let Some(host) = request.header_mut("Host") {
    ///     *host = b"example.org".to_vec();
    /// }
    /// assert_eq!(request.header("Host"), Some(&b"example.org".to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn headers(&self) -> &Vec<(String, Vec<u8>)> {
        self.fields.list()
    }

    /// Returns all headers for changes. They are checked when the request is sent.
    ///
    /// See the example of [`headers`](Self::headers).
    pub fn headers_mut(&mut self) -> &mut Vec<(String, Vec<u8>)> {
        self.fields.list_mut()
    }

    /// The headers, without a list of them.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Sets the value of a header, and removes all other headers with this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the name is not a token, or the value contains CR, LF, NUL or another control byte.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn set_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        headers::check_sendable(name.as_bytes(), value.as_ref())?;
        headers::replace(self.headers_mut(), name, value.as_ref().to_vec());
        Ok(())
    }

    /// Adds a header after the others, even if one with the same name exists.
    ///
    /// # Errors
    ///
    /// As for [`set_header`](Self::set_header).
    ///
    /// See the example of [`headers`](Self::headers).
    pub fn add_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        headers::check_sendable(name.as_bytes(), value.as_ref())?;
        self.headers_mut().push((name.to_owned(), value.as_ref().to_vec()));
        Ok(())
    }

    /// Returns the `Origin`: the site of the page that opens the WebSocket, according to its browser (§10.2).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if it is not UTF-8.
    ///
    /// See the example of [`parse`](Self::parse).
    pub fn origin(&self) -> Result<Option<&str>> {
        text(&self.fields, FieldName::Origin)
    }

    /// Returns the `Sec-WebSocket-Key` without decoding it (§4.2.1, item 5).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    /// let request = Request::parse(request)?.expect("the head is complete");
    /// assert_eq!(request.key()?, b"dGhlIHNhbXBsZSBub25jZQ==");
    /// assert_eq!(request.hashed_key()?, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    /// assert_eq!(request.version()?, "13");
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn key(&self) -> Result<&Vec<u8>> {
        self.header(FieldName::Key.text()).ok_or_else(no_key)
    }

    /// Computes the `Sec-WebSocket-Accept` that belongs to the key (§4.2.2, item 5.4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is no key.
    ///
    /// See the example of [`key`](Self::key).
    pub fn hashed_key(&self) -> Result<String> {
        self.fields.accept_for_key().map(|accept| accept_text(&accept)).ok_or_else(no_key)
    }

    /// Returns the `Sec-WebSocket-Version`, which is `13` for the protocol of RFC 6455 (§4.2.1, item 6).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none, [`ErrorKind::Encoding`] if it is not UTF-8.
    ///
    /// See the example of [`key`](Self::key).
    pub fn version(&self) -> Result<&str> {
        text(&self.fields, FieldName::Version)?
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the request has no Sec-WebSocket-Version"))
    }

    /// Returns the method, which is `GET` for an upgrade (§4.1, item 2).
    ///
    /// See the example of [`parse`](Self::parse).
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the resource name: the path, and the query if there is one (§3).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Returns whether the request asks for a WebSocket (§4.2.1, items 3 and 4): `Upgrade` lists `websocket` and `Connection` lists
    /// `Upgrade`, or it is an [extended CONNECT](Self::is_extended_connect).
    ///
    /// The core checks the remaining rules of §4.2.1 before it opens a connection.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn is_upgrade(&self) -> bool {
        self.is_extended_connect()
            || (self.fields.has_token(FieldName::Upgrade, b"websocket")
                && self.fields.has_token(FieldName::Connection, b"Upgrade"))
    }

    /// Returns the subprotocols that the client offers, in order of preference (§4.1, item 10).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if one of them is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.add_protocol("soap");
    /// request.add_protocol("wamp");
    /// request.remove_protocol("soap");
    /// assert_eq!(request.protocols()?, ["wamp"]);
    /// request.add_extension("x-one; level=2");
    /// request.add_extension("x-two");
    /// request.remove_extension("x-two");
    /// assert_eq!(request.extensions()?, ["x-one; level=2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocols(&self) -> Result<Vec<&str>> {
        elements(&self.fields, FieldName::Protocol)
    }

    /// Offers another subprotocol, as the least preferred one. A subprotocol that is already offered keeps its position, because
    /// they must be unique (§4.1, item 10).
    ///
    /// A subprotocol that is not a token is rejected when the request is sent.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn add_protocol(&mut self, protocol: &str) {
        if !self.fields.elements(FieldName::Protocol).any(|other| other == protocol.as_bytes()) {
            headers::append_element(self.headers_mut(), FieldName::Protocol, protocol);
        }
    }

    /// Removes the offer of a subprotocol.
    ///
    /// See the example of [`protocols`](Self::protocols).
    pub fn remove_protocol(&mut self, protocol: &str) {
        headers::remove_elements(self.headers_mut(), FieldName::Protocol, |other| {
            other == protocol.as_bytes()
        });
    }

    /// Returns the extensions that the client offers, each with its parameters (§9.1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if one of them is not UTF-8.
    ///
    /// See the example of [`protocols`](Self::protocols).
    pub fn extensions(&self) -> Result<Vec<&str>> {
        elements(&self.fields, FieldName::Extensions)
    }

    /// Offers another extension, with its parameters in the form `name; parameter=value` (§9.1).
    ///
    /// See the example of [`protocols`](Self::protocols).
    pub fn add_extension(&mut self, extension: &str) {
        headers::append_element(self.headers_mut(), FieldName::Extensions, extension);
    }

    pub(crate) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// How much memory the head occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn held(&self) -> usize {
        let method = match &self.method {
            Cow::Owned(method) => method.capacity(),
            Cow::Borrowed(_) => 0,
        };
        [method, self.resource.capacity()].into_iter().fold(self.fields.held(), usize::saturating_add)
    }

    #[cfg(all(feature = "reactor", feature = "permessage-deflate"))]
    pub(crate) fn set_overrides(&mut self, overrides: Overrides) {
        self.overrides = overrides;
    }

    /// Removes every offer of an extension with this name or this full text.
    ///
    /// See the example of [`protocols`](Self::protocols).
    pub fn remove_extension(&mut self, extension: &str) {
        headers::remove_elements(self.headers_mut(), FieldName::Extensions, |other| {
            super::extensions::is_named(other, extension)
        });
    }

    /// Returns the address of the client according to proxies: the first address in `X-Forwarded-For`, or else the first `for` in
    /// `Forwarded` (RFC 7239).
    ///
    /// Every client can send these headers. Use them only if all requests pass through a proxy that sets them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if the header is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// assert_eq!(request.client_addr()?, None);
    /// request.set_header("X-Forwarded-For", "192.0.2.60")?;
    /// assert_eq!(request.client_addr()?, Some("192.0.2.60"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_addr(&self) -> Result<Option<&str>> {
        if let Some(address) = self.fields.elements_named("X-Forwarded-For").next() {
            return Ok(Some(std::str::from_utf8(address)?));
        }
        let Some(nearest) = self.fields.elements_named("Forwarded").next() else { return Ok(None) };
        let pairs = std::str::from_utf8(nearest)?.split(';').filter_map(|pair| pair.split_once('='));
        Ok(pairs
            .into_iter()
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
            .map(|(_, address)| address.trim().trim_matches('"')))
    }

    pub(super) fn set_resource(&mut self, resource: String) {
        self.resource = resource;
    }
}

fn text(fields: &Fields, name: FieldName) -> Result<Option<&str>> {
    Ok(fields.first(name).map(std::str::from_utf8).transpose()?)
}

fn elements(fields: &Fields, name: FieldName) -> Result<Vec<&str>> {
    fields.elements(name).map(|element| Ok(std::str::from_utf8(element)?)).collect()
}

pub(super) fn no_key() -> Error {
    Error::new(ErrorKind::Protocol, "the request has no Sec-WebSocket-Key")
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.is_extended_connect() { "HTTP/2" } else { "HTTP/1.1" };
        write!(f, "{} {} {version}\r\n", self.method.escape_debug(), self.resource.escape_debug())?;
        syntax::write_fields(f, &self.fields)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("resource", &self.resource)
            .field("headers", &syntax::Shown(&self.fields))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str) -> Request {
        Request::parse(format!("GET /r HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn s4_1_a_request_is_created_from_a_url() {
        let request = Request::from_url(&"ws://user:pass@example.com:3012/a?b#c".parse().unwrap()).unwrap();
        let names: Vec<&str> = request.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["Connection", "Host", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Upgrade", "Authorization"]
        );
        let mut out = Vec::new();
        request.encode(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("GET /a?b HTTP/1.1\r\nConnection: Upgrade\r\nHost: example.com:3012\r\n"));
        assert!(text.ends_with("Upgrade: websocket\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n"));
        assert_eq!(text, request.to_string());
    }

    #[test]
    fn an_incomplete_head_parses_to_none() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        for (at, _) in head.iter().enumerate() {
            let (cut, _) = head.split_at(at);
            assert!(Request::parse(cut).unwrap().is_none());
        }
        assert!(Request::parse(&[head, &b"\x81\x80"[..]].concat()).unwrap().is_some());
    }

    #[test]
    fn invalid_syntax_is_an_error_of_kind_http() {
        for bytes in [&b"\x16\x03\x01"[..], b"GET / HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\nA : b\r\n\r\n"] {
            assert!(matches!(Request::parse(bytes).unwrap_err().kind, ErrorKind::Http(_)));
        }
        let long = [&b"GET /"[..], &[b'x'; 9000]].concat();
        assert!(matches!(Request::parse(&long).unwrap_err().kind, ErrorKind::Protocol));
    }

    #[test]
    fn h3_missing_headers_are_errors_or_none() {
        let request = request("");
        assert!(matches!(request.key().unwrap_err().kind, ErrorKind::Protocol));
        assert!(matches!(request.hashed_key().unwrap_err().kind, ErrorKind::Protocol));
        assert!(matches!(request.version().unwrap_err().kind, ErrorKind::Protocol));
        assert_eq!(request.origin().unwrap(), None);
        assert_eq!(request.client_addr().unwrap(), None);
        assert!(request.protocols().unwrap().is_empty() && request.extensions().unwrap().is_empty());
        assert!(!request.is_upgrade());
    }

    #[test]
    fn h7_headers_that_are_not_utf8_are_encoding_errors() {
        let names = ["Origin", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "X-Forwarded-For"];
        for name in names {
            let mut request = request("");
            request.set_header(name, b"\xff").unwrap();
            let results = [
                request.origin().map(drop),
                request.version().map(drop),
                request.protocols().map(drop),
                request.client_addr().map(drop),
            ];
            let is_encoding =
                |result: &Result<()>| matches!(result, Err(Error { kind: ErrorKind::Encoding(_), .. }));
            assert_eq!(results.iter().filter(|result| is_encoding(result)).count(), 1, "{name}");
        }
    }

    #[test]
    fn protocols_are_added_once_and_removed() {
        let mut request = request("Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n");
        request.add_protocol("b");
        request.add_protocol("d");
        assert_eq!(request.protocols().unwrap(), ["a", "b", "d", "c"]);
        request.remove_protocol("b");
        request.remove_protocol("C");
        assert_eq!(request.protocols().unwrap(), ["a", "d", "c"]);
        for protocol in ["a", "d", "c"] {
            request.remove_protocol(protocol);
        }
        assert_eq!(request.header("sec-websocket-protocol"), None);
    }

    #[test]
    fn extensions_are_removed_by_name_or_text() {
        let mut request = request("");
        request.add_extension("x; p=\"a,b\"");
        request.add_extension("y");
        request.add_extension("x; q");
        assert_eq!(request.extensions().unwrap(), ["x; p=\"a,b\"", "y", "x; q"]);
        request.remove_extension("x; q");
        assert_eq!(request.extensions().unwrap(), ["x; p=\"a,b\"", "y"]);
        request.remove_extension("x");
        assert_eq!(request.extensions().unwrap(), ["y"]);
    }

    #[test]
    fn client_addr_is_the_first_forwarded_address() {
        let of = |headers: &str| request(headers).client_addr().unwrap().map(str::to_owned);
        assert_eq!(of("X-Forwarded-For: 1.2.3.4 , 5.6.7.8\r\n").unwrap(), "1.2.3.4");
        assert_eq!(of("Forwarded: by=x; For=1.2.3.4;proto=http, for=5.6.7.8\r\n").unwrap(), "1.2.3.4");
        assert_eq!(of("Forwarded: for=\"[2001:db8::1]:47\"\r\n").unwrap(), "[2001:db8::1]:47");
        assert_eq!(of("Forwarded: proto=http\r\n"), None);
        assert_eq!(of("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n").unwrap(), "2.2.2.2");
    }

    #[test]
    fn h11_a_head_with_a_line_break_is_not_encoded() {
        let mut out = b"kept".to_vec();
        let mut bad = request("");
        assert!(bad.set_header("A", "b\r\nC: d").is_err() && bad.add_header("A\n", "b").is_err());
        assert!(bad.headers().is_empty());
        bad.add_protocol("a\r\nB: c");
        assert_eq!(bad.encode(&mut out), Err(ProtocolError::UnsendableHead));
        let mut bad = request("");
        bad.headers_mut().push(("A\r\nB".to_owned(), Vec::new()));
        assert_eq!(bad.encode(&mut out), Err(ProtocolError::UnsendableHead));
        let mut bad = request("");
        bad.set_resource("/ HTTP/1.1\r\nX: y".to_owned());
        assert_eq!(bad.encode(&mut out), Err(ProtocolError::UnsendableHead));
        assert_eq!(out, b"kept");
    }
}
