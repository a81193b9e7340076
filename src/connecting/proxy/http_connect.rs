//! The client of an HTTP proxy: the method `CONNECT` (RFC 9110 §9.3.6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Received;
use super::error::ProxyFailure;
use super::server::Credentials;
use crate::protocol::handshake::client::{is_interim, take_response};
use crate::protocol::handshake::http::head_buffer::HeadBuffer;
use crate::protocol::{Config, ProtocolError};

/// Waits for the response to `CONNECT`.
#[derive(Debug)]
pub(super) struct HttpConnect {
    head: HeadBuffer,
    /// The limits for the head.
    config: Config,
}

impl HttpConnect {
    /// Writes the request for the host and port of a URL.
    pub(super) fn new(
        url: &Url,
        credentials: Option<&Credentials>,
        config: &Config,
        out: &mut Vec<u8>,
    ) -> Self {
        // RFC 9112 §3.2.3: the port is never left out.
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        out.extend_from_slice(
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").as_bytes(),
        );
        if let Some(Credentials { user, password }) = credentials {
            let encoded = STANDARD.encode([user, &b":"[..], password].concat());
            out.extend_from_slice(format!("Proxy-Authorization: Basic {encoded}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        let (max_head_size, max_headers) = (config.max_head_size, config.max_headers);
        Self {
            head: HeadBuffer::response(),
            config: Config { max_head_size, max_headers, ..Config::default() },
        }
    }

    /// Processes bytes of the proxy. Any 2xx opens the tunnel, which begins behind the head: `Content-Length` and
    /// `Transfer-Encoding` have no meaning then.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<Received, ProxyFailure> {
        let mut received = Received { len: 0, is_done: false };
        while let Some(rest) = input.get(received.len..).filter(|rest| !rest.is_empty()) {
            let (len, is_complete) = self.head.feed(rest, &self.config).map_err(ProxyFailure::Response)?;
            received.len += len;
            if is_complete {
                match self.status().map_err(ProxyFailure::Response)? {
                    None => {}
                    Some(200..=299) => return Ok(Received { is_done: true, ..received }),
                    Some(status) => return Err(ProxyFailure::Status(status)),
                }
            }
        }
        Ok(received)
    }

    /// Returns the status of a complete head. `None` means that it is interim, so another one follows.
    fn status(&mut self) -> Result<Option<u16>, ProtocolError> {
        let response = take_response(&mut self.head)?;
        Ok((!is_interim(&response)).then(|| response.status()))
    }
}
