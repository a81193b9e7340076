//! The response of the opening handshake (§4.2.2), and any other answer to a request: built, read and written.

use std::fmt;

use super::http::fields::{self, Headers};
use super::http::head_buffer::HeadBuffer;
use super::http::syntax::{self, Version};
use super::{Request, extensions};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Config, Overrides, ProtocolError};

/// An HTTP response: what a server answers to a [`Request`].
///
/// Status 101 opens the WebSocket; with any other status the connection is closed once the response, body included, is
/// written. What is sent is correct HTTP/1.1 whatever the response says of itself: see
/// [`encode_for`](Self::encode_for).
///
/// `Display` writes the head as text, control characters escaped, so that it is safe in a log.
///
/// # Examples
///
/// ```
/// use sockeye::{Request, Response};
///
/// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
/// request.add_protocol("soap");
/// request.add_protocol("wamp");
/// let mut response = Response::from_request(&request)?;
/// assert_eq!(response.choose_protocol(&request, &["wamp"]), Some("wamp".to_owned()));
/// assert_eq!(response.status(), 101);
///
/// let page = Response::new(200, "OK", b"<h1>Salmon</h1>".to_vec());
/// assert_eq!(page.header("content-length"), Some(&b"15".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Response {
    version: Version,
    status: u16,
    reason: String,
    headers: Headers,
    body: Vec<u8>,
    overrides: Overrides,
}

impl Response {
    /// Makes a response with a body, and a `Content-Length` that fits it.
    pub fn new<R: Into<String>>(status: u16, reason: R, body: Vec<u8>) -> Self {
        let length = (fields::CONTENT_LENGTH.to_owned(), body.len().to_string().into_bytes());
        Self {
            version: Version::Http11,
            status,
            reason: reason.into(),
            headers: vec![length],
            body,
            overrides: Overrides::default(),
        }
    }

    /// Accepts a request: status 101 with what §4.2.2, item 5, asks for. No subprotocol and no extension is chosen yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the request has no `Sec-WebSocket-Key`, as one for a page has none.
    pub fn from_request(req: &Request) -> Result<Self> {
        let accept = req.hashed_key()?;
        let headers = [
            (fields::CONNECTION, "Upgrade".to_owned()),
            (fields::ACCEPT, accept),
            (fields::UPGRADE, "websocket".to_owned()),
        ];
        Ok(Self {
            version: Version::Http11,
            status: 101,
            reason: syntax::default_reason(101).to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec(),
            body: Vec::new(),
            overrides: Overrides::default(),
        })
    }

    /// Reads the head of a response from the front of a buffer; `None` if it is not complete yet.
    ///
    /// The limits of [`Config::default`] hold. What follows the head is not looked at: the body of the result is empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Http`] if the bytes are not HTTP/1.1 or HTTP/1.0, or have too many headers;
    /// [`ErrorKind::Protocol`] if another limit is exceeded.
    pub fn parse(buf: &[u8]) -> Result<Option<Self>> {
        let config = Config::default();
        let mut head = HeadBuffer::response();
        match head.feed(buf, &config).map_err(syntax::parse_error)? {
            (_, true) => Self::parse_head(head.bytes(), &config).map(Some).map_err(syntax::parse_error),
            (_, false) => Ok(None),
        }
    }

    /// Reads a complete head.
    pub(super) fn parse_head(head: &[u8], config: &Config) -> std::result::Result<Self, ProtocolError> {
        let (line, headers) = syntax::parse_head(head, config.max_headers)?;
        let line = syntax::parse_status_line(line)?;
        let reason = String::from_utf8_lossy(line.reason).into_owned();
        Ok(Self {
            version: line.version,
            status: line.status,
            reason,
            headers,
            body: Vec::new(),
            overrides: Overrides::default(),
        })
    }

