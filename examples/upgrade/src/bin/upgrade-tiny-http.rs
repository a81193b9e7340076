//! A page and an echo on one port, with `tiny_http`. A thread with a blocking socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-tiny-http [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::error::Error;
use std::io::Cursor;
use std::sync::Arc;

use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::Threads;
use tiny_http::{Header, Request, Response, Server};

const USAGE: &str = "\
Usage: upgrade-tiny-http [ADDRESS]

Serves a page on / and an echo on every path, with tiny_http and blocking sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let server = Server::from_listener(support::listen(&address)?, None);
    let server = Arc::new(server.map_err(|err| support::Failure::new(err.to_string()))?);
    let threads = Threads::default();
    let (unblock, stopping) = (Arc::clone(&server), threads.clone());
    support::on_interrupt(move || {
        stopping.stop();
        unblock.unblock();
    });
    println!("listening on http://{}", server.server_addr());
    for request in server.incoming_requests() {
        // A client that disconnects must not end the server.
        let _ = answer(request, &threads);
    }
    threads.join();
    Ok(())
}

fn answer(request: Request, threads: &Threads) -> Result<(), Box<dyn Error + Send + Sync>> {
    let asked = into_http(&request)?;
    if !upgrade::is_upgrade(&asked) {
        return Ok(request.respond(Response::from_string("This server has an echo.\n"))?);
    }
    let mut upgrade = match upgrade::accept(&asked, Config::default()) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            let refusal = upgrade::refusal(reason)?;
            return Ok(request.respond(into_tiny(&refusal.map(Cursor::new))?)?);
        }
    };
    if upgrade.protocols().contains(&"echo") {
        upgrade.choose_protocol("echo")?;
    }
    let accepted = upgrade::response(&upgrade)?.map(|()| Cursor::new(Vec::new()));
    // The stream contains what the client has sent after the request.
    threads.spawn_echo(request.upgrade("websocket", into_tiny(&accepted)?), upgrade);
    Ok(())
}

fn into_http(request: &Request) -> Result<http::Request<()>, Box<dyn Error + Send + Sync>> {
    let mut converted = http::Request::builder().method(request.method().as_str()).uri(request.url());
    if *request.http_version() == (1, 0) {
        converted = converted.version(http::Version::HTTP_10);
    }
    for header in request.headers() {
        converted = converted.header(header.field.as_str().as_str(), header.value.as_str());
    }
    Ok(converted.body(())?)
}

fn into_tiny(
    response: &http::Response<Cursor<Vec<u8>>>,
) -> Result<Response<Cursor<Vec<u8>>>, Box<dyn Error + Send + Sync>> {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| Header::from_bytes(name.as_str(), value.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|()| "a header cannot be sent")?;
    let body = response.body().clone();
    let len = body.get_ref().len();
    let status = response.status().as_u16();
    Ok(Response::new(status.into(), headers, body, (status != 101).then_some(len), None))
}
