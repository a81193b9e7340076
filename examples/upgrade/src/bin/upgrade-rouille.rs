//! A page and an echo on one port, with `rouille`: each WebSocket is a blocking one, on a thread of its own.
//!
//! ```text
//! cargo run --bin upgrade-rouille [ADDRESS]
//! ```

use std::env;
use std::error::Error;
use std::thread;

use rouille::{ReadWrite, Request, Response, ResponseBody, Server};
use sockeye::protocol::Config;
use sockeye::upgrade::{self, Upgrade};
use sockeye_upgrade_examples::echo;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let server = Server::new(address, |request| {
        answer(request).unwrap_or_else(|_| Response::text("").with_status_code(500))
    })?;
    server.run();
    Ok(())
}

fn answer(request: &Request) -> Result<Response, Failure> {
    let asked = into_http(request)?;
    if !upgrade::is_upgrade(&asked) {
        return Ok(Response::text("Nothing here but an echo.\n"));
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
    response.upgrade = Some(Box::new(Waiting(Some(upgrade))));
    Ok(response)
}

/// An upgrade that waits for the response to be sent: then the server hands over the stream of the connection.
struct Waiting(Option<Upgrade>);

impl rouille::Upgrade for Waiting {
    fn build(&mut self, stream: Box<dyn ReadWrite + Send>) {
        if let Some(upgrade) = self.0.take() {
            // The thread of the server is for its next request. What the client has sent along is still in this stream.
            thread::spawn(move || echo(stream, upgrade));
        }
    }
}

fn into_http(request: &Request) -> Result<http::Request<()>, Failure> {
    let mut converted = http::Request::builder().method(request.method()).uri(request.raw_url());
    for (name, value) in request.headers() {
        converted = converted.header(name, value);
    }
    Ok(converted.body(())?)
}

fn into_rouille(response: &http::Response<()>, data: ResponseBody) -> Result<Response, http::header::ToStrError> {
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| Ok((name.to_string().into(), value.to_str()?.to_owned().into())));
    Ok(Response {
        status_code: response.status().as_u16(),
        headers: headers.collect::<Result<_, _>>()?,
        data,
        upgrade: None,
    })
}
