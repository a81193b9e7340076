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
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::Sender;
use sockeye::protocol::Config;
use sockeye::upgrade::{self, Upgrade};
use sockeye_upgrade_examples::{EventLoop, Tasks};
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
    let (upgraded, out) = (hyper::upgrade::on(&mut request), out.clone());
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
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| "not a TcpStream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
