//! A page and an echo on one port, with `axum` 0.8. An event loop serves the WebSockets, with a handler for each.
//!
//! ```text
//! cargo run --bin upgrade-axum [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::error::Error;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use sockeye::Sender;
use sockeye::hyper::{self as websocket, Accepted};
use sockeye_upgrade_examples::{EventLoop, Tasks, config};
use tokio::net::TcpStream;

const USAGE: &str = "\
Usage: upgrade-axum [ADDRESS]

Serves a page on / and an echo on /echo, with axum and an event loop.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let event_loop = EventLoop::start()?;
    let tasks = Tasks::default();
    let stopping = tasks.clone();
    support::on_interrupt(move || stopping.stop());

    let app = Router::new()
        .route("/", get(async || "This server has an echo.\n"))
        .route("/echo", get(echo))
        .with_state(event_loop.sender());
    tokio::runtime::Runtime::new()?.block_on(serve(&address, app, tasks))?;
    Ok(event_loop.shut_down()?)
}

async fn serve(address: &str, app: Router, tasks: Tasks) -> support::Result {
    let listener = support::listen_async(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).with_graceful_shutdown(async move { tasks.stopping().await }).await?)
}

async fn echo(State(out): State<Sender>, mut request: Request) -> Response {
    match websocket::accept(&mut request, config()) {
        Ok(accepted) => {
            let response = accepted.response().unwrap_or_default();
            tokio::spawn(hand_over(accepted, out));
            response
        }
        Err(reason) => websocket::refusal(request.version(), reason),
    }
}

/// Takes the stream from hyper and tokio, and gives it to the event loop. That of HTTP/2 is no `TcpStream`.
async fn hand_over(accepted: Accepted, out: Sender) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (upgrade, connection) = accepted.into_parts();
    // The stream is available once the response has been sent.
    let upgraded = connection.await?;
    let parts = downcast::<TokioIo<TcpStream>>(upgraded).map_err(|_| "not a TcpStream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
