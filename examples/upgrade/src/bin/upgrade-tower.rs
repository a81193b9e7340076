//! A page and an echo on one port, with a `tower` service behind `hyper` 1, over HTTP/1.1 and HTTP/2. A task with an async socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-tower [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sockeye::{hyper as websocket, upgrade};
use sockeye_upgrade_examples::{Tasks, config};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

const USAGE: &str = "\
Usage: upgrade-tower [ADDRESS]

Serves a page on / and an echo on every path, with tower, hyper and async sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let tasks = Tasks::default();
    let stopping = tasks.clone();
    support::on_interrupt(move || stopping.stop());
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = support::listen_async(&address)?;
        println!("listening on http://{}", listener.local_addr()?);
        tokio::select! {
            ended = serve(listener, &tasks) => ended?,
            () = tasks.stopping() => {}
        }
        tasks.join().await;
        Ok(())
    })
}

async fn serve(listener: TcpListener, tasks: &Tasks) -> support::Result {
    loop {
        let stream = TokioIo::new(listener.accept().await?.0);
        let tasks = tasks.clone();
        tokio::spawn(async move {
            // Layers can be added here. They see the response of the upgrade like any other one.
            let service = ServiceBuilder::new().concurrency_limit(100).service(service_fn(move |request| {
                let answer = answer(request, tasks.clone());
                async { Ok::<_, Infallible>(answer) }
            }));
            let service = TowerToHyperService::new(service);
            let mut builder = auto::Builder::new(TokioExecutor::new());
            // Browsers open WebSockets over HTTP/2 only if the server announces it.
            builder.http2().enable_connect_protocol();
            let _ = builder.serve_connection_with_upgrades(stream, service).await;
        });
    }
}

fn answer(mut request: Request<Incoming>, tasks: Tasks) -> Response<Full<Bytes>> {
    let is_page = request.method() == Method::GET && !upgrade::is_upgrade(&request);
    if is_page {
        return Response::new(Full::from("This server has an echo.\n"));
    }
    websocket::upgrade(&mut request, config(), |socket| tasks.echo(socket))
}
