//! A page and an echo on one port, with `axum` 0.8. A task with an async socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-axum-async [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::Tasks;

const USAGE: &str = "\
Usage: upgrade-axum-async [ADDRESS]

Serves a page on / and an echo on /echo, with axum and async sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let tasks = Tasks::default();
    let stopping = tasks.clone();
    support::on_interrupt(move || stopping.stop());

    let app = Router::new()
        .route("/", get(async || "This server has an echo.\n"))
        .route("/echo", get(echo))
        .with_state(tasks.clone());
    tokio::runtime::Runtime::new()?.block_on(serve(&address, app, tasks))
}

async fn serve(address: &str, app: Router, tasks: Tasks) -> support::Result {
    let listener = support::listen_async(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    let stopping = tasks.clone();
    axum::serve(listener, app).with_graceful_shutdown(async move { stopping.stopping().await }).await?;
    tasks.join().await;
    Ok(())
}

async fn echo(State(tasks): State<Tasks>, mut request: Request) -> Response {
    let mut upgrade = match upgrade::accept(&request, Config::default()) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            return upgrade::refusal(reason).map(|refusal| refusal.map(Body::from)).unwrap_or_default();
        }
    };
    if upgrade.protocols().contains(&"echo") {
        let _ = upgrade.choose_protocol("echo");
    }
    let response = upgrade::response(&upgrade).map(|response| response.map(|()| Body::empty()));
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // The stream is available once the response has been sent. It contains what hyper has read after the request.
        if let Ok(upgraded) = upgraded.await {
            let _ = tasks.echo(TokioIo::new(upgraded), upgrade).await;
        }
    });
    response.unwrap_or_default()
}
