//! The options that the builders of `blocking` and `futures` have in common.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

#[cfg(any(feature = "blocking", feature = "tokio"))]
use super::Error;
use super::session::Session;
use super::{InvalidUrl, Result};
use crate::connecting::proxy::Proxy;
#[cfg(any(feature = "blocking", feature = "tokio"))]
use crate::connecting::proxy::ProxyServer;
#[cfg(any(feature = "blocking", feature = "tokio"))]
use crate::connecting::redirect::Redirect;
use crate::connecting::redirect::{RedirectScope, without_credentials};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Config, FrameExtension, ProtocolError};
use crate::tls::ClientTls;

/// Creates the extension of a connection.
type MakeExtension = Arc<dyn Fn() -> Box<dyn FrameExtension> + Send + Sync>;

/// The default of `high_water`, in bytes.
const HIGH_WATER: usize = 64 * 1024;

/// The options that both builders have.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) config: Arc<Config>,
    pub(crate) connect_timeout: Duration,
    pub(crate) high_water: usize,
    headers: Vec<(String, Vec<u8>)>,
    subprotocols: Vec<String>,
    make_extension: Option<MakeExtension>,
    /// Whether the user and the password of a URL are sent.
    sends_url_credentials: bool,
    #[cfg_attr(
        not(any(feature = "blocking", feature = "tokio")),
        expect(dead_code, reason = "nothing connects")
    )]
    connecting: ConnectOptions,
    /// How a client encrypts, if the program has configured it.
    #[cfg_attr(
        not(any(feature = "blocking", feature = "tokio")),
        expect(dead_code, reason = "nothing connects")
    )]
    client_tls: Option<ClientTls>,
}

/// Through which proxy a client connects, and which redirects it follows.
#[derive(Clone, Default)]
#[cfg_attr(not(any(feature = "blocking", feature = "tokio")), expect(dead_code, reason = "nothing connects"))]
struct ConnectOptions {
    proxy: Option<Proxy>,
    max_redirects: u8,
    redirect_scope: RedirectScope,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            connect_timeout: Duration::from_secs(10),
            high_water: HIGH_WATER,
            headers: Vec::new(),
            subprotocols: Vec::new(),
            make_extension: None,
            sends_url_credentials: true,
            connecting: ConnectOptions::default(),
            client_tls: None,
        }
    }
}

impl Options {
    /// Adds a header, if it can be sent.
    pub(crate) fn add_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let mut probe = Response::new(200, "", Vec::new());
        probe.add_header(name, value).map_err(|_| ProtocolError::UnsendableHead)?;
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

    pub(crate) fn set_url_credentials(&mut self, are_sent: bool) {
        self.sends_url_credentials = are_sent;
    }

    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn set_max_redirects(&mut self, max: u8) {
        self.connecting.max_redirects = max;
    }

    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn set_cross_origin_redirects(&mut self, are_followed: bool) {
        self.connecting.redirect_scope = RedirectScope::crossing(are_followed);
    }

    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn set_proxy(&mut self, proxy: Proxy) {
        self.connecting.proxy = Some(proxy);
    }

    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Arc<ProxyServer>> {
        self.connecting.proxy.as_ref()?.server_for(url)
    }

