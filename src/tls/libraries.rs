//! The libraries of this build, for the builders.

use std::sync::Arc;

use super::TlsEngine;
use super::engine::{ClientEngine, ServerEngine};
#[cfg(feature = "ssl")]
use super::openssl;
use super::options::{ClientOptions, ServerOptions};
#[cfg(feature = "rustls")]
use super::rustls;
use crate::error::Result;

/// Creates the configuration of clients of a library.
#[cfg(all(feature = "rustls", feature = "ssl"))]
pub(super) fn new_client(engine: TlsEngine, options: &ClientOptions) -> Result<Arc<dyn ClientEngine>> {
    match engine {
        TlsEngine::OpenSsl => Ok(Arc::new(openssl::client::Client::new(options)?)),
        TlsEngine::Rustls => Ok(Arc::new(rustls::client::Client::new(options)?)),
    }
}

#[cfg(not(feature = "rustls"))]
pub(super) fn new_client(_: TlsEngine, options: &ClientOptions) -> Result<Arc<dyn ClientEngine>> {
    Ok(Arc::new(openssl::client::Client::new(options)?))
}

#[cfg(not(feature = "ssl"))]
pub(super) fn new_client(_: TlsEngine, options: &ClientOptions) -> Result<Arc<dyn ClientEngine>> {
    Ok(Arc::new(rustls::client::Client::new(options)?))
}

/// Returns the configuration of programs that have none. The roots are read once, because this takes long.
#[cfg(feature = "ssl")]
pub(super) fn default_client() -> Result<Arc<dyn ClientEngine>> {
    Ok(Arc::new(openssl::client::Client::shared_default()?))
}

#[cfg(not(feature = "ssl"))]
pub(super) fn default_client() -> Result<Arc<dyn ClientEngine>> {
    Ok(Arc::new(rustls::client::Client::shared_default()?))
}

/// Creates the configuration of servers of a library.
#[cfg(all(feature = "rustls", feature = "ssl"))]
pub(super) fn new_server(engine: TlsEngine, options: &ServerOptions) -> Result<Arc<dyn ServerEngine>> {
    match engine {
        TlsEngine::OpenSsl => Ok(Arc::new(openssl::server::Server::new(options)?)),
        TlsEngine::Rustls => Ok(Arc::new(rustls::server::Server::new(options)?)),
    }
}

#[cfg(not(feature = "rustls"))]
pub(super) fn new_server(_: TlsEngine, options: &ServerOptions) -> Result<Arc<dyn ServerEngine>> {
    Ok(Arc::new(openssl::server::Server::new(options)?))
}

#[cfg(not(feature = "ssl"))]
pub(super) fn new_server(_: TlsEngine, options: &ServerOptions) -> Result<Arc<dyn ServerEngine>> {
    Ok(Arc::new(rustls::server::Server::new(options)?))
}
