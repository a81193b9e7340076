//! How nodes connect to the server.

use crate::server::{Server, has_tls};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    /// As a user with few permissions.
    User,
    /// The same over TLS.
    UserOverTls,
}

/// The user on docs/machines.md.
const USER: &str = "on >secret resetchannels &sockeye:* -@all +publish +subscribe +unsubscribe +ping +hello +select \
                    +client|setname";

/// A certificate for `localhost`, and its key.
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/tls/localhost.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/tls/localhost.key");

impl Access {
    /// Returns the strictest access that the server has.
    pub(crate) fn strictest() -> Self {
        if has_tls() { Self::UserOverTls } else { Self::User }
    }

    /// Starts a server with this access. Returns `None` if the program is missing.
    pub(crate) fn start_server(self) -> Option<Server> {
        let files =
            ["--tls-cert-file", CERTIFICATE, "--tls-key-file", KEY, "--tls-ca-cert-file", CERTIFICATE];
        let user: Vec<_> = ["--user", "chat"].into_iter().chain(USER.split_whitespace()).collect();
        match self {
            Self::Open => Server::start(&[]),
            Self::User => Server::start(&user),
            Self::UserOverTls => {
                Server::start_tls(&[&files[..], &["--tls-auth-clients", "no"], &user].concat())
            }
        }
    }

    /// Returns the URL of the server for a port, and the certificate that nodes trust, or `-`.
    pub(crate) fn url(self, port: u16) -> (String, &'static str) {
        match self {
            Self::Open => (format!("redis://127.0.0.1:{port}"), "-"),
            Self::User => (format!("redis://chat:secret@127.0.0.1:{port}"), "-"),
            Self::UserOverTls => (format!("rediss://chat:secret@localhost:{port}"), CERTIFICATE),
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Open => "openly",
            Self::User => "by a user",
            Self::UserOverTls => "by a user, TLS",
        }
    }
}
