//! The request of the opening handshake (§4.1): what it says, and how it is built, read and written.

use std::fmt;

use url::Url;

use super::fields::{self, Headers};
use super::head::HeadBuffer;
use super::http::{self, Version};
use super::target::Target;
use super::{accept_value, generate_key};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Config, ProtocolError};

/// An HTTP request: what a client sends to open a WebSocket, and what a server is asked.
///
/// A server also sees requests that want a page and no WebSocket; [`is_upgrade`](Self::is_upgrade) tells them apart.
/// Names of headers are compared without regard to case, their values are bytes.
///
/// `Display` writes the head as text, control characters escaped, so that it is safe in a log.
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
    method: String,
    resource: String,
    version: Version,
    headers: Headers,
}

impl Request {
    /// Builds the request that opens a WebSocket to a URL (§4.1).
    ///
    /// The schemes are `ws`, `wss`, `http`, `https`, and `ws+unix` as [`unix_target`](super::unix_target) reads it.
    /// `Host` has the port only where it is not the default one. Credentials in the URL become `Authorization: Basic`.
    /// The key is new and unpredictable each time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the URL has another scheme or no host, or cannot be told in a request.
    pub fn from_url(url: &Url) -> Result<Self> {
        let target = Target::of(url)?;
        let mut headers: Headers = [
            (fields::CONNECTION, "Upgrade".to_owned()),
            (fields::HOST, target.host),
            (fields::VERSION, "13".to_owned()),
            (fields::KEY, generate_key()),
            (fields::UPGRADE, "websocket".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .to_vec();
        headers.extend(target.authorization.map(|value| ("Authorization".to_owned(), value.into_bytes())));
        Ok(Self { method: "GET".to_owned(), resource: target.resource, version: Version::Http11, headers })
    }

    /// Reads the head of a request from the front of a buffer; `None` if it is not complete yet.
    ///
    /// The limits of [`Config::default`] hold. What follows the head is not looked at.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Http`] if the bytes are not HTTP/1.1 or HTTP/1.0, or have too many headers;
    /// [`ErrorKind::Protocol`] if another limit is exceeded.
    pub fn parse(buf: &[u8]) -> Result<Option<Self>> {
        let config = Config::default();
        let mut head = HeadBuffer::request();
        match head.feed(buf, &config).map_err(http::parse_error)? {
            (_, true) => Self::parse_head(head.bytes(), &config).map(Some).map_err(http::parse_error),
            (_, false) => Ok(None),
        }
    }

    /// Reads a complete head: its syntax only, not whether it asks for anything sensible.
    pub(super) fn parse_head(head: &[u8], config: &Config) -> std::result::Result<Self, ProtocolError> {
        let (line, headers) = http::parse_head(http::skip_empty_lines(head), config.max_headers)?;
        let line = http::parse_request_line(line)?;
        if line.target.len() > config.max_target_size {
            return Err(ProtocolError::TargetTooLong);
        }
        Ok(Self {
            method: line.method.to_owned(),
            resource: line.target.to_owned(),
            version: line.version,
            headers,
        })
    }

    /// Appends the head as it goes out, as HTTP/1.1.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] if the method, the resource, a name or a value contains what would not arrive
    /// as it was meant, such as a line break. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> std::result::Result<(), ProtocolError> {
        http::all_or_nothing(out, |out| {
            http::encode_request_line(&self.method, &self.resource, out)?;
            http::encode_fields(http::borrowed(&self.headers), out)
        })
    }

    /// Returns the value of the first header of a name.
    pub fn header(&self, header: &str) -> Option<&Vec<u8>> {
        fields::find(&self.headers, header)
    }

    /// Returns the value of the first header of a name, to change it.
    ///
    /// Nothing checks what is written here until the request is sent; [`set_header`](Self::set_header) checks at once.
    pub fn header_mut(&mut self, header: &str) -> Option<&mut Vec<u8>> {
        fields::find_mut(&mut self.headers, header)
    }

    /// Returns all headers, in their order.
    pub fn headers(&self) -> &Vec<(String, Vec<u8>)> {
        &self.headers
    }

    /// Returns all headers, to change, add or remove them.
    ///
    /// Nothing checks what is written here until the request is sent.
    pub fn headers_mut(&mut self) -> &mut Vec<(String, Vec<u8>)> {
        &mut self.headers
    }

    /// Gives a header a value, in place of all that it had.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the name is not a token, or the value contains CR, LF, NUL or another control byte.
    pub fn set_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        fields::check_sendable(name, value.as_ref())?;
        fields::replace(&mut self.headers, name, value.as_ref().to_vec());
        Ok(())
    }