    /// Returns the body. The core reads only the head of a response: what was received has a body only where a front end
    /// has read it.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Gives a response that was received the body that came with it; its headers stay as they are.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
    }

    /// Returns the value of the first header of a name.
    pub fn header(&self, header: &str) -> Option<&Vec<u8>> {
        fields::find(&self.headers, header)
    }

    /// Returns the value of the first header of a name, to change it.
    ///
    /// Nothing checks what is written here until the response is sent; [`set_header`](Self::set_header) checks at once.
    pub fn header_mut(&mut self, header: &str) -> Option<&mut Vec<u8>> {
        fields::find_mut(&mut self.headers, header)
    }

    /// Returns all headers, in their order.
    pub fn headers(&self) -> &Vec<(String, Vec<u8>)> {
        &self.headers
    }

    /// Returns all headers, to change, add or remove them.
    ///
    /// Nothing checks what is written here until the response is sent.
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

    /// Adds a header behind the others, also where one of the same name exists, as `Set-Cookie` may.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Self::set_header).
    pub fn add_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        fields::check_sendable(name, value.as_ref())?;
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        Ok(())
    }

    /// Returns the status; 101 opens the WebSocket.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Changes the status.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// Returns the words behind the status.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Changes the words behind the status; without any, the usual ones of the status are sent.
    pub fn set_reason<R: Into<String>>(&mut self, reason: R) {
        self.reason = reason.into();
    }

    /// Returns the `Sec-WebSocket-Accept` (§4.1, item 4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none.
    pub fn key(&self) -> Result<&Vec<u8>> {
        self.header(fields::ACCEPT)
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the response has no Sec-WebSocket-Accept"))
    }

    /// Returns the subprotocol that the server has chosen.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if it is not UTF-8.
    pub fn protocol(&self) -> Result<Option<&str>> {
        Ok(self.header(fields::PROTOCOL).map(|value| std::str::from_utf8(value)).transpose()?)
    }

    /// Chooses a subprotocol, in place of one that was chosen before.
    ///
    /// It must be one that the client offers (§4.2.2); another one is refused before the response is sent.
    pub fn set_protocol(&mut self, protocol: &str) {
        fields::replace(&mut self.headers, fields::PROTOCOL, protocol.as_bytes().to_vec());
    }

    /// Chooses the first of the supported subprotocols that the client offers, and returns it; if there is none the
    /// response stays as it is.
    pub fn choose_protocol(&mut self, req: &Request, supported: &[&str]) -> Option<String> {
        let offered = req.protocols().ok()?;
        let chosen = supported.iter().find(|protocol| offered.contains(protocol))?;
        self.set_protocol(chosen);
        Some((*chosen).to_owned())
    }

    /// Returns the extensions that the server has accepted, each with its parameters (§9.1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if one of them is not UTF-8.
    pub fn extensions(&self) -> Result<Vec<&str>> {
        fields::elements(&self.headers, fields::EXTENSIONS)
            .map(|element| Ok(std::str::from_utf8(element)?))
            .collect()
    }

    /// Accepts one more extension, written with its parameters, such as `name; parameter=value` (§9.1).
    pub fn add_extension(&mut self, extension: &str) {
        fields::append_element(&mut self.headers, fields::EXTENSIONS, extension);
    }

    pub(crate) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    pub(crate) fn set_overrides(&mut self, overrides: Overrides) {
        self.overrides = overrides;
    }

    /// Takes back an extension, by its name or by its full text.
    pub fn remove_extension(&mut self, extension: &str) {
        fields::remove_elements(&mut self.headers, fields::EXTENSIONS, |other| {
            extensions::is_named(other, extension)
        });
    }

    /// The version of HTTP that the head named.
    pub(super) fn http_version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/1.1 {} {}\r\n", self.status, self.reason.escape_debug())?;
        syntax::write_fields(f, &self.headers)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("headers", &syntax::Shown(&self.headers))
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(protocols: &str) -> Request {
        let mut request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        request.set_header(fields::PROTOCOL, protocols).unwrap();
        request
    }

    #[test]
    fn the_first_supported_protocol_that_is_offered_is_chosen() {
        let request = offering("a, b");
        let mut response = Response::from_request(&request).unwrap();
        assert_eq!(response.choose_protocol(&request, &["c", "B"]), None);
        assert_eq!(response.protocol().unwrap(), None);
        assert_eq!(response.choose_protocol(&request, &["c", "b", "a"]).unwrap(), "b");
        assert_eq!(response.choose_protocol(&request, &["a"]).unwrap(), "a");
        assert_eq!(response.headers().iter().filter(|(name, _)| name == fields::PROTOCOL).count(), 1);
    }

    #[test]
    fn a_page_has_no_key_to_accept() {
        let request = Request::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert!(matches!(Response::from_request(&request).unwrap_err().kind, ErrorKind::Protocol));
    }

    #[test]
    fn a_received_response() {
        let bytes = b"HTTP/1.1 301 Moved\r\nLocation: /a\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nbody";
        let response = Response::parse(bytes).unwrap().unwrap();
        assert_eq!((response.status(), response.reason()), (301, "Moved"));
        assert_eq!(response.header("location"), Some(&b"/a".to_vec()));
        assert_eq!(response.header("Set-Cookie"), Some(&b"a".to_vec()));
        assert!(response.body().is_empty());
        assert!(response.key().is_err());
        assert!(Response::parse(&bytes[..50]).unwrap().is_none());
    }

    #[test]
    fn extensions_are_added_and_removed() {
        let mut response = Response::new(101, "", Vec::new());
        response.add_extension("x; p=1");
        response.add_extension("y");
        response.remove_extension("x");
        assert_eq!(response.extensions().unwrap(), ["y"]);
    }

    #[test]
    fn h17_debug_and_display_are_safe_in_a_log() {
        let bytes = b"HTTP/1.1 200 \xc2\x9b2J\r\nA: \xc2\x9b\xff\r\n\r\n";
        let response = Response::parse(bytes).unwrap().unwrap();
        assert!(!format!("{response:?}").contains('\u{9b}'));
        assert_eq!(response.to_string(), "HTTP/1.1 200 \\u{9b}2J\r\nA: \\u{9b}\\xff\r\n\r\n");
    }
}
