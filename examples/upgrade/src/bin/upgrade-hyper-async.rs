//! A page and an echo on one port, with `hyper` 1: each WebSocket is an async one, in a task of its own.
//!
//! ```text
//! cargo run --bin upgrade-hyper-async [ADDRESS]
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::echo_async;
use tokio::net::TcpListener;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    tokio::runtime::Runtime::new()?.block_on(serve(address))
}

async fn serve(address: String) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let stream = TokioIo::new(listener.accept().await?.0);
        tokio::spawn(async {
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(request)));
            let _ = http1::Builder::new().serve_connection(stream, service).with_upgrades().await;
        });
    }
}

fn answer(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    if !upgrade::is_upgrade(&request) {
        return Response::new(Full::from("Nothing here but an echo.\n"));
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
        // It comes when the response is sent. What hyper has read behind the request is in it.
        if let Ok(upgraded) = upgraded.await {
            let _ = echo_async(TokioIo::new(upgraded), upgrade).await;
        }
    });
    response.unwrap_or_default()
}
