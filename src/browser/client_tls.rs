//! The TLS options of other clients, which a browser does not have. They exist so that one program compiles for both targets.

use std::path::Path;

use crate::error::Result;

/// The TLS configuration of clients, with the methods of the native one.
///
/// A browser has its own configuration. [`Builder::connect`](super::Builder::connect) therefore returns an error if an option
/// is set and the URL is encrypted. An option that is left out silently could be one that the security of the program needs.
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ClientBuilder, ClientTls};
///
/// /// Both branches are compiled for both targets.
/// fn builder() -> sockeye::Result<ClientBuilder> {
///     let builder = ClientBuilder::new();
///     if cfg!(target_family = "wasm") {
///         return Ok(builder);
///     }
///     Ok(builder.client_tls(ClientTls::builder().trust("company-root.pem").build()?))
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// The first option that was set.
    unsupported: Option<&'static str>,
}

/// Creates a [`ClientTls`]. See the [example](ClientTls#examples) of it.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientTlsBuilder {
    tls: ClientTls,
}

/// A version of TLS. See [`ClientTlsBuilder::min_version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl ClientTls {
    /// Creates the default configuration, which leaves everything to the browser.
    ///
    /// # Errors
    ///
    /// None. The native configuration can fail.
    pub fn new() -> Result<Self> {
        Ok(Self::default())
    }

    /// Returns a builder with the default configuration.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// The name of an option that was set.
    pub(super) fn unsupported_option(&self) -> Option<&'static str> {
        self.unsupported
    }
}

/// The options. Each one causes an error when the program connects, unless browsers fulfill it anyway.
impl ClientTlsBuilder {
    /// Adds the roots in a PEM file. Not supported by browsers, which use the roots that their user trusts.
    pub fn trust(self, roots: impl AsRef<Path>) -> Self {
        drop(roots);
        self.record("trust")
    }

    /// Adds the roots in a PEM text. Not supported by browsers.
    pub fn trust_pem(self, roots: impl Into<Vec<u8>>) -> Self {
        drop(roots);
        self.record("trust_pem")
    }

    /// Replaces all roots with those in a PEM file. Not supported by browsers.
    pub fn trust_only(self, roots: impl AsRef<Path>) -> Self {
        drop(roots);
        self.record("trust_only")
    }

    /// Removes all roots. Not supported by browsers.
    pub fn trust_none(self) -> Self {
        self.record("trust_none")
    }

    /// Sets the client certificate from PEM files. Not supported by browsers, which ask their user for it.
    pub fn certificate(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        drop((chain, key));
        self.record("certificate")
    }

    /// Sets the client certificate from PEM texts. Not supported by browsers.
    pub fn certificate_pem(self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        drop((chain, key));
        self.record("certificate_pem")
    }

    /// Sets the client certificate from a PKCS #12 archive. Not supported by browsers.
    pub fn certificate_pkcs12(self, archive: impl Into<Vec<u8>>, password: &str) -> Self {
        drop((archive, password));
        self.record("certificate_pkcs12")
    }

    /// Sets the oldest TLS version. Browsers refuse versions before 1.2, and do not support another minimum.
    pub fn min_version(self, version: TlsVersion) -> Self {
        if version == TlsVersion::V1_2 { self } else { self.record("min_version") }
    }

    /// Sets the newest TLS version. That of browsers is 1.3, and they do not support another one.
    pub fn max_version(self, version: TlsVersion) -> Self {
        if version == TlsVersion::V1_3 { self } else { self.record("max_version") }
    }

    /// Sets the protocols that are offered (ALPN, RFC 7301). It has no effect: the browser offers what it needs.
    pub fn alpn<'a>(self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        drop(protocols);
        self
    }

    /// Does not send the name of the server. Not supported by browsers.
    pub fn hide_server_name(self) -> Self {
        self.record("hide_server_name")
    }

    /// Accepts any certificate. Not supported by browsers.
    pub fn danger_accept_any_certificate(self) -> Self {
        self.record("danger_accept_any_certificate")
    }

    /// Accepts a certificate that was issued for any host. Not supported by browsers.
    pub fn danger_accept_any_host(self) -> Self {
        self.record("danger_accept_any_host")
    }

    /// Creates the configuration. Files are not read.
    ///
    /// # Errors
    ///
    /// None. The native configuration can fail.
    pub fn build(self) -> Result<ClientTls> {
        Ok(self.tls)
    }

    fn record(mut self, option: &'static str) -> Self {
        self.tls.unsupported.get_or_insert(option);
        self
    }
}
