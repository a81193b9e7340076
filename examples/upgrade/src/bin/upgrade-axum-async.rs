//! A page and an echo on one port, with `axum` 0.8, over HTTP/1.1 and HTTP/2. A task with an async socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-axum-async [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use sockeye::Deflate;
use sockeye::axum::WebSocketUpgrade;
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
        .route("/echo", any(echo))
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

async fn echo(State(tasks): State<Tasks>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["echo"]).deflate(Deflate::default()).on_upgrade(|socket| tasks.echo(socket))
}
