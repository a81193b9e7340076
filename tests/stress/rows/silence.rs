//! W5: connections that occupy all places.

use std::time::Duration;

use sockeye::Settings;
use sockeye_test_support::server::Server;
use sockeye_test_support::system;

use super::holds_in_time;
use super::neighbors::Neighbors;
use crate::crowd::Crowd;
use crate::dial::{OTHER_HOST, SAME_HOST, open_from};
use crate::handlers::AnyFactory;
use crate::options::Options;
use crate::report::Report;

/// The default limits, divided by 12. A busy machine must open all connections before the first ones are removed.
const PING_INTERVAL: Duration = Duration::from_millis(2500);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections that one host may have.
const PER_HOST: usize = 100;

/// The clients that connect while others occupy places.
const NEW_CLIENTS: usize = 200;

/// Peers that answer no Ping occupy all places. They are removed, and well-behaved clients are not.
pub(crate) fn silent_peers(options: &Options, report: &mut Report) {
    // Without optimization, a busy machine could not open more in time.
    let many = options.pick(options.many().min(2000), options.many());
    let server = AnyFactory::echo().serve(Settings {
        max_connections: many,
        ping_interval: options.protected(Some(PING_INTERVAL), None),
        idle_timeout: options.protected(Some(IDLE_TIMEOUT), None),
        ..Settings::default()
    });
    let neighbors = Neighbors::start(server.addr, 2);
    let before = system::descriptors();
    let crowd = Crowd::silent(server.addr, OTHER_HOST, 2 * many);
    report.at_least("silent connections until the server is full", crowd.number(), many - 2);
    let is_removed = holds_in_time(|| system::descriptors() < before + many / 100);
    report.equals("silent connections are removed", is_removed.into(), 1);
    let is_open = open_from(SAME_HOST, server.addr).is_some();
    report.equals("a new client is accepted afterwards", is_open.into(), 1);
    neighbors.finish(report);
    drop(crowd);
    server.stop();
}

/// Peers of one host try to occupy all places. Clients of another host can connect at any time.
pub(crate) fn one_host(options: &Options, report: &mut Report) {
    let many = options.pick(options.many().min(2000), options.many());
    let server = AnyFactory::echo().serve(Settings {
        max_connections: many,
        max_connections_per_address: options.protected(Some(PER_HOST), None),
        ..Settings::without_timeouts()
    });
    let crowd = Crowd::persistent(server.addr, OTHER_HOST, many);
    let mut others = Others::default();
    let occupied = loop {
        others.connect(&server);
        if let Some(occupied) = crowd.printed() {
            break occupied;
        }
    };
    (0..NEW_CLIENTS).for_each(|_| others.connect(&server));
    report.equals("connections of the host", occupied, PER_HOST);
    report.equals("other clients that are rejected", others.rejected, 0);
    report.at_least("other clients that are served", others.served, NEW_CLIENTS);
    drop(crowd);
    server.stop();
}

/// Clients of another host, one after the other.
#[derive(Debug, Default)]
struct Others {
    served: usize,
    rejected: usize,
}

impl Others {
    fn connect(&mut self, server: &Server) {
        let Some(mut peer) = open_from(SAME_HOST, server.addr) else {
            self.rejected += 1;
            return;
        };
        peer.echo("served");
        peer.finish();
        self.served += 1;
    }
}
