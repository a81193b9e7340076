//! S3 and S4: writes that are repeated, reads and writes that wait for each other, and bytes that stay inside OpenSSL.

use std::thread;

use sockeye::{Builder, Frame, Message, OpCode, Settings};

use crate::hooks::{bare_client, bare_server, encrypting};
use crate::keys::Sealed;
use crate::loops::{HandlerCall, Manners, Server, build, echo};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::bytes::{PING, PONG};
use sockeye_test_support::probes::{TOO_MUCH, wait_until_blocked};
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone, server_of};
use sockeye_test_support::{LIMIT, listener, wait_until};

/// Bytes that depend on their position.
fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / 251 + at * 7 + seed) % 256).unwrap()).collect()
}

fn binary(data: Vec<u8>) -> Frame {
    Frame::message(data, OpCode::Binary, true)
}

/// The payload of a message that may have come in fragments.
fn receive_message(raw: &mut TlsPeer) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let frame = raw.next_frame().unwrap();
        message.extend_from_slice(frame.payload());
        if frame.is_final() {
            return message;
        }
    }
}

#[test]
fn s3_a_server_repeats_blocked_writes_with_the_same_bytes() {
    for reads_ahead in [false, true] {
        let settings = Settings { max_buffered: 64 << 20, ..encrypting() };
        let server = Server::start(bare_server(reads_ahead), settings, |socket| socket);
        let mut client = TlsPeer::connect_tls(server.address, &anyone());
        server.opened();
        let mut reader = TlsPeer::connect_tls(server.address, &anyone());
        server.opened();
        // The client does not read, and its output grows between the attempts to write it. When the other client has
        // received a message, the loop has tried to write it to both.
        for round in 0..24 {
            let len = if round % 3 == 0 { 3 << 20 } else { 100 + round };
            server.everyone().send(pattern(len, round)).unwrap();
            assert!(receive_message(&mut reader) == pattern(len, round), "message {round} has been damaged");
        }
        for round in 0..24 {
            let len = if round % 3 == 0 { 3 << 20 } else { 100 + round };
            assert!(receive_message(&mut client) == pattern(len, round), "message {round} has been damaged");
        }
        client.finish_tls();
    }
}

#[test]
fn s3_a_client_repeats_blocked_writes_with_the_same_bytes() {
    for reads_ahead in [false, true] {
        let identity = Authority::root("root").issue(&Wish::default());
        let listener = listener();
        let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
        let greetings = (0..3).map(|round| Message::binary(pattern(4 << 20, round))).collect();
        let manners = Manners { echoes: true, greetings, ..bare_client(reads_ahead) };
        let (mut socket, received) =
            build(manners, Settings { max_buffered: 64 << 20, ..Settings::default() });
        let serving = thread::spawn(move || {
            let mut server = TlsPeer::accept_tls(&listener, &acceptor(&identity));
            assert!(received.recv_timeout(LIMIT).unwrap().is_open());
            // What is sent back is appended to output that is blocked.
            for round in 0..50 {
                server.send(binary(pattern(1000 + round, round)));
                let expected = HandlerCall::Message(pattern(1000 + round, round).into());
                assert!(received.recv_timeout(LIMIT).unwrap() == expected, "message {round}");
            }
            for round in 0..3 {
                assert!(
                    receive_message(&mut server) == pattern(4 << 20, round),
                    "greeting {round} is damaged"
                );
            }
            for round in 0..50 {
                assert!(
                    receive_message(&mut server) == pattern(1000 + round, round),
                    "echo {round} is damaged"
                );
            }
            server.finish_tls();
            received
        });
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        let received = serving.join().unwrap();
        assert!(!received.iter().any(|received| matches!(received, HandlerCall::Error(..))));
    }
}

#[test]
fn s4_data_buffered_by_openssl_is_delivered_without_another_event() {
    for (manners, settings) in [(bare_server(true), encrypting()), (bare_server(false), encrypting())] {
        let server = Server::start(manners, settings, |socket| socket);
        let mut client = TlsPeer::connect_tls(server.address, &anyone());
        // Many records at once: more than one turn takes.
        for count in [1, 31, 32, 33, 64, 65, 1000] {
            (0..count).for_each(|number| client.send_text(&format!("{number}")));
            (0..count).for_each(|number| assert_eq!(client.message(), format!("{number}")));
        }
        // Many messages in one record; and one message in many.
        let mut frames = Vec::new();
        for _ in 0..200 {
            let mut frame = binary(vec![7; 70]);
            frame.set_mask();
            frame.format(&mut frames).unwrap();
        }
        std::io::Write::write_all(&mut client.stream, &frames).unwrap();
        (0..200).for_each(|_| assert_eq!(client.next_frame().unwrap().payload().len(), 70));
        client.send(binary(pattern(3_000_000, 1)));
        assert!(receive_message(&mut client) == pattern(3_000_000, 1));
        client.finish_tls();
        while server.next() != HandlerCall::Lost {}
        server.assert_idle();
    }
}

