//! A page and an echo on one port, with `tiny_http`: each WebSocket is a blocking one, on a thread of its own.
//!
//! ```text
//! cargo run --bin upgrade-tiny-http [ADDRESS]
//! ```

use std::env;
use std::error::Error;
use std::io::Cursor;
use std::thread;

use sockeye::protocol::Config;
use sockeye::upgrade;
use sockeye_upgrade_examples::echo;
use tiny_http::{Header, Request, Response, Server};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let server = Server::http(env::args().nth(1).as_deref().unwrap_or("127.0.0.1:3012"))?;
    for request in server.incoming_requests() {
        // One client that goes away is no reason to stop.
        let _ = answer(request);
    }
    Ok(())
}

fn answer(request: Request) -> Result<(), Failure> {
    let asked = into_http(&request)?;
    if !upgrade::is_upgrade(&asked) {
        return Ok(request.respond(Response::from_string("Nothing here but an echo.\n"))?);
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
    // What the client has sent along is still in this stream.
    let stream = request.upgrade("websocket", into_tiny(&accepted)?);
    thread::spawn(move || echo(stream, upgrade));
    Ok(())
}

fn into_http(request: &Request) -> Result<http::Request<()>, Failure> {
    let mut converted = http::Request::builder().method(request.method().as_str()).uri(request.url());
    if *request.http_version() == (1, 0) {
        converted = converted.version(http::Version::HTTP_10);
    }
    for header in request.headers() {
        converted = converted.header(header.field.as_str().as_str(), header.value.as_str());
    }
    Ok(converted.body(())?)
}

fn into_tiny(response: &http::Response<Cursor<Vec<u8>>>) -> Result<Response<Cursor<Vec<u8>>>, Failure> {
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
