//! A TLS session: plaintext arrives unchanged however the ciphertext is split, what was damaged is never delivered, and any other
//! input is rejected.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sockeye::fuzzing::{TlsReceived, TlsSession};
use sockeye::{ClientTls, ServerTls, TlsVersion};
use sockeye_fuzz::Reader;

const CERTIFICATE: &str = include_str!("../../examples/tls/localhost.pem");
const KEY: &str = include_str!("../../examples/tls/localhost.key");

/// What one end sends at most before the other one receives it, in bytes: less than 2^18, another plaintext, and the records around them.
const MAX_QUEUED: usize = (1 << 18) + (1 << 16) + (1 << 14);

/// Buffers are not kept, but input that was not decrypted and output that was not taken are. A vector can have twice the capacity.
const MAX_MEMORY: usize = 2 * (2 * MAX_QUEUED);

static CLIENTS: LazyLock<[ClientTls; 2]> = LazyLock::new(|| {
    [TlsVersion::V1_2, TlsVersion::V1_3].map(|version| {
        let trusting = ClientTls::builder().trust_none().trust_pem(CERTIFICATE);
        trusting.max_version(version).build().expect("the certificate is valid")
    })
});
static SERVER: LazyLock<ServerTls> = LazyLock::new(|| {
    ServerTls::builder_from_pem(CERTIFICATE, KEY).build().expect("the certificate is valid")
});

/// One end, and what the other one has sent.
struct Side {
    session: TlsSession,
    expected: Vec<u8>,
    received: usize,
    is_damaged: bool,
    has_failed: bool,
    has_closed: bool,
    may_close: bool,
    plain: Vec<u8>,
}

impl Side {
    fn new(session: TlsSession) -> Self {
        Self {
            session,
            expected: Vec::new(),
            received: 0,
            is_damaged: false,
            has_failed: false,
            has_closed: false,
            may_close: false,
            plain: vec![0; 1 << 16],
        }
    }

    fn receive(&mut self, room: usize) {
        for _ in 0..1000 {
            match self.session.receive(&mut self.plain[..room]) {
                Ok(TlsReceived::Data(len)) => {
                    assert!(len > 0 && !self.has_closed, "data behind the end");
                    let end = self.received + len;
                    let sent = self.expected.get(self.received..end).expect("no more than was sent");
                    assert!(*sent == self.plain[..len], "other plaintext than was sent");
                    self.received = end;
                }
                Ok(TlsReceived::NeedsInput) => break,
                Ok(TlsReceived::Unfinished) => {}
                Ok(TlsReceived::Closed) => {
                    assert!(self.may_close, "an end that was not sent");
                    assert_eq!(
                        self.received,
                        self.expected.len(),
                        "plaintext is missing before close_notify"
                    );
                    self.has_closed = true;
                    break;
                }
                Ok(TlsReceived::Truncated) => break,
                Err(_) => {
                    self.has_failed = true;
                    break;
                }
            }
        }
        assert!(self.session.memory() <= MAX_MEMORY, "{} bytes are kept", self.session.memory());
    }
}

fn transfer(from: &mut Side, to: &mut Side, most: usize, damage: Option<(usize, u8)>) -> usize {
    let mut bytes = from.session.take_output(most);
    // In a debug build, rustls panics if it finds damage after it has sent close_notify, because it then sends an alert.
    if let Some((at, bits)) = damage.filter(|_| !from.may_close)
        && let Some(byte) = bytes.get_mut(at)
    {
        *byte ^= bits;
        to.is_damaged |= bits != 0;
    }
    to.session.append_input(&bytes);
    bytes.len()
}

/// Bytes that are not from a TLS peer, or only at first.
fn run_alone(reader: &mut Reader<'_>, is_server: bool) {
    let cut = usize::from(reader.byte());
    let bytes = reader.rest();
    let results = [bytes.len(), cut.max(1)].map(|len| {
        let session = if is_server {
            TlsSession::server(&SERVER)
        } else {
            TlsSession::client(&CLIENTS[1], "localhost")
        };
        let mut side = Side::new(session.expect("a session begins"));
        for piece in bytes.chunks(len.max(1)) {
            side.session.append_input(piece);
            side.receive(100);
            if side.has_failed {
                break;
            }
        }
        assert!(side.session.is_handshaking() || side.has_failed, "a handshake without a peer");
        side.has_failed
    });
    assert_eq!(results[0], results[1], "failed as a whole, and in pieces of {cut} bytes");
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let how = reader.byte();
    if how & 2 == 0 {
        return run_alone(&mut reader, how & 1 == 0);
    }
    let version = &CLIENTS[usize::from(how & 1)];
    let mut client = Side::new(TlsSession::client(version, "localhost").expect("a session begins"));
    let mut server = Side::new(TlsSession::server(&SERVER).expect("a session begins"));
    client.session.handshake().expect("a client begins");
    if how & 4 != 0 {
        for _ in 0..4 {
            transfer(&mut client, &mut server, usize::MAX, None);
            server.receive(100);
            transfer(&mut server, &mut client, usize::MAX, None);
            client.receive(100);
        }
        assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
    }
    let mut is_cut = false;
    while !reader.is_empty() {
        let action = reader.byte();
        let (from, to) =
            if action & 1 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
        match action >> 1 & 7 {
            0 => drop(transfer(from, to, usize::from(reader.byte()), None)),
            1 => drop(transfer(from, to, usize::MAX, None)),
            2 => drop(transfer(from, to, usize::MAX, Some((usize::from(reader.short()), reader.byte())))),
            3 | 4 => {
                let len = usize::from(reader.short());
                let plain: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
                if to.expected.len() < 1 << 18
                    && from.session.output_len() < 1 << 18
                    && from.session.send(&plain).is_ok()
                {
                    to.expected.extend(&plain);
                }
            }
            5 => to.receive(1 + usize::from(reader.short())),
            6 if from.is_damaged => {}
            6 => {
                from.session.close_notify();
                to.may_close = true;
            }
            _ => {
                to.session.end_input();
                is_cut = true;
            }
        }
    }
    loop {
        let moved = transfer(&mut client, &mut server, usize::MAX, None);
        server.receive(1000);
        let returned = transfer(&mut server, &mut client, usize::MAX, None);
        client.receive(1000);
        if moved + returned + client.session.output_len() == 0 {
            break;
        }
    }
    let sides = [&client, &server];
    let is_changed = is_cut || sides.iter().any(|side| side.is_damaged || side.may_close);
    for side in sides {
        let is_complete = !side.has_failed && side.received == side.expected.len();
        assert!(is_changed || is_complete, "{} of {} bytes arrived", side.received, side.expected.len());
    }
});
