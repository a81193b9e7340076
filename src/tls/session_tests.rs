//! The session with both engines, joined in memory.

use rand::RngExt as _;

use super::buffer::LONGEST_RECORD;
use super::session::Session;
use super::{ClientTls, Received, ServerTls, TlsEngine, TlsVersion};
use crate::random_inputs;

/// The distance between the bytes that are tested. A release build tests each byte.
const STEP: usize = if cfg!(debug_assertions) { 11 } else { 1 };

/// Every client engine with every server engine.
const PAIRS: [(TlsEngine, TlsEngine); 4] = [
    (TlsEngine::OpenSsl, TlsEngine::OpenSsl),
    (TlsEngine::OpenSsl, TlsEngine::Rustls),
    (TlsEngine::Rustls, TlsEngine::OpenSsl),
    (TlsEngine::Rustls, TlsEngine::Rustls),
];

/// A self-signed certificate for `localhost`, and its key.
const CERTIFICATE: &str = include_str!("../../examples/tls/localhost.pem");
const KEY: &str = include_str!("../../examples/tls/localhost.key");

struct Pair {
    client: Session,
    server: Session,
}

impl Pair {
    fn new(engines: (TlsEngine, TlsEngine)) -> Self {
        Self::with_version(engines, TlsVersion::V1_3)
    }

    fn with_version((client, server): (TlsEngine, TlsEngine), version: TlsVersion) -> Self {
        let trusting = ClientTls::builder().engine(client).trust_none().trust_pem(CERTIFICATE);
        let client = trusting.max_version(version).build().unwrap();
        let server = ServerTls::builder_from_pem(CERTIFICATE, KEY).engine(server).build().unwrap();
        Self {
            client: Session::client(&client, "localhost").unwrap(),
            server: Session::server(&server).unwrap(),
        }
    }

    /// Completes the handshake.
    fn open(&mut self) {
        self.client.handshake().unwrap();
        run(self, usize::MAX, 1000);
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
    }
}

/// Moves at most `most` bytes of output. Returns how many were moved.
fn transfer(from: &mut Session, to: &mut Session, most: usize) -> usize {
    let len = from.output().len().min(most);
    to.append_input(&from.output()[..len]);
    from.consume_output(len);
    from.release_output();
    len
}

/// Receives until more input is needed. Returns the end, if there is one.
fn receive(session: &mut Session, plain: &mut Vec<u8>, room: usize) -> Option<Received> {
    let mut buffer = vec![0; room];
    loop {
        match session.receive(&mut buffer).unwrap() {
            Received::Data(len) => plain.extend_from_slice(&buffer[..len]),
            Received::NeedsInput => return None,
            Received::Unfinished => {}
            end => return Some(end),
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251).to_le_bytes()[0]).collect()
}

/// Moves everything in pieces of one size, until nothing is left. Returns what both have received.
fn run(pair: &mut Pair, piece: usize, room: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    loop {
        let moved = transfer(&mut pair.client, &mut pair.server, piece);
        receive(&mut pair.server, &mut to_server, room);
        let returned = transfer(&mut pair.server, &mut pair.client, piece);
        receive(&mut pair.client, &mut to_client, room);
        if moved + returned == 0 {
            return (to_client, to_server);
        }
    }
}

#[test]
fn data_arrives_in_both_directions_however_the_input_is_split() {
    for engines in PAIRS {
        // The length of a piece, the length of the plaintext buffer, and how much is sent.
        let splits = [
            (1, 1000, 2000),
            (7, 3, 5000),
            (1000, 100_000, 100_001),
            (usize::MAX, 70_000, 100_001),
            (usize::MAX, 50, 40_000),
        ];
        let versions = [(TlsVersion::V1_2, "TLSv1.2"), (TlsVersion::V1_3, "TLSv1.3")];
        for ((piece, room, len), (version, name)) in splits.into_iter().zip(versions.into_iter().cycle()) {
            let mut pair = Pair::with_version(engines, version);
            let (request, response) = (pattern(len / 2), pattern(len));
            pair.client.send(&request).unwrap();
            pair.client.handshake().unwrap();
            pair.server.send(&response).unwrap();
            let (to_client, to_server) = run(&mut pair, piece, room);
            assert!(to_server == request, "{engines:?}, {piece}, {room}");
            assert!(to_client == response, "{engines:?}, {piece}, {room}");
            assert_eq!(pair.client.negotiated().version, Some(name));
            assert_eq!(pair.server.negotiated().server_name.as_deref(), Some("localhost"));
            assert!(pair.client.negotiated().peer_certificate.is_some());
        }
    }
}

