//! Clients that begin and end their connections in every way, chosen by numbers that are the same in every run.

use std::net::SocketAddr;

use crate::bytes::{BINARY, PING, TEXT, TEXT_START, UPGRADE, header, masked, masked_close};
use crate::peer::Peer;

/// Numbers that only depend on the seed (xorshift).
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// Returns a number below `most`.
    pub fn roll(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % most
    }

    /// Returns fewer than `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.roll(most);
        (0..len).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }
}

/// Connects as a client that breaks the rules at any stage. Returns the peer if it stays connected and silent.
pub fn misbehave(address: SocketAddr, dice: &mut Dice) -> Option<Peer> {
    let mut peer = Peer::connect(address);
    match dice.roll(10) {
        0 => {}
        1 => drop(peer.try_send(&dice.bytes(200))),
        2 => drop(peer.try_send(&UPGRADE.as_bytes()[..dice.roll(UPGRADE.len())])),
        3 => drop(peer.try_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nand more")),
        // Does not wait for the response.
        4 => drop(peer.try_send(UPGRADE.as_bytes())),
        _ => {
            peer.upgrade();
            for _ in 0..dice.roll(4) {
                send_anything(&mut peer, dice);
            }
        }
    }
    end(peer, dice)
}

fn send_anything(peer: &mut Peer, dice: &mut Dice) {
    let bytes = match dice.roll(9) {
        0 => dice.bytes(200),
        1 => masked(TEXT, b"close"),
        2 => masked_close(1000, "bye"),
        3 => masked_close(999, ""),
        4 => masked(TEXT_START, b"begun"),
        5 => header(BINARY, 100_000, true),
        6 => masked(BINARY, &[7; 50_000]),
        7 => masked(PING, b"ping"),
        _ => masked(TEXT, b"hello"),
    };
    peer.try_send(&bytes);
}

/// Ends the connection: cleanly, with a reset, on one side only, after all output has been read, or not at all.
fn end(mut peer: Peer, dice: &mut Dice) -> Option<Peer> {
    match dice.roll(6) {
        0 => drop(peer),
        1 => peer.reset(),
        2 => {
            peer.try_end_writing();
            peer.drain();
        }
        3 => {
            peer.try_send(&masked_close(1001, ""));
            peer.drain();
        }
        4 => {
            peer.try_end_writing();
            return Some(peer);
        }
        _ => return Some(peer),
    }
    None
}
