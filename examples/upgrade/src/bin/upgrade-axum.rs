//! A page and an echo on one port, with `axum` 0.8. An event loop serves the WebSockets, with a handler for each.
//!
//! ```text
//! cargo run --bin upgrade-axum [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use sockeye::Sender;
use sockeye::protocol::Config;
use sockeye::upgrade::{self, Upgrade};
use sockeye_upgrade_examples::{EventLoop, Tasks};
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
        // The stream is available once the response has been sent.
        if let Ok(upgraded) = upgraded.await {
            let _ = hand_over(upgraded, upgrade, &out);
        }
    });
    response.unwrap_or_default()
}

/// Takes the stream from hyper and tokio, and gives it to the event loop.
fn hand_over(upgraded: Upgraded, upgrade: Upgrade, out: &Sender) -> Result<(), Box<dyn Error>> {
    let parts = downcast::<TokioIo<TcpStream>>(upgraded).map_err(|_| "not a TcpStream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
