//! A page and an echo on one port, with `rouille`. A thread with a blocking socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-rouille [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::error::Error;
use std::time::Duration;

use rouille::{ReadWrite, Request, Response, ResponseBody, Server};
use sockeye::protocol::Config;
use sockeye::upgrade::{self, Upgrade};
use sockeye_upgrade_examples::Threads;

const USAGE: &str = "\
Usage: upgrade-rouille [ADDRESS]

Serves a page on / and an echo on every path, with rouille and blocking sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let threads = Threads::default();
    let stopping = threads.clone();
    support::on_interrupt(move || stopping.stop());
    let serving = threads.clone();
    let server = Server::new(&address, move |request| {
        answer(request, &serving).unwrap_or_else(|_| Response::text("").with_status_code(500))
    });
    let server = server.map_err(|err| support::Failure::new(format!("cannot listen on {address}: {err}")))?;
    println!("listening on http://{}", server.server_addr());
    while !threads.is_stopping() {
        server.poll_timeout(Duration::from_millis(100));
    }
    threads.join();
    Ok(())
}

fn answer(request: &Request, threads: &Threads) -> Result<Response, Box<dyn Error>> {
    let asked = into_http(request)?;
    if !upgrade::is_upgrade(&asked) {
        return Ok(Response::text("This server has an echo.\n"));
    }
    let mut upgrade = match upgrade::accept(&asked, Config::default()) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            let refusal = upgrade::refusal(reason)?;
            let body = refusal.body().clone();
            return Ok(into_rouille(&refusal.map(drop), ResponseBody::from_data(body))?);
        }
    };
    if upgrade.protocols().contains(&"echo") {
        upgrade.choose_protocol("echo")?;
    }
    let mut response = into_rouille(&upgrade::response(&upgrade)?, ResponseBody::empty())?;
    response.upgrade = Some(Box::new(PendingUpgrade(Some((upgrade, threads.clone())))));
    Ok(response)
}

/// Receives the stream of the connection once the response has been sent.
struct PendingUpgrade(Option<(Upgrade, Threads)>);

impl rouille::Upgrade for PendingUpgrade {
    fn build(&mut self, stream: Box<dyn ReadWrite + Send>) {
        if let Some((upgrade, threads)) = self.0.take() {
            // The stream contains what the client has sent after the request.
            threads.spawn_echo(stream, upgrade);
        }
    }
}

fn into_http(request: &Request) -> Result<http::Request<()>, Box<dyn Error>> {
    let mut converted = http::Request::builder().method(request.method()).uri(request.raw_url());
    for (name, value) in request.headers() {
        converted = converted.header(name, value);
    }
    Ok(converted.body(())?)
}

fn into_rouille(
    response: &http::Response<()>,
    data: ResponseBody,
) -> Result<Response, http::header::ToStrError> {
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| Ok((name.to_string().into(), value.to_str()?.to_owned().into())));
    Ok(Response {
        status_code: response.status().as_u16(),
        headers: headers.collect::<Result<_, _>>()?,
        data,
        upgrade: None,
    })
}