#[test]
fn s4_data_sent_with_the_last_handshake_flight_is_received() {
    // The client's last flight, its request and its first frames, all in one write.
    let server = Server::start(bare_server(true), encrypting(), |socket| socket);
    for _ in 0..20 {
        let mut sealed = Sealed::connect(server.address);
        let mut bytes = sealed.request();
        bytes.extend(sealed.text("first"));
        bytes.extend(sealed.text("second"));
        sealed.send(&bytes);
        assert_eq!(sealed.raw.head().status(), 101);
        assert_eq!(sealed.raw.message(), "first");
        assert_eq!(sealed.raw.message(), "second");
    }
}

#[test]
fn s4_the_reply_to_a_key_update_is_sent_after_a_blocked_write() {
    let settings = Settings { max_buffered: 64 << 20, ..encrypting() };
    let server = Server::start(bare_server(false), settings, |socket| socket);
    let mut sealed = Sealed::connect(server.address);
    sealed.open();
    let out = server.opened();
    out.send(pattern(TOO_MUCH, 5)).unwrap();
    wait_until_blocked(&out);
    let mut bytes: Vec<u8> = (0..50).flat_map(|_| sealed.key_update(true)).collect();
    bytes.extend(sealed.text("behind"));
    sealed.send(&bytes);
    // The loop has read the key updates, and the write is still blocked.
    assert_eq!(server.next(), HandlerCall::Message("behind".into()));
    assert!(receive_message(&mut sealed.raw) == pattern(TOO_MUCH, 5));
    assert_eq!(sealed.raw.message(), "behind");
    sealed.check_answers();
}

#[test]
fn s4_a_pause_keeps_data_buffered_by_openssl() {
    const COUNT: usize = 500;
    for reads_ahead in [false, true] {
        let manners = Manners { pauses: true, echoes: false, ..bare_server(reads_ahead) };
        let server = Server::start(manners, encrypting(), |socket| socket);
        let mut sealed = Sealed::connect(server.address);
        sealed.open();
        let out = server.opened();
        let mut neighbor = TlsPeer::connect_tls(server.address, &anyone());
        server.opened();
        // All records in one write: OpenSSL may have read more of them than the loop.
        let messages: Vec<u8> = (0..COUNT).flat_map(|number| sealed.text(&number.to_string())).collect();
        sealed.send(&messages);
        assert_eq!(server.next(), HandlerCall::Message("0".into()));
        // The loop has served another connection, so the turn with the pause is over.
        let mut turn = || {
            neighbor.send_frame(PING, b"?");
            assert_eq!(neighbor.frame(), (PONG, b"?".to_vec()));
        };
        turn();
        let delivered = 1 + server.received.try_iter().count();
        assert!(delivered < COUNT, "{delivered}");
        turn();
        assert_eq!(server.received.try_iter().count(), 0, "a paused connection is not read");
        out.resume().unwrap();
        for number in delivered..COUNT {
            assert_eq!(server.next(), HandlerCall::Message(number.to_string().into()));
        }
    }
}

#[test]
fn s4_errors_in_the_openssl_queue_do_not_fail_a_connection() {
    let identity = Authority::root("root").issue(&Wish::default());
    let socket = Builder::new()
        .build(|out: sockeye::Sender| {
            move |msg: Message| {
                // OpenSSL keeps a list of errors for each thread. A program need not empty it.
                openssl::x509::X509::from_pem(b"nonsense").unwrap_err().put();
                out.send(msg)
            }
        })
        .unwrap()
        .with_server_tls(server_of(&identity))
        .bind("127.0.0.1:0")
        .unwrap();
    let (address, everyone) = (socket.local_addr().unwrap(), socket.broadcaster());
    let running = thread::spawn(move || drop(socket.run().unwrap()));
    let mut clients: Vec<TlsPeer> = (0..3).map(|_| TlsPeer::connect_tls(address, &anyone())).collect();
    for round in 0..10 {
        for client in &mut clients {
            client.send_text(&format!("{round}"));
            assert_eq!(client.message(), format!("{round}"));
        }
    }
    for client in &mut clients {
        client.finish_tls();
    }
    everyone.shutdown().unwrap();
    running.join().unwrap();
}

#[test]
fn s4_a_close_and_the_end_of_tls_follow_blocked_output() {
    let identity = Authority::root("root").issue(&Wish::default());
    let settings = Settings { max_buffered: 64 << 20, ..Settings::default() };
    let server = Server::start(echo(), settings, |socket| socket.with_server_tls(server_of(&identity)));
    let mut client = TlsPeer::connect_tls(server.address, &anyone());
    let out = server.opened();
    out.send(pattern(TOO_MUCH, 3)).unwrap();
    out.close(sockeye::CloseCode::Normal).unwrap();
    wait_until_blocked(&out);
    wait_until("the loop executes the command", || !out.is_open());
    assert!(receive_message(&mut client) == pattern(TOO_MUCH, 3));
    assert_eq!(client.next_frame().unwrap().opcode(), OpCode::Close);
    client.send(Frame::close(sockeye::CloseCode::Normal, ""));
    assert_eq!(client.end(), sockeye_test_support::peer::End::Fin);
}
