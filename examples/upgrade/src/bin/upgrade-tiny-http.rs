//! A page and an echo on one port, with `tiny_http`. A thread with a blocking socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-tiny-http [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;

use sockeye::tiny_http as websocket;
use sockeye_upgrade_examples::{Threads, config};
use tiny_http::{Request, Response, Server};

const USAGE: &str = "\
Usage: upgrade-tiny-http [ADDRESS]

Serves a page on / and an echo on every path, with tiny_http and blocking sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let server = Server::from_listener(support::listen(&address)?, None);
    let server = Arc::new(server.map_err(|err| support::Failure::new(err.to_string()))?);
    let threads = Threads::default();
    let unblock = Arc::clone(&server);
    support::on_interrupt(move || unblock.unblock());
    println!("listening on http://{}", server.server_addr());
    for request in server.incoming_requests() {
        // A client that disconnects must not end the server.
        let _ = answer(request, &threads);
    }
    threads.stop();
    Ok(())
}

fn answer(request: Request, threads: &Threads) -> Result<(), Box<dyn Error>> {
    if websocket::is_upgrade(&request) {
        threads.spawn_echo(websocket::accept(request, config())?);
        return Ok(());
    }
    Ok(request.respond(Response::from_string("This server has an echo.\n"))?)
}
