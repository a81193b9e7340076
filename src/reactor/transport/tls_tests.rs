//! The encrypted socket of a server, and a client that sees its records.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{self, TcpListener};

use mio::net::TcpStream;

use super::tls::Tls;
use super::{Next, Stop};
use crate::tls::{ClientTls, RECORD, ServerTls, Session};

/// What TLS 1.3 adds to the plaintext of a record: a content type and a tag (RFC 8446 §5.2).
const OVERHEAD: usize = 17;

/// The length of the header of a record.
const HEADER: usize = 5;

struct Connection {
    server: Tls,
    client: net::TcpStream,
    session: Session,
    /// What the client has received of records that were not examined yet.
    received: Vec<u8>,
}

impl Connection {
    /// Completes a handshake, and removes what follows it, such as session tickets.
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let certificate = include_str!("../../../examples/tls/localhost.pem");
        let tls =
            ServerTls::builder_from_pem(certificate, include_str!("../../../examples/tls/localhost.key"));
        let session = Session::server(&tls.build().unwrap()).unwrap();
        let server = Tls::new(TcpStream::from_std(socket), session);
        let tls = ClientTls::builder().danger_accept_any_certificate().build().unwrap();
        let session = Session::client(&tls, "localhost").unwrap();
        let mut connection = Self { server, client, session, received: Vec::new() };
        while connection.session.is_handshaking() || connection.server.is_handshaking() {
            connection.session.handshake().unwrap();
            connection.send();
            connection.server.read(&mut [IoSliceMut::new(&mut [0; RECORD])]).unwrap();
            connection.receive();
            connection.session.append_input(&std::mem::take(&mut connection.received));
        }
        connection.server.write(&[IoSlice::new(b"!")], false).unwrap();
        while connection.next_record() != 1 {}
        connection
    }

    /// Sends output of the client.
    fn send(&mut self) {
        self.client.write_all(self.session.output()).unwrap();
        self.session.consume_output(self.session.output().len());
    }

    /// Sends output of the server, and receives what has arrived.
    fn receive(&mut self) {
        match self.server.flush() {
            Ok(()) | Err(Stop::Blocked) => {}
            Err(Stop::Failed(err)) => panic!("{err}"),
        }
        match self.client.read_to_end(&mut self.received) {
            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
    }

    /// Waits for a record, and returns the length of its plaintext.
    fn next_record(&mut self) -> usize {
        loop {
            if let Some((header, rest)) = self.received.split_first_chunk::<HEADER>() {
                let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
                if rest.len() >= len {
                    self.received.drain(..HEADER + len);
                    return len - OVERHEAD;
                }
            }
            self.receive();
        }
    }

    /// Writes pieces once. Returns how many bytes were accepted, and the lengths of their records.
    fn write(&mut self, pieces: &[&[u8]], expects_more: bool) -> (usize, Vec<usize>) {
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let accepted = self.server.write(&slices, expects_more).unwrap();
        let mut lengths = Vec::new();
        while lengths.iter().sum::<usize>() < accepted {
            lengths.push(self.next_record());
        }
        (accepted, lengths)
    }
}

#[test]
fn an_end_that_arrives_with_data_is_read_without_another_event() {
    let mut connection = Connection::open();
    connection.session.send(b"last").unwrap();
    connection.session.close_notify();
    connection.send();
    let mut buffer = [0; 2 * RECORD];
    let input = loop {
        let input = connection.server.read(&mut [IoSliceMut::new(&mut buffer)]).unwrap();
        if input.len > 0 {
            break input;
        }
    };
    assert_eq!((&buffer[..input.len], input.next), (&b"last"[..], Next::More));
    assert_eq!(connection.server.read(&mut [IoSliceMut::new(&mut buffer)]).unwrap().next, Next::End);
}

#[test]
fn output_that_more_will_follow_ends_on_a_full_record() {
    let mut connection = Connection::open();
    let bytes = vec![7; 6 * RECORD];
    let full = |count: usize| (count * RECORD, vec![RECORD; count]);
    assert_eq!(connection.write(&[&bytes[..2 * RECORD + 100]], true), full(2));
    assert_eq!(connection.write(&[&bytes[..RECORD], &bytes[..100]], true), full(1));
    // There is nothing else to send.
    assert_eq!(connection.write(&[&bytes[..100]], true), (100, vec![100]));
    // Nothing follows.
    assert_eq!(connection.write(&[&bytes[..RECORD + 100]], false), (RECORD + 100, vec![RECORD, 100]));
}

#[test]
fn pieces_are_joined_into_full_records() {
    let mut connection = Connection::open();
    let pieces = [&[1; 4][..], &[2; RECORD], &[3; 4], &[4; RECORD]];
    assert_eq!(connection.write(&pieces, false), (2 * RECORD + 8, vec![RECORD, RECORD, 8]));
    // One write encrypts a limited amount.
    assert_eq!(connection.write(&[&vec![5; 10 * RECORD]], false), (4 * RECORD, vec![RECORD; 4]));
}

#[test]
fn long_pieces_and_short_ones_become_full_records_in_one_write() {
    let mut connection = Connection::open();
    let pieces = [&[1; 4][..], &[2; 2 * RECORD + 100], &[3; 4], &[4; 100]];
    assert_eq!(connection.write(&pieces, false), (2 * RECORD + 208, vec![RECORD, RECORD, 208]));
    let pieces = [&[1; 2 * RECORD + 3][..], &[2; 4], &[3; RECORD]];
    assert_eq!(connection.write(&pieces, false), (3 * RECORD + 7, vec![RECORD, RECORD, RECORD, 7]));
}

#[test]
fn plaintext_is_distributed_over_several_buffers() {
    let mut connection = Connection::open();
    let bytes: Vec<u8> = (0..=255).cycle().take(2 * RECORD).collect();
    for first in [0, 1, 8, 100, RECORD - 1, RECORD, RECORD + 1, 2 * RECORD] {
        connection.session.send(&bytes).unwrap();
        connection.send();
        let (mut first, mut second) = (vec![0; first], vec![0; 4 * RECORD]);
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            let mut buffers = [&mut *first, &mut *second].map(IoSliceMut::new);
            let len = connection.server.read(&mut buffers).unwrap().len;
            received.extend_from_slice(&[&*first, &*second].concat()[..len]);
        }
        assert!(received == bytes, "{} bytes first", first.len());
    }
}
