//! How the connections of a loop are encrypted: by its own configuration, or by the hooks of `ws`.

use mio::net::TcpStream;
use url::Url;

use super::hooks;
use super::tls::Tls;
use crate::error::Result;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Settings;
use crate::tls::{ClientTls, ServerTls, Session, server_name};

/// The TLS configuration of a loop.
#[derive(Debug, Clone, Default)]
pub(in crate::reactor) struct Keys {
    pub(in crate::reactor) server: Option<ServerTls>,
    pub(in crate::reactor) client: Option<ClientTls>,
}

impl Keys {
    /// Whether accepted TCP connections are encrypted.
    pub(in crate::reactor) fn encrypt_servers(&self, settings: &Settings) -> bool {
        settings.encrypt_server || self.server.is_some()
    }

    /// Begins the handshake of a server. A connection that will be rejected has no handler.
    pub(in crate::reactor) fn accept<H: Handler>(
        &self,
        socket: TcpStream,
        handler: Option<&mut H>,
    ) -> Result<Tls> {
        match &self.server {
            Some(server) => Ok(Tls::new(socket, Session::server(server)?)),
            None => hooks::accept(socket, handler),
        }
    }

    /// Begins the handshake of a client.
    pub(in crate::reactor) fn connect<H: Handler>(
        &self,
        socket: TcpStream,
        handler: &mut H,
        url: &Url,
    ) -> Result<Tls> {
        match &self.client {
            Some(client) => Ok(Tls::new(socket, Session::client(client, &server_name(url)?)?)),
            None => hooks::connect(socket, handler, url),
        }
    }
}
