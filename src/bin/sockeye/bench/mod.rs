//! `sockeye bench`: measures a server that returns each message.

mod connection;
mod progress;
mod report;
mod run;
mod schedule;

use std::rc::Rc;

use sockeye::{Builder, Settings};

use self::connection::Connections;
use self::report::Report;
use self::run::Run;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::options::BenchOptions;
use crate::output;
use crate::settings;
use crate::tls;

pub(crate) fn run(options: &BenchOptions) -> Result<Exit, Failure> {
    let run = Run::new(options)?;
    let settings = Settings {
        max_connections: options.load.connections as usize,
        max_redirects: options.request.location.unwrap_or(0),
        ..settings::settings(&options.timing, options.compression.parameters())
    };
    let mut builder = Builder::new();
    let mut socket = builder.with_settings(settings).build(Connections::new(Rc::clone(&run)))?;
    if let Some(proxy) = &options.route.proxy {
        socket = socket.with_proxy(proxy.clone());
    }
    if options.url.scheme() == "wss" {
        socket = socket.with_client_tls(tls::client(&options.tls)?);
    }
    let loop_sender = socket.broadcaster();
    // An error means that the loop has ended already.
    interrupt::on_first(move || drop(loop_sender.shutdown()))?;
    for _ in 0..options.load.connections {
        socket.connect(options.url.clone())?;
    }
    socket.run()?;
    run.borrow_mut().finish();
    let run = run.borrow();
    if let Some(failure) = run.failure() {
        return Err(failure);
    }
    let report = Report::new(options, &run);
    let text = if options.json { report.json() } else { report.text() };
    // A reader that has ended needs no result.
    let _ = output::result(&text);
    Ok(run.exit())
}
