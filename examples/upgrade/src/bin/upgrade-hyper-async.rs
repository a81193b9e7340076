//! A page and an echo on one port, with `hyper` 1. A task with an async socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-hyper-async [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::Tasks;
use tokio::net::TcpListener;

const USAGE: &str = "\
Usage: upgrade-hyper-async [ADDRESS]

Serves a page on / and an echo on every path, with hyper and async sockets.

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
            let service = service_fn(move |request| {
                let answer = answer(request, tasks.clone());
                async { Ok::<_, Infallible>(answer) }
            });
            let _ = http1::Builder::new().serve_connection(stream, service).with_upgrades().await;
        });
    }
}

fn answer(mut request: Request<Incoming>, tasks: Tasks) -> Response<Full<Bytes>> {
    if !upgrade::is_upgrade(&request) {
        return Response::new(Full::from("This server has an echo.\n"));
    }
    let mut upgrade = match upgrade::accept(&request, Config::default()) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            return upgrade::refusal(reason).map(|refusal| refusal.map(Full::from)).unwrap_or_default();
        }
    };
    if upgrade.protocols().contains(&"echo") {
        let _ = upgrade.choose_protocol("echo");
    }
    let response = upgrade::response(&upgrade).map(|response| response.map(|()| Full::default()));
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // The stream is available once the response has been sent. It contains what hyper has read after the request.
        if let Ok(upgraded) = upgraded.await {
            let _ = tasks.echo(TokioIo::new(upgraded), upgrade).await;
        }
    });
    response.unwrap_or_default()
}
