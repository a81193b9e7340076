//! The response to a request, in particular to an opening handshake (§4.2.2): building, parsing and encoding.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::http::fields::Fields;
use super::http::head_buffer::HeadBuffer;
use super::http::headers;
use super::http::names::FieldName;
use super::http::syntax::{self, StatusLine, Version};
use super::request::no_key;
use super::{Request, extensions};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Config, Overrides, ProtocolError};

/// An HTTP response to a [`Request`].
///
/// Status 101 opens the WebSocket. With any other status, the connection is closed once the response has been written, including
/// its body. It is always sent as correct HTTP/1.1, as described at [`encode_for`](Self::encode_for).
///
/// `Display` formats the head as text with escaped control characters, so that it is safe in a log.
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
    reason: Cow<'static, str>,
    fields: Fields,
    body: Vec<u8>,
    overrides: Overrides,
    /// The traits keep `Response` unwind-safe, as in `ws`.
    data: Option<Arc<dyn Any + Send + Sync + UnwindSafe + RefUnwindSafe>>,
}

/// The data of a response that stands for a later one.
#[cfg(feature = "reactor")]
struct Later;

impl Response {
    /// Creates a response with a body and its `Content-Length`.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new<R: Into<String>>(status: u16, reason: R, body: Vec<u8>) -> Self {
        let length = (FieldName::ContentLength.text().to_owned(), body.len().to_string().into_bytes());
        Self {
            version: Version::Http11,
            status,
            reason: Cow::Owned(reason.into()),
            fields: Fields::from(vec![length]),
            body,
            overrides: Overrides::default(),
            data: None,
        }
    }

    /// Creates the response that accepts a request: status 101 with the headers of §4.2.2, item 5, or status 200 without headers for
    /// an extended CONNECT (RFC 8441 §5). No subprotocol and no extension is selected yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the request has no `Sec-WebSocket-Key`, for example because it asks for a page.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn from_request(req: &Request) -> Result<Self> {
        if req.is_extended_connect() {
            return Ok(Self { fields: Fields::default(), ..Self::new(200, "OK", Vec::new()) });
        }
        let accept = req.fields().accept_for_key().ok_or_else(no_key)?;
        Ok(Self {
            version: Version::Http11,
            status: 101,
            reason: Cow::Borrowed(syntax::default_reason(101)),
            fields: Fields::accepting(accept),
            body: Vec::new(),
            overrides: Overrides::default(),
            data: None,
        })
    }

    /// Creates the response that stands for a later one, after [`Sender::defer`](crate::Sender::defer). Without that call, the client
    /// receives 503.
    ///
    /// See the example of [`DeferredResponse`](crate::DeferredResponse).
    #[cfg(feature = "reactor")]
    pub fn deferred() -> Self {
        Self::unavailable().with_data(Later)
    }

    /// Whether this stands for a later response.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_deferred(&self) -> bool {
        self.data::<Later>().is_some()
    }

    /// Returns the response for a request that cannot be served now (RFC 9110 §15.6.4).
    pub(crate) fn unavailable() -> Self {
        Self::new(503, "Service Unavailable", Vec::new())
    }

    /// Adds a value that the program has determined during the handshake, such as the user, in place of an earlier one. It stays in this
    /// process, and [`data`](Self::data) returns it in `on_open`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Request, Response};
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct Tenant(u32);
    ///
    /// let request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// let response = Response::from_request(&request)?.with_data(Tenant(7));
    /// assert_eq!(response.data::<Tenant>(), Some(&Tenant(7)));
    /// assert_eq!(response.data::<String>(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_data<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.data = Some(Arc::new(AssertUnwindSafe(value)));
        self
    }

    /// Returns the value that was added with [`with_data`](Self::with_data), if it has this type.
    ///
    /// See the example of [`with_data`](Self::with_data).
    pub fn data<T: Any + Send + Sync>(&self) -> Option<&T> {
        let data: &dyn Any = &**self.data.as_ref()?;
        data.downcast_ref().map(|AssertUnwindSafe(value)| value)
    }

    /// Parses the head of a response at the front of a buffer. `None` means that it is incomplete.
    ///
    /// The limits of [`Config::default`] apply. Bytes after the head are ignored: the body of the result is empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Http`] if the bytes are not HTTP/1.1 or HTTP/1.0, or have too many headers;
    /// [`ErrorKind::Protocol`] if another limit is exceeded.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Response;
    ///
    /// let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    /// let response = Response::parse(bytes)?.expect("the head is complete");
    /// assert_eq!((response.status(), response.reason()), (404, "Not Found"));
    /// assert!(Response::parse(&bytes[..20])?.is_none());
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn parse(buf: &[u8]) -> Result<Option<Self>> {
        let config = Config::default();
        let mut head = HeadBuffer::response();
        match head.feed(buf, &config).map_err(syntax::parse_error)? {
            (_, true) => Self::take(&mut head).map(Some).map_err(syntax::parse_error),
            (_, false) => Ok(None),
        }
    }

    /// Takes a complete head out of its buffer, which then expects the next one.
    pub(super) fn take(head: &mut HeadBuffer) -> std::result::Result<Self, ProtocolError> {
        let (StatusLine { version, status, reason }, fields) = head.take_response()?;
        let (body, overrides) = (Vec::new(), Overrides::default());
        Ok(Self { version, status, reason, fields, body, overrides, data: None })
    }

    /// Returns the body. The core receives only the head of a response, so that the body is empty unless a front end has received
    /// it.
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Adds the body to a response that was received. The headers are not changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Response;
    ///
    /// let mut response = Response::new(200, "OK", Vec::new());
    /// response.set_status(503);
    /// response.set_reason("Service Unavailable");
    /// response.set_body(b"back at noon".to_vec());
    /// response.set_header("Retry-After", "3600")?;
    /// response.add_header("Set-Cookie", "a=1")?;
    /// response.headers_mut().push(("Set-Cookie".into(), b"b=2".to_vec()));
    /// assert_eq!(response.body(), b"back at noon");
    /// let mut bytes = Vec::new();
    /// response.encode_for(false, &mut bytes)?;
    /// assert!(String::from_utf8_lossy(&bytes).contains("Content-Length: 12\r\n"));
    /// assert_eq!(response.headers().iter().filter(|(name, _)| name == "Set-Cookie").count(), 2);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
    }

    /// Returns the value of the first header with a name.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn header(&self, header: &str) -> Option<&Vec<u8>> {
        self.fields.listed(header)
    }

    /// Returns the value of the first header with a name, for changes.
    ///
    /// The value is checked when the response is sent. [`set_header`](Self::set_header) checks it immediately.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Response;
    ///
    /// let mut response = Response::new(200, "OK", Vec::new());
    /// response.add_header("Content-Type", "text/plain")?;
    /// if let Some(value) = response.header_mut("content-type") {
    ///     value.extend_from_slice(b"; charset=utf-8");
    /// }
    /// assert_eq!(response.header("Content-Type"), Some(&b"text/plain; charset=utf-8".to_vec()));
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn header_mut(&mut self, header: &str) -> Option<&mut Vec<u8>> {
        headers::find_mut(self.headers_mut(), header)
    }

    /// Returns all headers, in their order.
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn headers(&self) -> &Vec<(String, Vec<u8>)> {
        self.fields.list()
    }

    /// Returns all headers for changes. They are checked when the response is sent.
    ///
    /// See the example of [`set_body`](Self::set_body).
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
    /// See the example of [`set_body`](Self::set_body).
    pub fn set_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        headers::check_sendable(name.as_bytes(), value.as_ref())?;
        headers::replace(self.headers_mut(), name, value.as_ref().to_vec());
        Ok(())
    }

    /// Adds a header after the others, even if one with the same name exists, as for `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// As for [`set_header`](Self::set_header).
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn add_header<V: AsRef<[u8]>>(&mut self, name: &str, value: V) -> Result<()> {
        headers::check_sendable(name.as_bytes(), value.as_ref())?;
        self.headers_mut().push((name.to_owned(), value.as_ref().to_vec()));
        Ok(())
    }

    /// Returns the status. 101 opens the WebSocket.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Changes the status.
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// Returns the reason phrase.
    ///
    /// See the example of [`parse`](Self::parse).
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Changes the reason phrase. If it is empty, the usual phrase of the status is sent.
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn set_reason<R: Into<String>>(&mut self, reason: R) {
        self.reason = Cow::Owned(reason.into());
    }

    /// Returns the `Sec-WebSocket-Accept` (§4.1, item 4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if there is none.
    ///
    /// See the example of [`protocol`](Self::protocol).
    pub fn key(&self) -> Result<&Vec<u8>> {
        self.header(FieldName::Accept.text())
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the response has no Sec-WebSocket-Accept"))
    }

    /// Returns the subprotocol that the server has selected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Request, Response};
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.add_protocol("wamp");
    /// request.add_extension("x-one");
    /// let mut response = Response::from_request(&request)?;
    /// assert_eq!(response.key()?, request.hashed_key()?.as_bytes());
    /// response.set_protocol("wamp");
    /// assert_eq!(response.protocol()?, Some("wamp"));
    /// response.add_extension("x-one");
    /// assert_eq!(response.extensions()?, ["x-one"]);
    /// response.remove_extension("x-one");
    /// assert!(response.extensions()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocol(&self) -> Result<Option<&str>> {
        Ok(self.fields.first(FieldName::Protocol).map(std::str::from_utf8).transpose()?)
    }

    /// Selects a subprotocol, in place of one that was selected before.
    ///
    /// A subprotocol that the client does not offer is rejected when the response is sent (§4.2.2).
    ///
    /// See the example of [`protocol`](Self::protocol).
    pub fn set_protocol(&mut self, protocol: &str) {
        headers::replace(self.headers_mut(), FieldName::Protocol.text(), protocol.as_bytes().to_vec());
    }

    /// Selects the first of the supported subprotocols that the client offers, and returns it. If there is none, the response is
    /// not changed.
    ///
    /// See the [example](Self#examples) of this type.
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
    ///
    /// See the example of [`protocol`](Self::protocol).
    pub fn extensions(&self) -> Result<Vec<&str>> {
        self.fields.elements(FieldName::Extensions).map(|element| Ok(std::str::from_utf8(element)?)).collect()
    }

    /// Accepts another extension, with its parameters in the form `name; parameter=value` (§9.1).
    ///
    /// See the example of [`protocol`](Self::protocol).
    pub fn add_extension(&mut self, extension: &str) {
        headers::append_element(self.headers_mut(), FieldName::Extensions, extension);
    }

    pub(crate) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    pub(crate) fn set_overrides(&mut self, overrides: Overrides) {
        self.overrides = overrides;
    }

    /// Removes an extension with this name or this full text.
    ///
    /// See the example of [`protocol`](Self::protocol).
    pub fn remove_extension(&mut self, extension: &str) {
        headers::remove_elements(self.headers_mut(), FieldName::Extensions, |other| {
            extensions::is_named(other, extension)
        });
    }

    /// The HTTP version of the head.
    pub(super) fn http_version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/1.1 {} {}\r\n", self.status, self.reason.escape_debug())?;
        syntax::write_fields(f, &self.fields)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("headers", &syntax::Shown(&self.fields))
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(protocols: &str) -> Request {
        let mut request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        request.set_header(FieldName::Protocol.text(), protocols).unwrap();
        request
    }

    #[test]
    fn the_first_supported_protocol_in_the_offer_is_chosen() {
        let request = offering("a, b");
        let mut response = Response::from_request(&request).unwrap();
        assert_eq!(response.choose_protocol(&request, &["c", "B"]), None);
        assert_eq!(response.protocol().unwrap(), None);
        assert_eq!(response.choose_protocol(&request, &["c", "b", "a"]).unwrap(), "b");
        assert_eq!(response.choose_protocol(&request, &["a"]).unwrap(), "a");
        assert_eq!(
            response.headers().iter().filter(|(name, _)| name == FieldName::Protocol.text()).count(),
            1
        );
    }

    #[test]
    fn a_request_without_a_key_has_no_upgrade_response() {
        let request = Request::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert!(matches!(Response::from_request(&request).unwrap_err().kind, ErrorKind::Protocol));
    }

    #[test]
    fn a_received_response_is_parsed() {
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
    fn h17_debug_and_display_escape_control_characters() {
        let bytes = b"HTTP/1.1 200 \xc2\x9b2J\r\nA: \xc2\x9b\xff\r\n\r\n";
        let response = Response::parse(bytes).unwrap().unwrap();
        assert!(!format!("{response:?}").contains('\u{9b}'));
        assert_eq!(response.to_string(), "HTTP/1.1 200 \\u{9b}2J\r\nA: \\u{9b}\\xff\r\n\r\n");
    }
}
