//! A chat with rooms: one program that serves its web page and the WebSockets on one port.
//!
//! ```sh
//! cargo run --release --example chat                  # http://127.0.0.1:3012
//! cargo run --release --example chat 0.0.0.0:8080     # for everyone in your network
//! cargo run --release --features rustls --example chat -- --tls     # https://127.0.0.1:3012
//! cargo run --release --example chat -- --workers 0   # one event loop for each processor
//! ```
//!
//! Several nodes have the same rooms if all of them use one Redis or Valkey server. Each one knows the addresses of all of them, so
//! that a page whose node fails connects to another one:
//!
//! ```sh
//! cargo run --release --features redis --example chat 127.0.0.1:3012 --redis redis://127.0.0.1 --nodes http://127.0.0.1:3012,http://127.0.0.1:3013
//! cargo run --release --features redis --example chat 127.0.0.1:3013 --redis redis://127.0.0.1 --nodes http://127.0.0.1:3012,http://127.0.0.1:3013
//! ```
//!
//! Without `--nodes`, a page connects to its own address again, which can be that of a load balancer. `cluster/mod.rs` describes what
//! is stored in Redis, and `docs/machines.md` what users see when something fails.
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
//! | `store.rs`      | the boundary between connections and the two kinds of rooms       |
//! | `rooms.rs`      | the users, the rooms and their histories, which connections share |
//! | `cluster/`      | the same in Redis, for several nodes                              |
//! | `input.rs`      | user names, room names and texts, validated when they are created |
//! | `protocol.rs`   | the JSON messages between the page and the server                 |
//! | `rate_limit.rs` | how many requests a connection may send                           |
//! | `page.rs`       | the HTTP answers; the page itself is `chat.html`                  |
//! | `site.rs`       | the addresses of the nodes                                        |
//! | `limits.rs`     | all limits                                                        |
//! | `ending.rs`     | the signals that end the program                                  |

#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

#[cfg_attr(not(feature = "redis"), path = "no_cluster.rs")]
mod cluster;
mod connection;
mod ending;
mod input;
mod limits;
mod page;
mod protocol;
mod rate_limit;
mod rooms;
mod site;
mod store;
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
#[path = "../tls/server.rs"]
mod tls;

use std::sync::{Arc, Mutex};

use sockeye::{Builder, Pool, Worker, Workers};

use crate::cluster::Cluster;
use crate::connection::Connections;
use crate::rooms::Rooms;
use crate::site::Site;
use crate::store::{LocalStore, Store};
use crate::support::{Arguments, Failure};

const USAGE: &str = "\
Usage: chat [ADDRESS] [OPTIONS]

Serves a chat with rooms and its web page. Open the page in two tabs to try it.

ADDRESS      where to listen [127.0.0.1:3012]
--workers N  how many event loops serve the connections, each on a thread; 0: one for each processor [1]
--tls        encrypt, with a certificate that no client trusts; requires the feature rustls or ssl
--redis URL  share the rooms with all nodes that use this Redis server, such as redis://127.0.0.1; requires the feature redis
--nodes URLS the addresses of all nodes, with commas between them; a page whose node fails connects to another one";

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = Arguments::parse(USAGE)?;
    let address = arguments.address()?;

    let cluster = arguments.text("--redis")?.map(cluster::connect).transpose()?;
    let store = cluster.as_ref().map_or_else(local_store, Cluster::store);
    let mut server = pool(workers(&arguments)?, store, site(&arguments)?)?;
    if let Some(cluster) = &cluster {
        server = cluster.join(server)?;
    }
    let (server, scheme) = tls::encrypt_if_requested(server, &arguments)?;
    arguments.end()?;

    let server = server.bind(address)?;
    let _signals = ending::drain_on_signals(server.broadcaster())?;
    // At its end, this waits until the users of this node have left the rooms.
    let _node = cluster.map(|cluster| cluster.start(server.broadcaster())).transpose()?;
    println!("open {}://{} (Ctrl-C stops the server)", scheme.replace("ws", "http"), server.local_addr()?);
    server.run()?;
    println!("all connections are closed");
    Ok(())
}

/// The rooms of a server that is alone.
fn local_store() -> Arc<dyn Store> {
    Arc::new(LocalStore(Arc::new(Mutex::new(Rooms::new()))))
}

fn site(arguments: &Arguments) -> support::Result<Site> {
    match (arguments.has("--redis"), arguments.text("--nodes")?) {
        (true, nodes) => Site::of_cluster(nodes.unwrap_or_default()),
        (false, None) => Ok(Site::default()),
        (false, Some(_)) => {
            Err(Failure::new("--nodes needs --redis: without it, each node has its own rooms"))
        }
    }
}

/// Returns the number of event loops that the option requests.
fn workers(arguments: &Arguments) -> support::Result<Workers> {
    Ok(match arguments.value("--workers")?.unwrap_or(1) {
        0 => Workers::PerCore,
        count => Workers::Exactly(count),
    })
}

/// Creates the event loops, whose connections share the rooms. A page of any node may connect.
fn pool(
    workers: Workers,
    store: Arc<dyn Store>,
    site: Site,
) -> sockeye::Result<Pool<impl Fn(Worker) -> Connections + Send + Sync>> {
    let site = Arc::new(site);
    let nodes = site.nodes.clone();
    let settings = limits::settings();
    let pool =
        Builder::new().with_settings(settings).workers(workers, move |_| Connections::new(&store, &site))?;
    if nodes.is_empty() { Ok(pool) } else { pool.with_origins(nodes) }
}
