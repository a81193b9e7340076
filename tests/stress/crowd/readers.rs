//! Peers that read slowly, until the end of the connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::OpCode;
use sockeye::protocol::Role;
use sockeye_test_support::bytes::{masked_close, upgrade_with};
use sockeye_test_support::peer::{End, Peer};

use super::print_number;
use crate::dial::{SAME_HOST, connect_from};

/// The pause before each read. Together with the small buffers of the system, it limits the rate.
const PAUSE: Duration = Duration::from_millis(20);

/// A stream that is read slowly.
struct Slow(TcpStream);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(PAUSE);
        self.0.read(buffer)
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What one peer has received.
#[derive(Default)]
struct Received {
    payload: usize,
    is_complete: bool,
}

/// Requests a resource on each connection, and reads what the server sends.
pub(super) fn run(server: SocketAddr, resource: &str, count: usize) {
    let request = upgrade_with("/chat", resource);
    let readers = (0..count).map(|_| {
        let mut peer = Peer::over(Slow(connect_from(SAME_HOST, server).stream), Role::Client);
        peer.send(request.as_str());
        thread::spawn(move || read(peer))
    });
    let readers: Vec<JoinHandle<Received>> = readers.collect();
    let received: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
    print_number(received.iter().map(|received| received.payload).sum());
    print_number(received.iter().filter(|received| received.is_complete).count());
}

fn read(mut peer: Peer<Slow>) -> Received {
    if peer.head().status() == 101 { messages(peer) } else { body(peer) }
}

/// Reads messages until a Close. A connection that ends without one is not complete.
fn messages(mut peer: Peer<Slow>) -> Received {
    let mut received = Received::default();
    while let Some(frame) = peer.next_frame() {
        if frame.opcode() == OpCode::Close {
            peer.try_send(&masked_close(1000, ""));
            received.is_complete = true;
            break;
        }
        received.payload += frame.payload().len();
    }
    received
}

/// Reads a body until the end of the stream.
fn body(mut peer: Peer<Slow>) -> Received {
    let is_complete = peer.end() == End::Fin;
    Received { payload: peer.unread().len(), is_complete }
}
