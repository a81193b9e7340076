//! How the two ends are encrypted.

#[cfg(any(feature = "rustls", feature = "ssl"))]
use sockeye::{ClientTls, ServerTls, TlsEngine};

/// The TLS configurations of both ends.
#[cfg(any(feature = "rustls", feature = "ssl"))]
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) client: ClientTls,
    pub(crate) server: ServerTls,
}

/// There are none in this build.
#[cfg(not(any(feature = "rustls", feature = "ssl")))]
#[derive(Clone)]
pub(crate) enum Keys {}

/// Returns the URL of a server.
pub(crate) fn url(keys: Option<&Keys>) -> &'static str {
    if keys.is_some() { "wss://localhost/chat" } else { "ws://localhost/chat" }
}

/// Returns every way to encrypt: none, and each engine of a client with each engine of a server.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(crate) fn all() -> Vec<Option<Keys>> {
    let engines = [
        #[cfg(feature = "ssl")]
        TlsEngine::OpenSsl,
        #[cfg(feature = "rustls")]
        TlsEngine::Rustls,
    ];
    let pairs = engines.iter().flat_map(|client| engines.iter().map(|server| Some(new(*client, *server))));
    std::iter::once(None).chain(pairs).collect()
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) fn all() -> Vec<Option<Keys>> {
    vec![None]
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn new(client: TlsEngine, server: TlsEngine) -> Keys {
    let certificate = include_str!("../../../examples/tls/localhost.pem");
    let key = include_str!("../../../examples/tls/localhost.key");
    Keys {
        client: ClientTls::builder().engine(client).trust_none().trust_pem(certificate).build().unwrap(),
        server: ServerTls::builder_from_pem(certificate, key).engine(server).build().unwrap(),
    }
}
