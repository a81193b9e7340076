//! WebSockets on connections of [rouille] 3, as blocking sockets. Feature `rouille`.
//!
//! ```no_run
//! use rouille::Response;
//! use sockeye::protocol::Config;
//! use sockeye::rouille as websocket;
//!
//! rouille::start_server("127.0.0.1:3012", |request| {
//!     if !websocket::is_upgrade(request) {
//!         return Response::text("This server has an echo.\n");
//!     }
//!     websocket::upgrade(request, Config::default(), |mut socket| {
//!         while let Ok(Some(message)) = socket.receive() {
//!             let _ = socket.send(message);
//!         }
//!     })
//! })
//! ```
//!
//! [rouille]: https://docs.rs/rouille/3

use std::net::SocketAddr;
use std::thread;

use rouille::{ReadWrite, Request, ResponseBody};

pub use super::taken_stream::Stream;
use crate::blocking::{self, Builder};
use crate::protocol::handshake::Response;
use crate::protocol::{Config, ProtocolError, Upgrade};
use crate::upgrade::{read_fields, refusal_head};

/// The blocking socket on a connection of `rouille`. See the example of the [module](self).
pub type WebSocket = blocking::WebSocket<Stream>;

/// Returns whether a request asks for a WebSocket. [`upgrade`](fn@upgrade) checks everything else.
///
/// See the example of the [module](self).
pub fn is_upgrade(request: &Request) -> bool {
    let has_token = |name: &str, token: &str| {
        let fields = request.headers().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.flat_map(|(_, value)| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    has_token("Upgrade", "websocket") && has_token("Connection", "upgrade")
}

/// Answers a request for a WebSocket, and calls `serve` with the socket on a thread of its own.
///
/// The response opens the connection, or rejects the request with the status for the reason. The first subprotocol of
/// [`Config::subprotocols`] that the client offers is selected. The socket has handles for other threads
/// ([`try_clone`](blocking::WebSocket::try_clone)) and timeouts, as described at [`Stream`].
///
/// See the example of the [module](self).
pub fn upgrade<F>(request: &Request, config: Config, serve: F) -> rouille::Response
where
    F: FnOnce(WebSocket) + Send + 'static,
{
    let upgrade = match read(request, config) {
        Ok(upgrade) => upgrade,
        Err(reason) => return response(&refusal_head(reason)),
    };
    let client = Some(*request.remote_addr()).filter(|_| !request.is_secure());
    let mut response = response(upgrade.response());
    response.upgrade = Some(Box::new(PendingUpgrade(Some((upgrade, client, serve)))));
    response
}

/// Receives the stream of the connection once the response has been sent.
struct PendingUpgrade<F>(Option<(Upgrade, Option<SocketAddr>, F)>);

impl<F: FnOnce(WebSocket) + Send + 'static> rouille::Upgrade for PendingUpgrade<F> {
    fn build(&mut self, stream: Box<dyn ReadWrite + Send>) {
        let Some((upgrade, client, serve)) = self.0.take() else { return };
        // The thread that calls this serves other requests.
        thread::spawn(move || {
            let opened = Stream::take(Box::new(stream), client).map_err(blocking::Error::Io);
            let opened = opened.and_then(|(stream, read_ahead)| {
                Builder::new().upgraded(stream, upgrade.with_read_ahead(read_ahead))
            });
            // The client has disconnected, if this is an error.
            if let Ok(socket) = opened {
                serve(socket);
            }
        });
    }
}

fn read(request: &Request, config: Config) -> Result<Upgrade, ProtocolError> {
    // rouille does not return the version. Its responses are those of HTTP/1.1.
    let line = format!("{} {} HTTP/1.1", request.method(), request.raw_url());
    Upgrade::new(read_fields(&line, request.headers(), &config)?, config)
}

fn response(response: &Response) -> rouille::Response {
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.clone().into(), String::from_utf8_lossy(value).into_owned().into()));
    rouille::Response {
        status_code: response.status(),
        headers: headers.collect(),
        data: ResponseBody::from_data(response.body().to_vec()),
        upgrade: None,
    }
}
