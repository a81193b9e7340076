//! Peers that occupy places, and answer no Ping.

use std::net::{IpAddr, SocketAddr};

use super::{print_number, wait_for_parent};
use crate::dial::open_from;
use sockeye_test_support::peer::Peer;

/// Opens connections until one is rejected, or until there are `most`.
pub(super) fn silent(server: SocketAddr, host: IpAddr, most: usize) {
    hold((0..most).map_while(|_| open_from(host, server)).collect());
}

/// Tries this many times to open a connection.
pub(super) fn persistent(server: SocketAddr, host: IpAddr, attempts: usize) {
    hold((0..attempts).filter_map(|_| open_from(host, server)).collect());
}

fn hold(peers: Vec<Peer>) {
    print_number(peers.len());
    wait_for_parent();
    drop(peers);
}
