//! Opening handshakes that are performed together with another HTTP server, which reads the request and sends the response (§4.2).

use std::sync::Arc;
use std::time::Instant;

use super::{Extension, Request, Response, client_upgrade, server};
use crate::protocol::config::Overrides;
use crate::protocol::deflate;
use crate::protocol::{Config, Connection, ProtocolError, Role};

/// A request for an upgrade that was received by another HTTP server, and the response to it.
///
/// It is created from a request. It [selects](Self::choose_protocol) a subprotocol, returns the [response](Self::response) to
/// send, and then becomes a [`Connection`], or a connection of a front end, over the stream on which the response was sent.
///
/// For a client whose request another HTTP client has sent, [`ClientUpgrade::accept`] creates it from the response.
///
/// [`ClientUpgrade::accept`]: super::ClientUpgrade::accept
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use sockeye::Request;
/// use sockeye::protocol::{Config, State, Upgrade};
///
/// let head = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Protocol: soap, wamp\r\n\r\n";
/// let request = Request::parse(head)?.expect("the head is complete");
///
/// let mut upgrade = Upgrade::new(request, Config::default())?;
/// assert_eq!(upgrade.protocols(), ["soap", "wamp"]);
/// upgrade.choose_protocol("wamp")?;
/// assert!(upgrade.choose_protocol("chat").is_err());
/// assert_eq!(upgrade.response().header("Sec-WebSocket-Protocol"), Some(&b"wamp".to_vec()));
///
/// // After the response has been sent:
/// let (connection, read_ahead) = upgrade.into_connection(Instant::now())?;
/// assert_eq!((connection.state(), read_ahead.len()), (State::Open, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Upgrade {
    role: Role,
    config: Arc<Config>,
    request: Request,
    response: Response,
    read_ahead: Vec<u8>,
}

impl Upgrade {
    /// Accepts a request that follows the rules of §4.2.1 and of the configuration, or those of RFC 8441 §5 if it is an
    /// [extended CONNECT](Request::is_extended_connect).
    ///
    /// A subprotocol is selected according to [`Config::subprotocols`], and compression according to [`Config::deflate`].
    ///
    /// # Errors
    ///
    /// The rule that the request breaks. Respond with its [`http_status`](ProtocolError::http_status).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(request: Request, config: Config) -> Result<Self, ProtocolError> {
        server::check_upgrade(&request, &config)?;
        let mut response = Response::from_request(&request).map_err(|_| ProtocolError::InvalidKey)?;
        server::complete(&mut response, &request, &config);
        deflate::answer(&mut response, &request, &config);
        // What was negotiated applies in every front end that continues, whatever its own configuration.
        response.set_overrides(Overrides { deflate: config.deflate, max_fragments: config.max_fragments });
        Ok(Self { role: Role::Server, config: Arc::new(config), request, response, read_ahead: Vec::new() })
    }

    /// Creates the upgrade of a client. The response has been checked.
    pub(super) fn of_client(config: Arc<Config>, request: Request, response: Response) -> Self {
        Self { role: Role::Client, config, request, response, read_ahead: Vec::new() }
    }

    /// Returns whether this is the end of a server or of a client.
    ///
    /// See the example of [`ClientUpgrade`](super::ClientUpgrade).
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the subprotocols that the client offers, in order of preference.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn protocols(&self) -> Vec<&str> {
        self.request.protocols().unwrap_or_default()
    }

    /// Selects a subprotocol, in place of one that was selected before.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ProtocolNotOffered`] for one that the client does not offer (§4.2.2, item 4), and for a client, whose server
    /// has selected one.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn choose_protocol(&mut self, protocol: &str) -> Result<(), ProtocolError> {
        if self.role == Role::Client || !self.protocols().contains(&protocol) {
            return Err(ProtocolError::ProtocolNotOffered);
        }
        self.response.set_protocol(protocol);
        Ok(())
    }

    /// Returns the request.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the response that must be sent, or that a client has received.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Returns the response for changes, for example to add custom headers before it is sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::{ProtocolError, Upgrade};
    ///
    /// /// Adds a cookie to the response, and passes on what was read after the request.
    /// fn prepare(mut upgrade: Upgrade, read_ahead: Vec<u8>) -> sockeye::Result<Upgrade> {
    ///     upgrade.response_mut().add_header("Set-Cookie", "session=1")?;
    ///     Ok(upgrade.with_read_ahead(read_ahead))
    /// }
    /// ```
    pub fn response_mut(&mut self) -> &mut Response {
        &mut self.response
    }

    /// Adds bytes that the HTTP server has read after the request, or an HTTP client after the response. They may contain the first
    /// frames.
    ///
    /// See the example of [`response_mut`](Self::response_mut).
    #[must_use]
    pub fn with_read_ahead(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.read_ahead = bytes.into();
        self
    }

    /// Creates the connection after the response has been sent. Returns it with the bytes that were read ahead.
    ///
    /// # Errors
    ///
    /// The rule of §4.2.2, or for a client of §4.1, that the response breaks, if it was changed.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn into_connection(mut self, now: Instant) -> Result<(Connection, Vec<u8>), ProtocolError> {
        let connection = match self.role {
            Role::Server => Connection::upgraded(self.config, &self.request, &mut self.response, now)?,
            Role::Client => {
                client_upgrade::check(&self.request, &self.response, &self.config)?;
                let extensions = Extension::parse_all(self.response.fields())?;
                Connection::after_handshake(Role::Client, self.config, &extensions, now)?
            }
        };
        Ok((connection, self.read_ahead))
    }

    /// Returns the request, the response and the bytes that were read ahead.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn into_parts(self) -> (Request, Response, Vec<u8>) {
        (self.request, self.response, self.read_ahead)
    }
}
