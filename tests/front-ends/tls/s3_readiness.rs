//! S3 and S4: writes that are repeated, reads and writes that wait for each other, and bytes that stay inside OpenSSL.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sockeye::{Builder, Frame, Message, OpCode, Settings};

use crate::hooks::{bare_client, bare_server, encrypting};
use crate::keys::Sealed;
use crate::loops::{Heard, Manners, Server, build, echo};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone};

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
        assert!(server.next().is_open());
        // While the client does not read, the output grows between the attempts to write it.
        for round in 0..24 {
            let len = if round % 3 == 0 { 3 << 20 } else { 100 + round };
            server.everyone().send(pattern(len, round)).unwrap();
            thread::sleep(Duration::from_millis(5));
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
        let serving = thread::spawn(move || {
            let mut server = TlsPeer::accept_tls(&listener, &acceptor(&identity));
            // What is sent back is appended to output that is blocked.
            for round in 0..50 {
                server.send(binary(pattern(1000 + round, round)));
                thread::sleep(Duration::from_millis(2));
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
        });
        let greetings = (0..3).map(|round| Message::binary(pattern(4 << 20, round))).collect();
        let manners = Manners { echoes: true, greetings, ..bare_client(reads_ahead) };
        let (mut socket, heard) = build(manners, Settings { max_buffered: 64 << 20, ..Settings::default() });
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());
        assert!(!heard.iter().any(|heard| matches!(heard, Heard::Error(..))));
        serving.join().unwrap();
    }
}

#[test]
fn s4_what_stays_inside_openssl_is_delivered_without_another_event() {
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
        while server.next() != Heard::Lost {}
        server.assert_idle();
    }
}

#[test]
fn s4_what_comes_with_the_last_flight_of_the_handshake_is_read() {
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
fn s4_a_key_update_while_a_write_is_blocked_is_answered_behind_it() {
    let settings = Settings { max_buffered: 64 << 20, ..encrypting() };
    let server = Server::start(bare_server(false), settings, |socket| socket);
    let mut sealed = Sealed::connect(server.address);
    sealed.open();
    assert!(server.next().is_open());
    let len = 20 << 20;
    server.everyone().send(pattern(len, 5)).unwrap();
    // Only the state that is tested depends on this, not the result.
    thread::sleep(Duration::from_millis(200));
    let mut bytes: Vec<u8> = (0..50).flat_map(|_| sealed.key_update(true)).collect();
    bytes.extend(sealed.text("behind"));
    sealed.send(&bytes);
    thread::sleep(Duration::from_millis(200));
    assert!(receive_message(&mut sealed.raw) == pattern(len, 5));
    assert_eq!(sealed.raw.message(), "behind");
    sealed.check_answers();
}

#[test]
fn s4_a_pause_keeps_what_openssl_holds() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let (paused, resume) = mpsc::channel();
    let identity = Authority::root("root").issue(&Wish::default());
    let socket = Builder::new()
        .build(move |out: sockeye::Sender| {
            let (counted, paused) = (Arc::clone(&counted), paused.clone());
            move |_| {
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    out.pause()?;
                    let _ = paused.send(out.clone());
                }
                Ok(())
            }
        })
        .unwrap()
        .with_server_tls(acceptor(&identity))
        .bind("127.0.0.1:0")
        .unwrap();
    let (address, everyone) = (socket.local_addr().unwrap(), socket.broadcaster());
    let running = thread::spawn(move || drop(socket.run().unwrap()));
    let mut client = TlsPeer::connect_tls(address, &anyone());
    (0..500).for_each(|_| client.send_text("x"));
    let connection = resume.recv_timeout(crate::loops::PATIENCE).unwrap();
    thread::sleep(Duration::from_millis(100));
    // What was read before the pause took hold has been delivered; the rest waits.
    let delivered = count.load(Ordering::SeqCst);
    assert!(delivered < 500, "{delivered}");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(count.load(Ordering::SeqCst), delivered);
    connection.resume().unwrap();
    client.finish_tls();
    assert_eq!(count.load(Ordering::SeqCst), 500);
    everyone.shutdown().unwrap();
    running.join().unwrap();
}

#[test]
fn s4_errors_that_someone_has_left_behind_fail_no_connection() {
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
        .with_server_tls(acceptor(&identity))
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
fn s4_the_end_waits_for_room_to_write() {
    let identity = Authority::root("root").issue(&Wish::default());
    let settings = Settings { max_buffered: 64 << 20, ..Settings::default() };
    let server = Server::start(echo(), settings, |socket| socket.with_server_tls(acceptor(&identity)));
    let mut client = TlsPeer::connect_tls(server.address, &anyone());
    assert!(server.next().is_open());
    let len = 30 << 20;
    server.everyone().send(pattern(len, 3)).unwrap();
    server.everyone().close(sockeye::CloseCode::Normal).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(receive_message(&mut client) == pattern(len, 3));
    assert_eq!(client.next_frame().unwrap().opcode(), OpCode::Close);
    client.send(Frame::close(sockeye::CloseCode::Normal, ""));
    assert_eq!(client.end(), sockeye_test_support::peer::End::Fin);
}
