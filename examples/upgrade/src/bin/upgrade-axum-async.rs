//! A page and an echo on one port, with `axum` 0.8: each WebSocket is an async one, in a task of its own.
//!
//! ```text
//! cargo run --bin upgrade-axum-async [ADDRESS]
//! ```

use std::env;
use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::echo_async;
use tokio::net::TcpListener;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = Router::new().route("/", get(async || "Nothing here but an echo.\n")).route("/echo", get(echo));
        Ok(axum::serve(TcpListener::bind(address).await?, app).await?)
    })
}

async fn echo(mut request: Request) -> Response {
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
        // It comes when the response is sent. What hyper has read behind the request is in it.
        if let Ok(upgraded) = upgraded.await {
            let _ = echo_async(TokioIo::new(upgraded), upgrade).await;
        }
    });
    response.unwrap_or_default()
}
