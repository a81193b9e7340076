//! A page and an echo on one port, with `hyper` 1: the WebSockets are served by an event loop, with a handler each.
//!
//! ```text
//! cargo run --bin upgrade-hyper [ADDRESS]
//! ```

use std::convert::Infallible;
use std::env;
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
use sockeye_upgrade_examples::start_loop;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let out = start_loop()?;
    tokio::runtime::Runtime::new()?.block_on(serve(address, out))
}

async fn serve(address: String, out: Sender) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
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
    let (upgraded, out) = (hyper::upgrade::on(&mut request), out.clone());
    tokio::spawn(async move {
        // It comes when the response is sent.
        if let Ok(upgraded) = upgraded.await {
            let _ = hand_over(upgraded, upgrade, &out);
        }
    });
    response.unwrap_or_default()
}

/// Takes the stream out of hyper and tokio, and gives it to the event loop.
fn hand_over(upgraded: Upgraded, upgrade: Upgrade, out: &Sender) -> Result<(), Failure> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| "it is another stream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
