//! A page and an echo over TLS, with `axum` 0.8. Browsers open the WebSocket on the HTTP/2 connection of the page (RFC 8441).
//!
//! ```text
//! cargo run --bin upgrade-axum-http2 [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::response::{Html, Response};
use axum::routing::{any, get};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sockeye::axum::WebSocketUpgrade;
use sockeye::rustls::ServerConfig;
use sockeye::rustls::pki_types::pem::PemObject;
use sockeye::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sockeye::{Deflate, Origins};
use sockeye_upgrade_examples::Tasks;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const USAGE: &str = "\
Usage: upgrade-axum-http2 [ADDRESS]

Serves a page on / and an echo on /echo, over TLS with HTTP/2 and HTTP/1.1. The certificate is that of the other examples,
which is self-signed.

ADDRESS  where to listen [127.0.0.1:3012]";

/// The page sends a message, and shows the reply.
const PAGE: &str = "<!doctype html><title>echo</title><p id=reply></p><script>
const socket = new WebSocket(`wss://${location.host}/echo`, 'echo');
socket.onopen = () => socket.send('salmon');
socket.onmessage = ({ data }) => { reply.textContent = data; };
</script>
";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let tasks = Tasks::default();
    let stopping = tasks.clone();
    support::on_interrupt(move || stopping.stop());
    let acceptor = TlsAcceptor::from(Arc::new(tls()?));
    let echoing = tasks.clone();
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/echo", any(move |upgrade: WebSocketUpgrade| echo(upgrade, echoing.clone())));
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = support::listen_async(&address)?;
        println!("listening on https://{}", listener.local_addr()?);
        tokio::select! {
            ended = serve(listener, acceptor, app) => ended?,
            () = tasks.stopping() => {}
        }
        tasks.join().await;
        Ok(())
    })
}

/// The certificate, and the protocols that are offered with ALPN.
fn tls() -> support::Result<ServerConfig> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tls");
    let invalid = |err| support::Failure::new(format!("cannot read the certificate: {err}"));
    let certificate = CertificateDer::from_pem_file(folder.join("localhost.pem")).map_err(invalid)?;
    let key = PrivateKeyDer::from_pem_file(folder.join("localhost.key")).map_err(invalid)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let mut config = config.map_err(|err| support::Failure::new(err.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, app: Router) -> support::Result {
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut builder = auto::Builder::new(TokioExecutor::new());
            // Browsers open WebSockets over HTTP/2 only if the server announces it. `axum::serve` does this as well.
            builder.http2().enable_connect_protocol();
            let service = TowerToHyperService::new(app);
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

async fn echo(upgrade: WebSocketUpgrade, tasks: Tasks) -> Response {
    let upgrade = upgrade.protocols(["echo"]).deflate(Deflate::default()).origins(Origins::SameHost);
    upgrade.on_upgrade(|socket| tasks.echo(socket))
}
