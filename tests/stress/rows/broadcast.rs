//! W4: broadcasts to many readers that read nothing.

use std::sync::mpsc::{self, channel};

use sockeye::{Builder, Handler, Handshake, OpCode, Result, Sender, Settings};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;
use sockeye_test_support::system::peak_of;

use super::MIB;
use crate::crowd::Crowd;
use crate::dial::{OTHER_HOST, small_listener};
use crate::handlers::AnyFactory;
use crate::options::{Options, Protection};
use crate::report::Report;

const READERS: usize = 1000;

/// The length of a broadcast in bytes.
const LEN: usize = 4096;

/// A handler that passes its sender to the row.
struct Announcing {
    out: Sender,
    opened: mpsc::Sender<Sender>,
}

impl Handler for Announcing {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened.send(self.out.clone()).unwrap();
        Ok(())
    }
}

/// A thousand readers wait for all broadcasts. They share the bytes; copies would need several gigabytes.
pub(crate) fn slow_readers(options: &Options, report: &mut Report) {
    let (opened, senders) = channel();
    let factory = AnyFactory::new(move |out| Announcing { out, opened: opened.clone() });
    let settings = Settings {
        max_memory: options.protected(Settings::default().max_memory, usize::MAX),
        ..Settings::default()
    };
    let server = Server::spawn(move || {
        Builder::new().with_settings(settings).build(factory)?.bind_listener(small_listener())
    });
    let mut listener = Peer::open(server.addr);
    let crowd = Crowd::persistent(server.addr, OTHER_HOST, READERS);
    let senders: Vec<Sender> = senders.iter().take(READERS + 1).collect();
    let count = options.pick(400, 2500);
    let (peak, received) = peak_of(|| {
        let rounds = (0..count).filter(|round| {
            send_to_all(options, &server, &senders, payload(*round));
            receives(&mut listener, &payload(*round))
        });
        rounds.count()
    });
    report.memory("growth of the resident memory", peak, 200 * MIB);
    report.equals("broadcasts that a listener receives", received, count);
    let waiting = senders.iter().filter(|sender| sender.buffered_amount() > count * LEN / 2).count();
    report.equals("readers that wait for most of them", waiting, READERS);
    drop(crowd);
    listener.finish();
    server.stop();
}

fn payload(round: usize) -> Vec<u8> {
    vec![round.to_le_bytes()[0]; LEN]
}

/// Without protection, each connection gets a copy.
fn send_to_all(options: &Options, server: &Server, senders: &[Sender], payload: Vec<u8>) {
    match options.protection {
        Protection::On => server.all.broadcast(payload).unwrap(),
        Protection::Off => senders.iter().for_each(|sender| sender.send(payload.clone()).unwrap()),
    }
}

/// Returns whether the next message is this one.
fn receives(listener: &mut Peer, payload: &[u8]) -> bool {
    loop {
        match listener.next_frame() {
            Some(frame) if frame.opcode() == OpCode::Binary => return frame.payload() == payload,
            Some(_) => {}
            None => return false,
        }
    }
}
