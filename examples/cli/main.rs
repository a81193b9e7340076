//! A WebSocket client for the terminal: sends every line that is typed or piped in, and prints what the server sends.
//!
//! ```text
//! cargo run --example cli -- --help
//! printf 'one\ntwo\n' | cargo run --example cli -- ws://127.0.0.1:3012
//! ```
//!
//! Messages are printed on stdout, everything else on stderr. `/help` lists what can be typed besides messages. The exit
//! code is 0 if the connection was closed properly, and 1 if it failed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for the terminal")]

mod input;
mod options;
mod session;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tls/client.rs"]
mod tls;

use std::cell::RefCell;
use std::env;
use std::rc::Rc;

use sockeye::{CloseCode, Sender, WebSocket};

use crate::options::Options;
use crate::session::{Outcome, Session};
use crate::support::Failure;

fn main() -> support::Result {
    support::init_logger();
    let Some(options) = Options::parse(env::args().skip(1))? else {
        println!("{}", options::USAGE);
        return Ok(());
    };

    let url = options.url.clone();
    let options = Rc::new(options);
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let mut socket = WebSocket::new(|out: Sender| {
        let closer = out.clone();
        support::on_interrupt(move || {
            // This fails only if the loop has already ended.
            let _ = closer.close(CloseCode::Normal);
        });
        Session::new(out, Rc::clone(&options), Rc::clone(&outcome))
    })?;
    if options.is_insecure {
        socket = tls::trust_any_certificate(socket)?;
    }
    socket.connect(url)?;
    socket.run()?;
    if support::is_interrupted() {
        return Ok(());
    }
    outcome.borrow().check().map_err(Failure::new)
}
