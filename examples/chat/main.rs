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

mod allowance;
mod guest;
mod hall;
mod limits;
mod page;
#[path = "../tls/server.rs"]
mod tls;
mod wire;
mod words;

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Write};
use std::rc::Rc;

use sockeye::Builder;

use crate::guest::Guest;
use crate::hall::Hall;

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let scheme = if arguments.iter().any(|argument| argument == "--tls") { "https" } else { "http" };

    // Every callback comes on the thread that runs the loop, so the connections can share plain `Rc` state.
    let hall = Rc::new(RefCell::new(Hall::new()));
    let server =
        Builder::new().with_settings(limits::settings()).build(|out| Guest::new(out, Rc::clone(&hall)))?;
    let server = tls::encrypt_if_asked(server, &mut arguments)?
        .bind(arguments.first().map_or("127.0.0.1:3012", String::as_str))?;

    let everyone = server.broadcaster();
    ctrlc::set_handler(move || {
        if let Err(error) = everyone.shutdown() {
            log::error!("the loop could not be told to stop: {error}");
        }
    })?;

    writeln!(io::stdout(), "Chat on {scheme}://{} (Ctrl-C ends it)", server.local_addr()?)?;
    server.run()?;
    writeln!(io::stdout(), "Goodbye.")?;
    Ok(())
}