    pub(crate) fn set_extension<E: FrameExtension + 'static>(
        &mut self,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) {
        self.make_extension = Some(Arc::new(move || Box::new(make())));
    }

    /// Creates the request of a client.
    pub(crate) fn request(&self, url: &Url) -> Result<Request> {
        let mut request = match self.sends_url_credentials {
            true => Request::from_url(url),
            false => Request::from_url(&anonymous(url)),
        }
        .map_err(|err| InvalidUrl::unsuitable(url.as_str(), err.details))?;
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

    /// Begins at the first URL of a client.
    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn first_url(&self, url: &str) -> Result<Redirect> {
        Ok(Redirect::new(parse_url(url)?, self.connecting.max_redirects))
    }

    /// Creates the request for a URL that a redirect may have led to.
    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn redirected_request(&self, redirect: &Redirect) -> Result<Request> {
        let mut request = self.request(&redirect.url)?;
        redirect.remove_secrets(&mut request);
        Ok(request)
    }

    /// Follows a redirect if that is allowed. Returns whether it is.
    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn follow(&self, redirect: &mut Redirect, response: Option<&Response>) -> bool {
        response.is_some_and(|response| redirect.follow(response, self.connecting.redirect_scope))
    }

    /// Creates the session of a client, and writes its request.
    pub(crate) fn client(
        &self,
        request: Request,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> std::result::Result<Session, ProtocolError> {
        let extension = self.make_extension.as_ref().map(|make| make());
        Session::client(self.connection_config(), request, extension, now, out)
    }

    /// Creates the session of a server.
    pub(crate) fn server(&self, now: Instant) -> Session {
        let extension = self.make_extension.as_ref().map(|make| make());
        Session::server(self.connection_config(), extension, now)
    }

    /// Chooses the first supported subprotocol that the client offers, unless one is chosen already.
    fn choose_protocol(&self, request: &Request, response: &mut Response) -> Result<()> {
        if response.protocol()?.is_none() {
            let supported: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
            response.choose_protocol(request, &supported);
        }
        Ok(())
    }

    /// Creates the response that accepts a request.
    pub(crate) fn acceptance(&self, request: &Request) -> Response {
        let Ok(mut response) = Response::from_request(request) else {
            // Without a key, the core refuses the request with the right status.
            return Response::new(101, "", Vec::new());
        };
        // The core refuses a list that is malformed.
        let _ = self.choose_protocol(request, &mut response);
        response
    }

    #[cfg(all(any(feature = "rustls", feature = "ssl"), any(feature = "blocking", feature = "tokio")))]
    pub(crate) fn set_client_tls(&mut self, tls: ClientTls) {
        self.client_tls = Some(tls);
    }

    /// Returns how a client encrypts. Default: it trusts the roots of the system.
    #[cfg(any(feature = "blocking", feature = "tokio"))]
    pub(crate) fn client_tls(&self, url: &Url) -> Result<ClientTls> {
        if !crate::tls::IS_SUPPORTED {
            return Err(Error::TlsDisabled(url.host_str().unwrap_or_default().to_owned()));
        }
        Ok(self.client_tls.clone().map_or_else(ClientTls::shared_default, Ok)?)
    }

    /// The configuration of a connection. An extension of the program replaces compression, because only one of them can be
    /// the last to change a frame.
    fn connection_config(&self) -> Arc<Config> {
        if self.make_extension.is_none() || self.config.deflate.is_none() {
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
            .field("high_water", &self.high_water)
            .field("headers", &headers)
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

pub(crate) fn parse_url(url: &str) -> Result<Url> {
    Ok(Url::parse(url).map_err(|err| InvalidUrl::syntax(url, err))?)
}

/// Returns a URL without its user and password.
fn anonymous(url: &Url) -> Url {
    let mut url = url.clone();
    without_credentials(&mut url);
    url
}

/// Whether a URL asks for TLS.
#[cfg(any(feature = "blocking", feature = "tokio"))]
pub(crate) fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "wss" | "https")
}

/// The host and port of a URL, for error texts.
#[cfg(any(feature = "blocking", feature = "tokio"))]
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Adds the setters of [`Options`] to a builder.
macro_rules! setters {
    ($builder:ident) => {
        impl $builder {
            /// Sets the limits, timeouts and rules of the protocol. Default: [`Config::default`].
            ///
            /// [`Config::default`]: crate::protocol::Config
            ///
            /// See the [example](Self#examples) of this type.
            #[must_use]
            pub fn config(mut self, config: $crate::protocol::Config) -> Self {
                self.options.config = std::sync::Arc::new(config);
                self
            }

            /// Sets how long a client may take to connect to each address of the host. Default: 10 seconds.
            #[must_use]
            pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.options.connect_timeout = timeout;
                self
            }

            /// Sets whether the user and the password of a URL are sent as `Authorization: Basic` (RFC 7617). Default: `true`.
            ///
            /// The header is readable on the network unless the URL is a `wss://` URL.
            #[must_use]
            pub fn url_credentials(mut self, are_sent: bool) -> Self {
                self.options.set_url_credentials(are_sent);
                self
            }

            /// Sets how many bytes may wait to be sent before `queue` has to write some of them. Default: 64 KiB.
            #[must_use]
            pub fn high_water(mut self, bytes: usize) -> Self {
                self.options.high_water = bytes;
                self
            }

            /// Adds a header to the request of a client. It replaces a header that is always sent, such as `Host`.
            ///
            /// Browsers cannot do this: the builder of `browser` has the method, so that programs compile for both targets, and
            /// its `connect` returns an error.
            ///
            /// # Errors
            ///
            /// `Protocol` with [`UnsendableHead`](crate::protocol::ProtocolError::UnsendableHead) if the name or the value
            /// contains something that cannot be sent, such as a line break.
            ///
            /// See the [example](Self#examples) of this type.
            pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> $crate::socket::Result<Self> {
                self.options.add_header(name, value.as_ref())?;
                Ok(self)
            }

            /// Removes all added headers of this name.
            #[must_use]
            pub fn remove_header(mut self, name: &str) -> Self {
                self.options.remove_header(name);
                self
            }

            /// Adds a subprotocol that a client offers, or that a server supports. The preferred one comes first.
            ///
            /// Added subprotocols replace [`Config::subprotocols`](crate::protocol::Config::subprotocols).
            ///
            /// See the [example](Self#examples) of this type.
            #[must_use]
            pub fn add_subprotocol(mut self, protocol: &str) -> Self {
                self.options.add_subprotocol(protocol);
                self
            }

            /// Removes an added subprotocol.
            #[must_use]
            pub fn remove_subprotocol(mut self, protocol: &str) -> Self {
                self.options.remove_subprotocol(protocol);
                self
            }

            /// Sets a function that creates the extension of each connection (RFC 6455 §9). Default: no extension.
            ///
            /// Both ends agree on the extension in the opening handshake; otherwise it is not used. It replaces compression.
            /// A connection whose opening handshake was performed elsewhere has no extension.
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

/// Adds the setters of [`Options`] that concern connecting to a builder.
#[cfg(any(feature = "blocking", feature = "tokio"))]
macro_rules! connecting_setters {
    ($builder:ident) => {
        impl $builder {
            /// Sets the proxy through which a client connects. Default: none; the environment is not read.
            ///
            /// See the example of [`Proxy`](crate::Proxy).
            #[must_use]
            pub fn proxy(mut self, proxy: $crate::Proxy) -> Self {
                self.options.set_proxy(proxy);
                self
            }

            /// Sets how many redirects `connect` follows. Default: 0; a redirect is then the error `Rejected`.
            ///
            /// Only redirects to the same scheme, host and port are followed, unless
            /// [`cross_origin_redirects`](Self::cross_origin_redirects) allows others. The timeouts apply to each request.
            #[must_use]
            pub fn max_redirects(mut self, max: u8) -> Self {
                self.options.set_max_redirects(max);
                self
            }

            /// Sets whether redirects to another scheme, host or port are followed. Default: `false`.
            ///
            /// A redirect never leads from `wss://` to `ws://`. `https://` in a redirect means `wss://`, and `http://` means
            /// `ws://`. From the first other origin on, the credentials of the URL and the headers `Authorization`, `Cookie` and
            /// `Proxy-Authorization` are not sent. All other added headers are sent to the new origin, so do not add another
            /// header with a secret. [`max_redirects`](Self::max_redirects) limits the number.
            #[must_use]
            pub fn cross_origin_redirects(mut self, are_followed: bool) -> Self {
                self.options.set_cross_origin_redirects(are_followed);
                self
            }
        }
    };
}

#[cfg(any(feature = "blocking", feature = "tokio"))]
pub(crate) use connecting_setters;