    /// Adds a header behind the others, also where one of the same name exists.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Self::set_header).
    pub fn add_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        fields::check_sendable(name, value.as_ref())?;
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        Ok(())
    }

    /// Returns the `Origin`: the site whose page asks, as its browser says (§10.2).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if it is not UTF-8.
    pub fn origin(&self) -> Result<Option<&str>> {
        self.text(fields::ORIGIN)
    }

    /// Returns the `Sec-WebSocket-Key`, as it stands there (§4.2.1, item 5).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none.
    pub fn key(&self) -> Result<&Vec<u8>> {
        self.header(fields::KEY)
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the request has no Sec-WebSocket-Key"))
    }

    /// Computes the `Sec-WebSocket-Accept` that belongs to the key (§4.2.2, item 5.4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is no key.
    pub fn hashed_key(&self) -> Result<String> {
        self.key().map(accept_value)
    }

    /// Returns the `Sec-WebSocket-Version`, which is `13` for the protocol of RFC 6455 (§4.2.1, item 6).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none, [`ErrorKind::Encoding`] if it is not UTF-8.
    pub fn version(&self) -> Result<&str> {
        self.text(fields::VERSION)?
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the request has no Sec-WebSocket-Version"))
    }

    /// Returns the method, which is `GET` for an upgrade (§4.1, item 2).
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns what is asked for: the path, and the query if there is one (§3).
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Returns whether the request asks to become a WebSocket (§4.2.1, items 3 and 4): `Upgrade` lists `websocket` and
    /// `Connection` lists `Upgrade`.
    ///
    /// Whether all else that an opening handshake needs is there (§4.2.1) is another question, which the core asks
    /// before it lets a connection open.
    pub fn is_upgrade(&self) -> bool {
        fields::has_token(&self.headers, fields::UPGRADE, "websocket")
            && fields::has_token(&self.headers, fields::CONNECTION, "upgrade")
    }

    /// Returns the subprotocols that the client offers, the one it likes best first (§4.1, item 10).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if one of them is not UTF-8.
    pub fn protocols(&self) -> Result<Vec<&str>> {
        self.list(fields::PROTOCOL)
    }

    /// Offers one more subprotocol, as the one that is liked least; one that is offered already stays where it is, as
    /// they must be different (§4.1, item 10).
    ///
    /// What is not a token is refused when the request is sent.
    pub fn add_protocol(&mut self, protocol: &str) {
        if !fields::elements(&self.headers, fields::PROTOCOL).any(|other| other == protocol.as_bytes()) {
            fields::append_element(&mut self.headers, fields::PROTOCOL, protocol);
        }
    }

    /// Takes back the offer of a subprotocol.
    pub fn remove_protocol(&mut self, protocol: &str) {
        fields::remove_elements(&mut self.headers, fields::PROTOCOL, |other| other == protocol.as_bytes());
    }

    /// Returns the extensions that the client offers, each with its parameters (§9.1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if one of them is not UTF-8.
    pub fn extensions(&self) -> Result<Vec<&str>> {
        self.list(fields::EXTENSIONS)
    }

    /// Offers one more extension, written with its parameters, such as `name; parameter=value` (§9.1).
    pub fn add_extension(&mut self, extension: &str) {
        fields::append_element(&mut self.headers, fields::EXTENSIONS, extension);
    }

    /// Takes back every offer of an extension, by its name or by its full text.
    pub fn remove_extension(&mut self, extension: &str) {
        fields::remove_elements(&mut self.headers, fields::EXTENSIONS, |other| {
            super::extensions::is_named(other, extension)
        });
    }

    /// Returns the address of the client as the proxies on the way tell it: the first of `X-Forwarded-For`, or else the
    /// first `for` of `Forwarded` (RFC 7239).
    ///
    /// Anyone can write these headers. Believe them only where every request comes through a proxy that sets them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if the header is not UTF-8.
    pub fn client_addr(&self) -> Result<Option<&str>> {
        if let Some(address) = fields::elements(&self.headers, "X-Forwarded-For").next() {
            return Ok(Some(std::str::from_utf8(address)?));
        }
        let Some(nearest) = fields::elements(&self.headers, "Forwarded").next() else { return Ok(None) };
        let pairs = std::str::from_utf8(nearest)?.split(';').filter_map(|pair| pair.split_once('='));
        Ok(pairs
            .into_iter()
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
            .map(|(_, address)| address.trim().trim_matches('"')))
    }

    /// The version of HTTP that the head named.
    pub(super) fn http_version(&self) -> Version {
        self.version
    }

    pub(super) fn set_resource(&mut self, resource: String) {
        self.resource = resource;
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        Ok(self.header(name).map(|value| std::str::from_utf8(value)).transpose()?)
    }

    fn list(&self, name: &str) -> Result<Vec<&str>> {
        fields::elements(&self.headers, name).map(|element| Ok(std::str::from_utf8(element)?)).collect()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} HTTP/1.1\r\n", self.method.escape_debug(), self.resource.escape_debug())?;
        http::write_fields(f, &self.headers)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("resource", &self.resource)
            .field("headers", &http::Shown(&self.headers))
            .finish()
    }
}
