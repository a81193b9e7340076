//! WebSockets on connections of [tiny_http] 0.12, as blocking sockets. Feature `tiny_http`.
//!
//! ```no_run
//! use std::thread;
//!
//! use sockeye::protocol::Config;
//! use sockeye::tiny_http as websocket;
//! use tiny_http::{Response, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let server = Server::http("127.0.0.1:3012")?;
//! for request in server.incoming_requests() {
//!     if !websocket::is_upgrade(&request) {
//!         let _ = request.respond(Response::from_string("This server has an echo.\n"));
//!         continue;
//!     }
//!     thread::spawn(move || -> sockeye::blocking::Result<()> {
//!         let mut socket = websocket::accept(request, Config::default())?;
//!         while let Some(message) = socket.receive()? {
//!             socket.send(message)?;
//!         }
//!         Ok(())
//!     });
//! }
//! # Ok(()) }
//! ```
//!
//! [tiny_http]: https://docs.rs/tiny_http/0.12

use std::io::Cursor;
use std::net::SocketAddr;

use tiny_http::{HTTPVersion, Header, Request};

pub use super::taken_stream::Stream;
use crate::blocking::{self, Builder};
use crate::protocol::handshake::Response;
use crate::protocol::{Config, ProtocolError, Upgrade};
use crate::upgrade::{read_fields, refusal_head};

/// The blocking socket on a connection of `tiny_http`. See the example of the [module](self).
pub type WebSocket = blocking::WebSocket<Stream>;

/// Returns whether a request asks for a WebSocket. [`accept`] checks everything else.
///
/// See the example of the [module](self).
pub fn is_upgrade(request: &Request) -> bool {
    let has_token = |name: &'static str, token: &str| {
        let fields = request.headers().iter().filter(|header| header.field.equiv(name));
        fields
            .flat_map(|header| header.value.as_str().split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    has_token("Upgrade", "websocket") && has_token("Connection", "upgrade")
}

/// Answers a request for a WebSocket, and returns the socket. The first subprotocol of [`Config::subprotocols`] that the client offers
/// is selected.
///
/// The socket has handles for other threads ([`try_clone`](blocking::WebSocket::try_clone)) and timeouts, as described at [`Stream`].
///
/// # Errors
///
/// `Protocol` with the rule that the request breaks (RFC 6455 §4.2.1); the client has received an HTTP error. `Io` or `ConnectionLost`
/// if the connection has failed.
///
/// See the example of the [module](self).
pub fn accept(request: Request, config: Config) -> blocking::Result<WebSocket> {
    let upgrade = match read(&request, config) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            let _ = request.respond(response(&refusal_head(reason))?);
            return Err(reason.into());
        }
    };
    let client: Option<SocketAddr> = request.remote_addr().copied().filter(|_| !request.secure());
    let stream = request.upgrade("websocket", response(upgrade.response())?);
    let (stream, read_ahead) = Stream::take(Box::new(stream), client)?;
    Builder::new().upgraded(stream, upgrade.with_read_ahead(read_ahead))
}

fn read(request: &Request, config: Config) -> Result<Upgrade, ProtocolError> {
    let version = if *request.http_version() == HTTPVersion(1, 0) { "HTTP/1.0" } else { "HTTP/1.1" };
    let line = format!("{} {} {version}", request.method(), request.url());
    let fields = request.headers().iter();
    let fields = fields.map(|header| (header.field.as_str().as_str(), header.value.as_str()));
    Upgrade::new(read_fields(&line, fields, &config)?, config)
}

fn response(response: &Response) -> Result<tiny_http::Response<Cursor<Vec<u8>>>, ProtocolError> {
    let headers =
        response.headers().iter().map(|(name, value)| Header::from_bytes(name.as_str(), value.as_slice()));
    let headers = headers.collect::<Result<_, _>>().map_err(|()| ProtocolError::UnsendableHead)?;
    let body = response.body().to_vec();
    let length = (response.status() != 101).then_some(body.len());
    Ok(tiny_http::Response::new(response.status().into(), headers, Cursor::new(body), length, None))
}
