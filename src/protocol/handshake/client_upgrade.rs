//! Opening handshakes whose request an HTTP client sends (§4.1).

use std::sync::Arc;

use super::{Request, Response, Upgrade, client};
use crate::protocol::deflate;
use crate::protocol::{Config, ProtocolError, Role};

/// A request for a WebSocket that an HTTP client sends, and that waits for its response.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use sockeye::protocol::handshake::ClientUpgrade;
/// use sockeye::protocol::{Config, Role, State};
/// use sockeye::{Request, Response};
///
/// // Over HTTP/2. Without `into_extended_connect`, it is the upgrade of HTTP/1.1.
/// let mut request = Request::from_url(&"wss://example.com/chat".parse()?)?.into_extended_connect();
/// request.add_protocol("wamp");
/// let pending = ClientUpgrade::new(request, Config::default())?;
/// // The HTTP client sends `pending.request()`. Here, this is its response:
/// let mut response = Response::new(200, "OK", Vec::new());
/// response.set_protocol("wamp");
///
/// let upgrade = pending.accept(response)?;
/// assert_eq!(upgrade.role(), Role::Client);
/// let (connection, _) = upgrade.into_connection(Instant::now())?;
/// assert_eq!(connection.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientUpgrade {
    config: Arc<Config>,
    request: Request,
}

impl ClientUpgrade {
    /// Completes a request with the subprotocols and the compression of the configuration, and checks it (§4.1).
    ///
    /// The request is an upgrade of HTTP/1.1 ([`Request::from_url`]) or an [extended CONNECT](Request::into_extended_connect).
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(mut request: Request, config: Config) -> Result<Self, ProtocolError> {
        client::complete(&mut request, &config);
        deflate::offer(&mut request, &config);
        client::check_request(&request)?;
        Ok(Self { config: Arc::new(config), request })
    }

    /// Returns the request that must be sent.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Accepts the response of the server, after checking it. The result becomes a socket of any front end.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnexpectedStatus`] if the server has rejected the request, and otherwise the rule of §4.1 that the
    /// response breaks.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn accept(self, response: Response) -> Result<Upgrade, ProtocolError> {
        check(&self.request, &response, &self.config)?;
        Ok(Upgrade::of_client(self.config, self.request, response))
    }
}

/// Checks a response, and the compression in it.
pub(super) fn check(request: &Request, response: &Response, config: &Config) -> Result<(), ProtocolError> {
    client::check_response(request, response, config)?;
    deflate::agree(Role::Client, request, response, config).map(drop)
}
