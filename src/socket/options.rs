//! What a client or a server is made with, in every front end without handlers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(all(feature = "ssl", any(feature = "blocking", feature = "tokio")))]
use openssl::ssl::SslConnector;
use url::Url;

use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Config, FrameExtension, ProtocolError};

/// Makes the extension of a connection.
type Extend = Arc<dyn Fn() -> Box<dyn FrameExtension> + Send + Sync>;

/// Whom a client trusts, where that was said.
#[cfg(all(feature = "ssl", any(feature = "blocking", feature = "tokio")))]
type Connector = Option<SslConnector>;
#[cfg(not(all(feature = "ssl", any(feature = "blocking", feature = "tokio"))))]
type Connector = ();

/// What the builders have in common.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) config: Arc<Config>,
    pub(crate) connect_timeout: Duration,
    headers: Vec<(String, Vec<u8>)>,
    subprotocols: Vec<String>,
    extend: Option<Extend>,
    #[cfg_attr(
        not(all(feature = "ssl", any(feature = "blocking", feature = "tokio"))),
        expect(dead_code, reason = "nothing encrypts")
    )]
    connector: Connector,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            connect_timeout: Duration::from_secs(10),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            extend: None,
            connector: Connector::default(),
        }
    }
}

impl Options {
    /// Adds a header, if it can be sent.
    pub(crate) fn add_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        Response::new(200, "", Vec::new()).add_header(name, value)?;
        self.headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    pub(crate) fn remove_header(&mut self, name: &str) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    pub(crate) fn add_subprotocol(&mut self, protocol: &str) {
        self.subprotocols.push(protocol.to_owned());
    }

    pub(crate) fn remove_subprotocol(&mut self, protocol: &str) {
        self.subprotocols.retain(|other| other != protocol);
    }

    pub(crate) fn set_extension<E: FrameExtension + 'static>(
        &mut self,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) {
        self.extend = Some(Arc::new(move || Box::new(make())));
    }

    /// The request of a client.
    pub(crate) fn request(&self, url: &Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        for (number, (name, value)) in self.headers.iter().enumerate() {
            match self.headers.iter().take(number).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                true => request.add_header(name, value)?,
                false => request.set_header(name, value)?,
            }
        }
        for protocol in &self.subprotocols {
            request.add_protocol(protocol);
        }
        Ok(request)
    }

    /// Begins as a client, and writes its request.
    pub(crate) fn client(
        &self,
        request: Request,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> std::result::Result<Session, ProtocolError> {
        let extension = self.extend.as_ref().map(|make| make());
        Session::client(self.rules(), request, extension, now, out)
    }

    /// Begins as a server.
    pub(crate) fn server(&self, now: Instant) -> Session {
        Session::server(self.rules(), self.extend.as_ref().map(|make| make()), now)
    }

    /// Chooses the first of the subprotocols that the client offers, unless one is chosen.
    pub(crate) fn choose_protocol(&self, request: &Request, response: &mut Response) -> Result<()> {
        if response.protocol()?.is_none() {
            let supported: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
            response.choose_protocol(request, &supported);
        }
        Ok(())
    }

    #[cfg(all(feature = "ssl", any(feature = "blocking", feature = "tokio")))]
    pub(crate) fn set_connector(&mut self, connector: SslConnector) {
        self.connector = Some(connector);
    }

    /// How a client encrypts.
    #[cfg(all(feature = "ssl", any(feature = "blocking", feature = "tokio")))]
    pub(crate) fn connector(&self) -> Result<SslConnector> {
        self.connector.clone().map_or_else(crate::tls::default_connector, Ok)
    }

    /// Both would want to be the last that changes a frame: compression, and an extension of the program.
    fn rules(&self) -> Arc<Config> {
        if self.extend.is_none() || self.config.deflate.is_none() {
            return Arc::clone(&self.config);
        }
        Arc::new(Config { deflate: None, ..(*self.config).clone() })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values of headers may be secrets.
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Options")
            .field("config", &self.config)
            .field("connect_timeout", &self.connect_timeout)
            .field("headers", &headers)
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

pub(crate) fn parse_url(url: &str) -> Result<Url> {
    Url::parse(url)
        .map_err(|err| Error::new(ErrorKind::Internal, format!("the URL {url:?} cannot be read: {err}")))
}

/// Gives a builder that has `options` the calls that set them.
macro_rules! setters {
    ($builder:ident) => {
        impl $builder {
            /// Sets the limits, the time-outs and the rules.
            #[must_use]
            pub fn config(mut self, config: $crate::protocol::Config) -> Self {
                self.options.config = std::sync::Arc::new(config);
                self
            }

            /// Sets how long the connection to one address may take. Default 10 s.
            #[must_use]
            pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.options.connect_timeout = timeout;
                self
            }

            /// Adds a header to the request of a client. One that the request has anyway, such as `Host`, is replaced.
            ///
            /// # Errors
            ///
            /// `Protocol` for a name or a value that would not arrive as it is meant, such as one with a line break.
            pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> $crate::error::Result<Self> {
                self.options.add_header(name, value.as_ref())?;
                Ok(self)
            }

            /// Removes the headers of a name that were added.
            #[must_use]
            pub fn remove_header(mut self, name: &str) -> Self {
                self.options.remove_header(name);
                self
            }

            /// Adds a subprotocol behind those that a client offers, or a server supports, the best first. If there are
            /// any, they take the place of [`Config::subprotocols`](crate::protocol::Config::subprotocols).
            #[must_use]
            pub fn add_subprotocol(mut self, protocol: &str) -> Self {
                self.options.add_subprotocol(protocol);
                self
            }

            /// Removes a subprotocol that was added.
            #[must_use]
            pub fn remove_subprotocol(mut self, protocol: &str) -> Self {
                self.options.remove_subprotocol(protocol);
                self
            }

            /// Sets what makes the extension of each connection, which both ends then agree on in the opening handshake,
            /// or not. It takes the place of compression. A socket that goes on from an upgrade made elsewhere has none.
            #[must_use]
            pub fn extension<E: $crate::protocol::FrameExtension + 'static>(
                mut self,
                make: impl Fn() -> E + Send + Sync + 'static,
            ) -> Self {
                self.options.set_extension(make);
                self
            }
        }
    };
}

pub(crate) use setters;
