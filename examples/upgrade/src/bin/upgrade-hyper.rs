//! A page and an echo on one port, with `hyper` 1. An event loop serves the WebSockets, with a handler for each.
//!
//! ```text
//! cargo run --bin upgrade-hyper [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::Sender;
use sockeye::hyper::{self as websocket, Accepted};
use sockeye::upgrade;
use sockeye_upgrade_examples::{EventLoop, Tasks, config};
use tokio::net::{TcpListener, TcpStream};

const USAGE: &str = "\
Usage: upgrade-hyper [ADDRESS]

Serves a page on / and an echo on every path, with hyper and an event loop.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let event_loop = EventLoop::start()?;
    let tasks = Tasks::default();
    let stopping = tasks.clone();
    support::on_interrupt(move || stopping.stop());
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = support::listen_async(&address)?;
        println!("listening on http://{}", listener.local_addr()?);
        tokio::select! {
            ended = serve(listener, event_loop.sender()) => ended,
            () = tasks.stopping() => Ok(()),
        }
    })?;
    Ok(event_loop.shut_down()?)
}

async fn serve(listener: TcpListener, out: Sender) -> support::Result {
    loop {
        let (stream, _) = listener.accept().await?;
        let out = out.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(request, &out);
                async { Ok::<_, Infallible>(answer) }
            });
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

fn answer(mut request: Request<Incoming>, out: &Sender) -> Response<Full<Bytes>> {
    if !upgrade::is_upgrade(&request) {
        return Response::new(Full::from("This server has an echo.\n"));
    }
    match websocket::accept(&mut request, config()) {
        Ok(accepted) => {
            let response = accepted.response().unwrap_or_default();
            tokio::spawn(hand_over(accepted, out.clone()));
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
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| "not a TcpStream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
