//! Peers that make the server store as much as a connection can.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::str::FromStr;

use sockeye::protocol::Config;
use sockeye::{Deflate, OpCode};
use sockeye_test_support::bytes::{BINARY, BINARY_START, PING, masked, upgrade_and};
use sockeye_test_support::pair::Pair;
use sockeye_test_support::peer::Peer;

const MIB: usize = 1024 * 1024;

/// The bit of the first byte of a frame that ends a message (§5.2).
const FIN: u8 = 0x80;

/// What the peers make the server store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hoard {
    /// The first fragment of a compressed message: 15 KiB that inflate to 15 MiB.
    Inflated,
    /// The first fragment of a plain message: 10 MiB.
    Unfinished,
    /// Echoes of 12 MiB that the peer does not read.
    Unread,
    /// Each of these from a third of the peers.
    Mixed,
}

const NAMES: [(Hoard, &str); 4] = [
    (Hoard::Inflated, "inflated"),
    (Hoard::Unfinished, "unfinished"),
    (Hoard::Unread, "unread"),
    (Hoard::Mixed, "mixed"),
];

impl Display for Hoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(hoard, _)| hoard == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Hoard {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(NAMES.iter().find(|(_, name)| *name == text).map_or(Self::Mixed, |(hoard, _)| *hoard))
    }
}

impl Hoard {
    /// Returns what the peer with this number does.
    fn of(self, number: usize) -> Self {
        match self {
            Self::Mixed => NAMES[number % 3].0,
            other => other,
        }
    }
}

/// The bytes that the peers send.
struct Stock {
    inflated: Vec<u8>,
    unfinished: Vec<u8>,
    echoed: Vec<u8>,
}

/// In each round, this many peers make the server store something, until it has processed what they sent.
pub(super) fn run(server: SocketAddr, hoard: Hoard, count: usize, rounds: usize) {
    let mut inflated = compressed_message(15 * MIB);
    inflated[0] &= !FIN;
    let stock = Stock {
        inflated,
        unfinished: masked(BINARY_START, &vec![7; 10 * MIB]),
        echoed: masked(BINARY, &vec![7; MIB]).repeat(12),
    };
    for _ in 0..rounds {
        let peers: Vec<Peer> = (0..count).map(|number| store(server, hoard.of(number), &stock)).collect();
        drop(peers);
    }
}

/// Opens a connection, and makes the server store something for it. The server may close the connection at any time.
fn store(server: SocketAddr, hoard: Hoard, stock: &Stock) -> Peer {
    match hoard {
        Hoard::Inflated => store_fragment(open_compressed(server), &stock.inflated),
        Hoard::Unfinished => store_fragment(Peer::open(server), &stock.unfinished),
        // Without compression, because the echoes would be short.
        Hoard::Unread | Hoard::Mixed => {
            let mut peer = Peer::open(server);
            peer.try_send(&stock.echoed);
            peer
        }
    }
}

/// Sends a fragment, and waits until the server has processed it, or has closed the connection.
fn store_fragment(mut peer: Peer, fragment: &[u8]) -> Peer {
    if peer.try_send(fragment) && peer.try_send(&masked(PING, b"stored")) {
        let is_end = |opcode| matches!(opcode, OpCode::Pong | OpCode::Close);
        while peer.next_frame().is_some_and(|frame| !is_end(frame.opcode())) {}
    }
    peer
}

/// Opens a connection with compression.
pub(crate) fn open_compressed(server: SocketAddr) -> Peer {
    let mut peer = Peer::connect(server);
    peer.send(upgrade_and("Sec-WebSocket-Extensions: permessage-deflate\r\n").as_str());
    peer.opened();
    peer
}

/// Returns the frame of a client with this many zeros, compressed.
pub(crate) fn compressed_message(len: usize) -> Vec<u8> {
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let mut pair = Pair::open_with(config.clone(), config);
    pair.client.send(vec![0; len]);
    pair.client.take_out()
}
