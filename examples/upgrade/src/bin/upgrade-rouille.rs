//! A page and an echo on one port, with `rouille`. A thread with a blocking socket serves each WebSocket.
//!
//! ```text
//! cargo run --bin upgrade-rouille [ADDRESS]
//! ```

#[path = "../support.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rouille::{Request, Response, Server};
use sockeye::rouille as websocket;
use sockeye_upgrade_examples::{Threads, config};

const USAGE: &str = "\
Usage: upgrade-rouille [ADDRESS]

Serves a page on / and an echo on every path, with rouille and blocking sockets.

ADDRESS  where to listen [127.0.0.1:3012]";

fn main() -> support::Result {
    let address = support::address(USAGE)?;
    let threads = Threads::default();
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_stopping);
    support::on_interrupt(move || stop.store(true, Ordering::SeqCst));
    let serving = threads.clone();
    let server = Server::new(&address, move |request| answer(request, &serving));
    let server = server.map_err(|err| support::Failure::new(format!("cannot listen on {address}: {err}")))?;
    println!("listening on http://{}", server.server_addr());
    while !is_stopping.load(Ordering::SeqCst) {
        server.poll_timeout(Duration::from_millis(100));
    }
    threads.stop();
    Ok(())
}

fn answer(request: &Request, threads: &Threads) -> Response {
    if !websocket::is_upgrade(request) {
        return Response::text("This server has an echo.\n");
    }
    let threads = threads.clone();
    websocket::upgrade(request, config(), move |socket| threads.spawn_echo(socket))
}