#[test]
fn random_splits_and_random_messages_give_the_same_plaintext() {
    random_inputs::for_each(|rng| {
        let engines = random_inputs::choose(rng, &PAIRS);
        let version = random_inputs::choose(rng, &[TlsVersion::V1_2, TlsVersion::V1_3]);
        let mut pair = Pair::with_version(engines, version);
        pair.client.handshake().unwrap();
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let (mut sent_to_client, mut sent_to_server) = (Vec::new(), Vec::new());
        for _ in 0..rng.random_range(1..6) {
            let message = pattern(rng.random_range(0..20_000));
            if rng.random() {
                pair.client.send(&message).unwrap();
                sent_to_server.extend(message);
            } else {
                pair.server.send(&message).unwrap();
                sent_to_client.extend(message);
            }
            for _ in 0..rng.random_range(0..10) {
                let (piece, room) = (rng.random_range(1..20_000), rng.random_range(1..70_000));
                if rng.random() {
                    transfer(&mut pair.client, &mut pair.server, piece);
                    receive(&mut pair.server, &mut to_server, room);
                } else {
                    transfer(&mut pair.server, &mut pair.client, piece);
                    receive(&mut pair.client, &mut to_client, room);
                }
            }
        }
        let (rest_to_client, rest_to_server) = run(&mut pair, usize::MAX, 10_000);
        to_client.extend(rest_to_client);
        to_server.extend(rest_to_server);
        assert!(to_client == sent_to_client && to_server == sent_to_server, "{engines:?}, {version:?}");
    });
}

/// Returns a server of rustls.
fn server_with(change: impl FnOnce(&mut ::rustls::ServerConfig)) -> ServerTls {
    use ::rustls::pki_types::pem::PemObject as _;
    use ::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let provider = std::sync::Arc::new(::rustls::crypto::ring::default_provider());
    let builder = ::rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    change(&mut config);
    config.into()
}

/// The server sends session tickets after the handshake, which arrive in parts.
#[test]
fn data_can_be_sent_while_a_part_of_a_handshake_message_has_arrived() {
    for engine in [TlsEngine::OpenSsl, TlsEngine::Rustls] {
        let mut pair = Pair::new((engine, TlsEngine::Rustls));
        // The handshake messages do not fit into a record.
        let server = server_with(|config| config.max_fragment_size = Some(64));
        pair.server = Session::server(&server).unwrap();
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let mut sent = 0;
        pair.server.send(&pattern(1000)).unwrap();
        loop {
            receive(&mut pair.client, &mut to_client, 1000);
            if !pair.client.is_handshaking() && sent < 2000 {
                pair.client.send(b"x").unwrap();
                sent += 1;
            }
            let moved = transfer(&mut pair.client, &mut pair.server, usize::MAX);
            receive(&mut pair.server, &mut to_server, 1000);
            if moved + transfer(&mut pair.server, &mut pair.client, 1) == 0 {
                break;
            }
        }
        assert!(sent > 1000, "{engine:?}: {sent}");
        assert_eq!(to_server, vec![b'x'; sent], "{engine:?}");
        assert_eq!(to_client, pattern(1000), "{engine:?}");
    }
}

/// The server sends many session tickets after the handshake.
#[test]
fn s5_one_call_processes_a_limited_number_of_records_without_data() {
    for engine in [TlsEngine::OpenSsl, TlsEngine::Rustls] {
        for greeting in [&b""[..], b"x"] {
            let mut pair = Pair::new((engine, TlsEngine::Rustls));
            pair.server = Session::server(&server_with(|config| config.send_tls13_tickets = 800)).unwrap();
            pair.server.send(greeting).unwrap();
            let mut sent = 0;
            while pair.client.is_handshaking() || pair.server.is_handshaking() {
                pair.client.handshake().unwrap();
                transfer(&mut pair.client, &mut pair.server, usize::MAX);
                receive_any(&mut pair.server).unwrap();
                sent = transfer(&mut pair.server, &mut pair.client, usize::MAX);
            }
            pair.server.send(b"last").unwrap();
            transfer(&mut pair.server, &mut pair.client, usize::MAX);
            let mut buffer = [0; 100];
            let mut calls = 0;
            for message in [greeting, b"last"].into_iter().filter(|message| !message.is_empty()) {
                let received = loop {
                    match pair.client.receive(&mut buffer).unwrap() {
                        Received::Unfinished => calls += 1,
                        received => break received,
                    }
                };
                // There is room for both messages.
                assert_eq!(received, Received::Data(message.len()), "{engine:?}");
                assert!(buffer.starts_with(message));
            }
            assert!(
                calls > 2 && calls >= sent / LONGEST_RECORD,
                "{engine:?}: {calls} calls for {sent} bytes"
            );
        }
    }
}

#[test]
fn close_notify_is_the_end_of_each_direction() {
    for engines in PAIRS {
        let mut pair = Pair::new(engines);
        pair.open();
        pair.client.send(b"last").unwrap();
        pair.client.close_notify();
        transfer(&mut pair.client, &mut pair.server, usize::MAX);
        let mut plain = Vec::new();
        assert_eq!(receive(&mut pair.server, &mut plain, 1000), Some(Received::Closed), "{engines:?}");
        assert_eq!(plain, b"last");
        pair.server.send(b"still open").unwrap();
        pair.server.close_notify();
        transfer(&mut pair.server, &mut pair.client, usize::MAX);
        let mut plain = Vec::new();
        assert_eq!(receive(&mut pair.client, &mut plain, 1000), Some(Received::Closed), "{engines:?}");
        assert_eq!(plain, b"still open", "{engines:?}");
    }
}

