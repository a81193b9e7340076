//! A page and an echo on one port, with `axum` 0.8: the WebSockets are served by an event loop, with a handler each.
//!
//! ```text
//! cargo run --bin upgrade-axum [ADDRESS]
//! ```

use std::env;
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
use sockeye_upgrade_examples::start_loop;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let out = start_loop()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = Router::new()
            .route("/", get(async || "Nothing here but an echo.\n"))
            .route("/echo", get(echo))
            .with_state(out);
        Ok(axum::serve(TcpListener::bind(address).await?, app).await?)
    })
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
        // It comes when the response is sent.
        if let Ok(upgraded) = upgraded.await {
            let _ = hand_over(upgraded, upgrade, &out);
        }
    });
    response.unwrap_or_default()
}

/// Takes the stream out of hyper and tokio, and gives it to the event loop.
fn hand_over(upgraded: Upgraded, upgrade: Upgrade, out: &Sender) -> Result<(), Failure> {
    let parts = downcast::<TokioIo<TcpStream>>(upgraded).map_err(|_| "it is another stream")?;
    let stream = parts.io.into_inner().into_std()?;
    Ok(out.accept_upgraded(stream, upgrade.with_read_ahead(parts.read_buf))?)
}
