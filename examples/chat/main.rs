//! A chat with rooms: one program, one port, its own web page.
//!
//! ```sh
//! cargo run --release --example chat                  # http://127.0.0.1:3012
//! cargo run --release --example chat 0.0.0.0:8080     # for everyone in your network
//! cargo run --release --features ssl --example chat -- --tls     # https://127.0.0.1:3012
//! ```
//!
//! With `--tls` it makes a certificate itself, which your browser warns of.
//!
//! Open the page in two tabs and talk to yourself. Ctrl-C says goodbye to everyone (close code 1001) and ends.
//!
//! | file        | what lives there                                              |
//! |-------------|---------------------------------------------------------------|
//! | `main.rs`   | starting and stopping                                         |
//! | `guest.rs`  | one connection: the `Handler`                                 |
//! | `hall.rs`   | who is there, in which rooms, and who hears what; no I/O      |
//! | `words.rs`  | names, room names and texts, checked once, where they come in |
//! | `wire.rs`   | the JSON between page and server                              |
//! | `page.rs`   | the HTTP answers; the page itself is `chat.html`              |
//! | `limits.rs` | every bound in one place                                      |

#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

mod connection;
mod input;
mod limits;
mod page;
mod protocol;
mod rate_limit;
mod state;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tls/server.rs"]
mod tls;

use std::cell::RefCell;
use std::rc::Rc;

use sockeye::Builder;

use crate::connection::Guest;
use crate::state::Hall;
use crate::support::Arguments;

const USAGE: &str = "\
Usage: chat [ADDRESS] [--tls]

Serves a chat with rooms and its web page. Open the page in two tabs to try it.

ADDRESS  where to listen [127.0.0.1:3012]
--tls    encrypt, with a certificate created at startup; requires the feature ssl";

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = Arguments::parse(USAGE)?;
    let address = arguments.address()?;

    // All handlers run on this thread, so they can share the state without a lock.
    let hall = Rc::new(RefCell::new(Hall::new()));
    let server =
        Builder::new().with_settings(limits::settings()).build(|out| Guest::new(out, Rc::clone(&hall)))?;
    let (server, scheme) = tls::encrypt_if_requested(server, &arguments)?;
    arguments.end()?;

    let server = server.bind(address)?;
    support::shut_down_on_interrupt(&server.broadcaster());
    println!("open {}://{} (Ctrl-C stops the server)", scheme.replace("ws", "http"), server.local_addr()?);
    server.run()?;
    println!("all connections are closed");
    Ok(())
}
