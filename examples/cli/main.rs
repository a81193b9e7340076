//! A WebSocket client for the terminal and for pipes: what is typed is sent, what arrives is shown.
//!
//! ```text
//! cargo run --example cli -- [URL] [--protocol NAME]... [--header 'NAME: VALUE']... [--ping SECS] [--linger SECS] [--insecure] [--quiet]
//! printf 'one\ntwo\n' | cargo run --example cli -- ws://127.0.0.1:3012
//! ```
//!
//! Messages go to stdout, everything else to stderr. `/help` lists what can be done besides sending. The exit code is
//! 0 when the connection was closed properly, 1 when it failed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for the terminal")]

mod input;
mod options;
mod session;
#[path = "../tls/client.rs"]
mod tls;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::{env, fmt, process};

use sockeye::{CloseCode, Sender, WebSocket};

use options::Options;
use session::{Ending, Session};

/// `main` shows an error by `Debug`; this one has nothing to show but its text.
struct Failure(String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(err: E) -> Self {
        Self(err.to_string())
    }
}

fn main() -> Result<(), Failure> {
    env_logger::init();
    let Some(options) = Options::parse(env::args().skip(1))? else {
        println!("{}", options::USAGE);
        return Ok(());
    };

    let url = options.url.clone();
    let options = Rc::new(options);
    let ending = Rc::new(RefCell::new(Ending::default()));
    let connection = Arc::new(Mutex::new(None));
    close_on_interrupt(Arc::clone(&connection))?;

    let mut socket = WebSocket::new(|out: Sender| {
        Session::new(out, Rc::clone(&options), Rc::clone(&ending), Arc::clone(&connection))
    })?;
    if options.insecure {
        socket = tls::trust_anyone(socket)?;
    }
    socket.connect(url)?;
    socket.run()?;
    ending.borrow().judge().map_err(Failure)
}

/// The first Ctrl-C closes the connection; the next one, or one without a connection, ends the program.
fn close_on_interrupt(connection: Arc<Mutex<Option<Sender>>>) -> Result<(), Failure> {
    ctrlc::set_handler(move || {
        let open = connection.lock().ok().and_then(|mut connection| connection.take());
        if open.is_none_or(|out| out.close(CloseCode::Normal).is_err()) {
            process::exit(130);
        }
    })?;
    Ok(())
}
