//! W1, W2, W3: peers that make the server store more than all connections may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sockeye::{Deflate, Error, ErrorKind, Handler, Message, Result, Sender, Settings};
use sockeye_test_support::system::peak_of;

use super::MIB;
use super::neighbors::Neighbors;
use crate::crowd::{Crowd, Hoard};
use crate::handlers::AnyFactory;
use crate::options::Options;
use crate::report::Report;

/// The limit for all connections together. The peers send about ten times as much in each round.
const MAX_MEMORY: usize = 64 * MIB;

/// One message that is processed may exist in addition to the limit, of which a tenth is the inaccuracy that is allowed.
const BAR: usize = MAX_MEMORY + MAX_MEMORY / 10 + 16 * MIB;

pub(crate) fn inflated(options: &Options, report: &mut Report) {
    hoard(options, report, Hoard::Inflated);
}

pub(crate) fn unfinished(options: &Options, report: &mut Report) {
    hoard(options, report, Hoard::Unfinished);
}

pub(crate) fn unread(options: &Options, report: &mut Report) {
    hoard(options, report, Hoard::Unread);
}

pub(crate) fn mixed(options: &Options, report: &mut Report) {
    hoard(options, report, Hoard::Mixed);
}

/// A handler that echoes, and counts the connections that fail because of the limit.
struct Echo {
    out: Sender,
    failures: Arc<AtomicUsize>,
}

impl Handler for Echo {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_error(&mut self, err: Error) {
        let is_capacity = matches!(err.kind, ErrorKind::Capacity);
        self.failures.fetch_add(is_capacity.into(), SeqCst);
    }
}

/// Measures the memory of a server while many peers hoard, and whether others lose something.
fn hoard(options: &Options, report: &mut Report, hoard: Hoard) {
    let settings = Settings {
        max_memory: options.protected(MAX_MEMORY, usize::MAX),
        deflate: Some(Deflate::default()),
        ..Settings::default()
    };
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let server = AnyFactory::new(move |out| Echo { out, failures: Arc::clone(&counted) }).serve(settings);
    let neighbors = Neighbors::start(server.addr, 4);
    let (count, rounds) = options.pick((40, 1), (100, 10));
    let (peak, ()) = peak_of(|| Crowd::hoarders(server.addr, hoard, count, rounds).finish());
    report.memory("growth of the resident memory", peak, BAR);
    report.at_least("connections that fail with Capacity", failures.load(SeqCst), 1);
    neighbors.finish(report);
    server.stop();
}
