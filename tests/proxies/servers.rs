//! The servers behind the proxies.

use std::net::TcpListener;

use sockeye::{ClientTls, Factory, Message, Sender, ServerTls, TlsEngine, WebSocket};
use sockeye_test_support::server::Server;

const CERTIFICATE: &str = include_str!("../../examples/tls/localhost.pem");
const KEY: &str = include_str!("../../examples/tls/localhost.key");

/// The engines of this build.
pub(crate) const ENGINES: &[TlsEngine] = &[
    #[cfg(feature = "ssl")]
    TlsEngine::OpenSsl,
    TlsEngine::Rustls,
];

/// Starts a server that returns what it receives.
pub(crate) fn echo() -> Server {
    Server::spawn(|| bind(WebSocket::new(|out: Sender| move |message: Message| out.send(message))?))
}

/// Starts an echo server over TLS.
pub(crate) fn encrypted_echo() -> Server {
    Server::spawn(|| {
        let tls = ServerTls::builder_from_pem(CERTIFICATE, KEY).build()?;
        let socket = WebSocket::new(|out: Sender| move |message: Message| out.send(message))?;
        bind(socket.with_server_tls(tls))
    })
}

/// Listens on both addresses of `localhost`, if the system has both: a proxy may use only the first one.
fn bind<F: Factory>(socket: WebSocket<F>) -> sockeye::Result<WebSocket<F>> {
    let ipv4 = TcpListener::bind("127.0.0.1:0")?;
    let ipv6 = TcpListener::bind(("::1", ipv4.local_addr()?.port()));
    let socket = socket.bind_listener(ipv4)?;
    match ipv6 {
        Ok(ipv6) => socket.bind_listener(ipv6),
        Err(_) => Ok(socket),
    }
}

/// Returns a client that trusts only [`encrypted_echo`].
pub(crate) fn trusting(engine: TlsEngine) -> ClientTls {
    ClientTls::builder().engine(engine).trust_none().trust_pem(CERTIFICATE).build().unwrap()
}
