//! The option `--tls` of the servers.

#[cfg(any(feature = "rustls", feature = "ssl"))]
use sockeye::{Factory, Pool, WebSocket, Worker};

use crate::support::{Arguments, Result};

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "certificate.rs"]
mod certificate;

/// Encrypts the server if the option is given. Returns the scheme of its URL as well.
pub(crate) fn encrypt_if_requested<S: Encrypt>(
    server: S,
    arguments: &Arguments,
) -> Result<(S, &'static str)> {
    if arguments.has("--tls") { Ok((server.encrypt()?, "wss")) } else { Ok((server, "ws")) }
}

/// A server that can be encrypted: one event loop, or several.
pub(crate) trait Encrypt: Sized {
    fn encrypt(self) -> Result<Self>;
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl<F: Factory> Encrypt for WebSocket<F> {
    fn encrypt(self) -> Result<Self> {
        Ok(self.with_server_tls(certificate::localhost()?))
    }
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl<M, F> Encrypt for Pool<M>
where
    M: Fn(Worker) -> F + Send + Sync,
    F: Factory,
{
    fn encrypt(self) -> Result<Self> {
        Ok(self.with_server_tls(certificate::localhost()?))
    }
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
impl<S> Encrypt for S {
    fn encrypt(self) -> Result<Self> {
        Err(crate::support::Failure::new(
            "--tls requires a build with `--features rustls` or `--features ssl`",
        ))
    }
}
