//! What programs configure, without an engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, Result};

/// The TLS library that encrypts.
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ClientTls, TlsEngine};
///
/// let tls = ClientTls::builder().engine(TlsEngine::default()).build()?;
/// assert_eq!(tls.engine(), TlsEngine::default());
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsEngine {
    /// OpenSSL. It is the default if the feature `ssl` is enabled.
    #[cfg(feature = "ssl")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ssl")))]
    #[default]
    OpenSsl,
    /// rustls. It is the default if the feature `ssl` is not enabled.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[cfg_attr(not(feature = "ssl"), default)]
    Rustls,
}

/// A version of TLS. See the [example](crate::ClientTlsBuilder#examples).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// A PEM text, or the file that contains it.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

/// A certificate chain, with the certificate of this end first, and its private key.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    Pem { chain: Pem, key: Pem },
    Pkcs12 { archive: Vec<u8>, password: Password },
}

/// A password, which is not written to logs.
#[derive(Clone)]
pub(super) struct Password(pub(super) String);

/// The versions that may be negotiated, and the protocols (ALPN, RFC 7301).
#[derive(Debug, Clone)]
pub(super) struct Protocols {
    pub(super) min: TlsVersion,
    pub(super) max: Option<TlsVersion>,
    pub(super) alpn: Vec<Vec<u8>>,
}

/// How a client checks the certificate of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    Full,
    AnyHost,
    AnyCertificate,
}

#[derive(Debug, Clone)]
pub(super) struct ClientOptions {
    pub(super) roots: Vec<Pem>,
    pub(super) trusts_system: bool,
    pub(super) identity: Option<Identity>,
    pub(super) protocols: Protocols,
    pub(super) sends_server_name: bool,
    pub(super) verification: Verification,
}

#[derive(Debug, Clone)]
pub(super) struct ServerOptions {
    pub(super) identity: Identity,
    /// The certificates for server names.
    pub(super) names: Vec<(String, Identity)>,
    /// The roots of the certificates that every client must have.
    pub(super) client_roots: Option<Pem>,
    pub(super) protocols: Protocols,
}

impl Default for Protocols {
    fn default() -> Self {
        Self { min: TlsVersion::V1_2, max: None, alpn: vec![b"http/1.1".to_vec()] }
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            trusts_system: true,
            identity: None,
            protocols: Protocols::default(),
            sends_server_name: true,
            verification: Verification::Full,
        }
    }
}

impl Pem {
    pub(super) fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    pub(super) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path)
                .map_err(|err| Error::new(ErrorKind::Io(err), format!("cannot read {}", path.display()))),
            Self::Text(text) => Ok(text.clone()),
        }
    }

    /// Returns an error that names the file.
    pub(super) fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("{self} contains no usable {what}"))
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("the PEM text"),
        }
    }
}

// A text may contain a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns the configuration of clients without options, which is created once, because reading the roots takes long.
pub(in crate::tls) fn shared_default<C: Clone>(
    cell: &OnceLock<C>,
    create: impl FnOnce(&ClientOptions) -> Result<C>,
) -> Result<C> {
    if let Some(client) = cell.get() {
        return Ok(client.clone());
    }
    let client = create(&ClientOptions::default())?;
    Ok(cell.get_or_init(|| client).clone())
}
