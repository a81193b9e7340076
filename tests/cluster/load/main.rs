//! A cluster under load, in which something fails: nodes, clients and a server are processes, and every message is counted.
//!
//! `tests/cluster/run` builds and starts this program, and describes its arguments. [`scenarios`] contains the rows, [`stream`] what a
//! subscriber must receive.
//!
//! ```text
//!   row (this process) -- starts --> server <-- relay <-- 4 nodes <-- client processes
//!                     '-- orders and counts: standard input and output --'
//!   ledger: a file with the next number of each publisher on each topic, also after a node was killed
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the result")]
#![expect(clippy::unwrap_used, reason = "a panic fails the row, and names the line")]

mod access;
mod client;
mod clients;
mod cluster;
mod histogram;
mod ledger;
mod membership;
mod node;
mod options;
mod packet;
mod process;
mod publishers;
mod relay;
mod report;
mod resp;
mod scenarios;
#[path = "../server.rs"]
#[allow(dead_code, reason = "the tests with cargo need more of it")]
mod server;
mod serving;
mod stream;
mod tally;
mod topics;
mod words;

use std::env;
use std::process::ExitCode;

use options::Invocation;

fn main() -> ExitCode {
    match options::parse(env::args().skip(1)) {
        Ok(Invocation::Rows(options)) => scenarios::run(&options),
        Ok(Invocation::Node(plan)) => {
            node::run(&plan);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Clients(plan)) => clients::run(plan),
        Err(problem) => {
            eprintln!("{problem}; tests/cluster/run describes the arguments");
            ExitCode::from(2)
        }
    }
}
