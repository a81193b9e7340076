//! `sockeye`, the command line tool: a client, a server and a load generator for the terminal and for scripts.
//!
//! `docs/tool.md` describes it. The event loop runs on the main thread. A second thread reads the input, and in a terminal a third
//! one prints, so that messages do not disturb the line that is being typed.

mod bench;
mod client;
mod commands;
mod console;
mod escape;
mod event;
mod exit;
mod files;
mod format;
mod input;
mod interrupt;
mod link;
mod options;
mod output;
mod pings;
mod request;
mod server;
mod session;
mod settings;
mod target;
mod timestamp;
mod tls;

use std::env;
use std::rc::Rc;

use crate::exit::{Exit, Failure};
use crate::options::{Command, Parsed};

fn main() {
    exit::leave(run());
}

fn run() -> Exit {
    match options::parse(env::args_os()) {
        Parsed::Command(command) => match execute(*command) {
            Ok(exit) => exit,
            Err(failure) => output::complain(&failure),
        },
        Parsed::Text { text, exit } => output::explain(&text, exit),
    }
}

fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Connect(options) => client::run(&Rc::from(options)),
        Command::Listen(options) => server::run(&Rc::from(options)),
        Command::Bench(options) => bench::run(&options),
    }
}
