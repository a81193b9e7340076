//! A chat with rooms: one program that serves its web page and the WebSockets on one port.
//!
//! ```sh
//! cargo run --release --example chat                  # http://127.0.0.1:3012
//! cargo run --release --example chat 0.0.0.0:8080     # for everyone in your network
//! cargo run --release --features rustls --example chat -- --tls     # https://127.0.0.1:3012
//! cargo run --release --example chat -- --workers 0   # one event loop for each processor
//! ```
//!
//! With `--workers`, several event loops serve the connections. `rooms.rs` describes what this means for the order of messages. With
//! `--tls`, the server has a certificate that no browser trusts, so browsers warn.
//!
//! The rooms are topics of the library, so that no code here delivers a message to the users in a room. Ctrl-C and `SIGTERM` begin a
//! drain: the pages announce that the server stops, their connections are closed one after the other with code 1001, and they connect
//! again when there is a server. With `--features signals`, the library handles the signals itself.
//!
//! `/metrics` is for Prometheus, and `/health` for a load balancer. They are open to everyone here; a server on the Internet
//! restricts `/metrics`.
//!
//! | file            | contents                                                          |
//! |-----------------|-------------------------------------------------------------------|
//! | `main.rs`       | start and end of the program                                      |
//! | `connection.rs` | one connection: the `Handler`                                     |
//! | `rooms.rs`      | the users, the rooms and their histories, which connections share |
//! | `input.rs`      | user names, room names and texts, validated when they are created |
//! | `protocol.rs`   | the JSON messages between the page and the server                 |
//! | `rate_limit.rs` | how many requests a connection may send                           |
//! | `page.rs`       | the HTTP answers; the page itself is `chat.html`                  |
//! | `limits.rs`     | all limits                                                        |
//! | `ending.rs`     | the signals that end the program                                  |

#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

mod connection;
mod ending;
mod input;
mod limits;
mod page;
mod protocol;
mod rate_limit;
mod rooms;
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
#[path = "../tls/server.rs"]
mod tls;

use std::sync::{Arc, Mutex};

use sockeye::{Builder, Pool, Worker, Workers};

use crate::connection::Connections;
use crate::rooms::Rooms;
use crate::support::Arguments;

const USAGE: &str = "\
Usage: chat [ADDRESS] [OPTIONS]

Serves a chat with rooms and its web page. Open the page in two tabs to try it.

ADDRESS      where to listen [127.0.0.1:3012]
--workers N  how many event loops serve the connections, each on a thread; 0: one for each processor [1]
--tls        encrypt, with a certificate that no client trusts; requires the feature rustls or ssl";

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = Arguments::parse(USAGE)?;
    let address = arguments.address()?;

    let server = pool(workers(&arguments)?, Arc::new(Mutex::new(Rooms::new())))?;
    let (server, scheme) = tls::encrypt_if_requested(server, &arguments)?;
    arguments.end()?;

    let server = server.bind(address)?;
    let _signals = ending::drain_on_signals(server.broadcaster())?;
    println!("open {}://{} (Ctrl-C stops the server)", scheme.replace("ws", "http"), server.local_addr()?);
    server.run()?;
    println!("all connections are closed");
    Ok(())
}

/// Returns the number of event loops that the option requests.
fn workers(arguments: &Arguments) -> support::Result<Workers> {
    Ok(match arguments.value("--workers")?.unwrap_or(1) {
        0 => Workers::PerCore,
        count => Workers::Exactly(count),
    })
}

/// Creates the event loops, whose connections share the rooms.
fn pool(
    workers: Workers,
    rooms: Arc<Mutex<Rooms>>,
) -> sockeye::Result<Pool<impl Fn(Worker) -> Connections + Send + Sync>> {
    Builder::new().with_settings(limits::settings()).workers(workers, move |_| Connections::new(&rooms))
}
