//! The TLS of a build without a library: there is no configuration, so that no session can be created.

use super::engine::Engine;
use crate::error::{Error, ErrorKind, Result, TLS_DISABLED};

/// The TLS configuration of clients: there is none.
#[derive(Debug, Clone)]
pub(crate) enum ClientTls {}

/// The TLS configuration of servers: there is none.
#[derive(Debug, Clone)]
pub(crate) enum ServerTls {}

impl ClientTls {
    pub(crate) fn shared_default() -> Result<Self> {
        Err(Error::new(ErrorKind::Internal, TLS_DISABLED))
    }

    pub(super) fn connect(&self, _host: &str) -> Result<Box<dyn Engine>> {
        match *self {}
    }
}

impl ServerTls {
    pub(super) fn accept(&self) -> Result<Box<dyn Engine>> {
        match *self {}
    }
}