#[test]
fn an_end_without_close_notify_is_truncation() {
    for engines in PAIRS {
        let mut pair = Pair::new(engines);
        pair.open();
        pair.client.send(b"complete").unwrap();
        transfer(&mut pair.client, &mut pair.server, usize::MAX);
        pair.client.send(b"cut off").unwrap();
        transfer(&mut pair.client, &mut pair.server, 10);
        pair.server.end_input();
        let mut plain = Vec::new();
        assert_eq!(receive(&mut pair.server, &mut plain, 1000), Some(Received::Truncated), "{engines:?}");
        assert_eq!(plain, b"complete", "{engines:?}");
    }
}

#[test]
fn a_damaged_record_fails_with_an_alert() {
    for engines in PAIRS {
        let mut pair = Pair::new(engines);
        pair.open();
        pair.client.send(b"intact").unwrap();
        transfer(&mut pair.client, &mut pair.server, usize::MAX);
        pair.client.send(b"damaged").unwrap();
        let mut record = pair.client.output().to_vec();
        *record.last_mut().unwrap() ^= 1;
        pair.server.append_input(&record);
        let mut buffer = [0; 100];
        assert_eq!(pair.server.receive(&mut buffer).unwrap(), Received::Data(6), "{engines:?}");
        pair.server.receive(&mut buffer).unwrap_err();
        assert!(!pair.server.output().is_empty(), "{engines:?}: no alert");
        transfer(&mut pair.server, &mut pair.client, usize::MAX);
        pair.client.receive(&mut buffer).unwrap_err();
    }
}

#[test]
fn an_idle_session_owns_no_buffers() {
    for engines in PAIRS {
        let mut pair = Pair::new(engines);
        pair.client.handshake().unwrap();
        pair.client.send(&pattern(100_000)).unwrap();
        run(&mut pair, usize::MAX, 1000);
        for session in [&mut pair.client, &mut pair.server] {
            assert_eq!(session.memory(), 0, "{engines:?}");
        }
    }
}

/// Sends a handshake, a message and close_notify from the client to the server, and changes the bytes on their way. Returns the
/// plaintext and the end, `None` for an error.
fn receive_changed(
    engines: (TlsEngine, TlsEngine),
    change: impl Fn(usize, &mut Vec<u8>),
) -> (Vec<u8>, Option<Received>) {
    let mut pair = Pair::new(engines);
    let (mut plain, mut sent) = (Vec::new(), 0);
    let mut is_closed = false;
    pair.client.send(b"message").unwrap();
    pair.client.handshake().unwrap();
    loop {
        let mut flight = pair.client.output().to_vec();
        let len = flight.len();
        pair.client.consume_output(len);
        change(sent, &mut flight);
        sent += len;
        pair.server.append_input(&flight);
        if flight.len() < len || is_closed {
            pair.server.end_input();
        }
        let mut buffer = [0; 100];
        loop {
            match pair.server.receive(&mut buffer) {
                Ok(Received::Data(len)) => plain.extend_from_slice(&buffer[..len]),
                Ok(Received::NeedsInput) => break,
                Ok(Received::Unfinished) => {}
                Ok(end) => return (plain, Some(end)),
                Err(_) => return (plain, None),
            }
        }
        let replied = transfer(&mut pair.server, &mut pair.client, usize::MAX);
        if receive_any(&mut pair.client).is_err() || len + replied == 0 {
            // The client has rejected a reply, and its alert follows. Or both wait, because a length is damaged, and the client gives up.
            is_closed = true;
        } else if !pair.client.is_handshaking() && !is_closed {
            pair.client.close_notify();
            is_closed = true;
        }
    }
}

fn receive_any(session: &mut Session) -> crate::error::Result<Received> {
    session.receive(&mut [0; 100])
}

#[test]
fn s2_input_that_is_cut_off_or_damaged_at_any_byte_never_ends_cleanly() {
    for engines in PAIRS {
        let (plain, end) = receive_changed(engines, |_, _| ());
        assert_eq!((plain.as_slice(), end), (&b"message"[..], Some(Received::Closed)), "{engines:?}");
        let total = std::cell::Cell::new(0);
        receive_changed(engines, |at, flight| total.set(at + flight.len()));
        for at in (0..total.get()).step_by(STEP) {
            let (plain, end) = receive_changed(engines, |start, flight| {
                if (start..start + flight.len()).contains(&at) {
                    flight.truncate(at - start);
                }
            });
            assert_ne!(end, Some(Received::Closed), "{engines:?}: cut off at {at}");
            assert!(plain.is_empty() || plain == b"message", "{engines:?}: cut off at {at}");
            let (plain, end) = receive_changed(engines, |start, flight| {
                if let Some(byte) = at.checked_sub(start).and_then(|at| flight.get_mut(at)) {
                    *byte ^= 1 << (at % 8);
                }
            });
            // A changed byte of the first flight can be one that has no meaning.
            assert!(plain.is_empty() || plain == b"message", "{engines:?}: damaged at {at}");
            assert!(end != Some(Received::Closed) || plain == b"message", "{engines:?}: damaged at {at}");
        }
    }
}
