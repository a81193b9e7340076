//! Two handles on two threads, an iterator, a stream of bytes.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sockeye::protocol::Config;
use sockeye::{CloseCode, Message, OpCode};

use crate::{LIMIT, pair, served};
use sockeye_test_support::bytes::{PING, PONG, masked};

/// One thread is blocked in reading, while another sends.
#[test]
fn a7_a9_one_thread_reads_while_another_sends() {
    let (client, mut server) = pair();
    let mut reader = client.try_clone().unwrap();
    let (tx, rx) = channel();
    let reading = thread::spawn(move || {
        tx.send(()).unwrap();
        (&mut reader).into_iter().map(Result::unwrap).count()
    });
    rx.recv_timeout(LIMIT).unwrap();
    let mut writer = client;
    for _ in 0..100 {
        writer.send("up").unwrap();
        assert_eq!(server.receive().unwrap(), Some("up".into()));
        server.send("down").unwrap();
    }
    let served = thread::spawn(move || server.receive().unwrap());
    assert_eq!(writer.close(CloseCode::Normal, "").unwrap().code, CloseCode::Normal);
    assert!(reading.join().unwrap() <= 100);
    assert_eq!(served.join().unwrap(), None);
}

#[test]
fn a9_a_blocked_writer_does_not_block_the_reader() {
    let (mut socket, mut peer) = served(Config::default());
    let mut writer = socket.try_clone().unwrap();
    // More than the system takes of it.
    let writing = thread::spawn(move || writer.send(vec![7; 15 << 20]));
    assert!(peer.receives_within(LIMIT));
    for at in 0..50 {
        peer.send(&masked(PING, format!("{at}").as_bytes()));
        peer.send(&masked(sockeye_test_support::bytes::TEXT, b"x"));
        assert_eq!(socket.receive().unwrap(), Some("x".into()));
    }
    assert_eq!(peer.frame().1.len(), 15 << 20);
    writing.join().unwrap().unwrap();
    // Of the Pongs that had to wait, the last one is there at least (§5.5.3).
    while peer.frame() != (PONG, b"49".to_vec()) {}
}

#[test]
fn a9_close_times_out_while_another_thread_is_reading() {
    let config = Config { close_timeout: Duration::from_millis(200), ..Config::default() };
    let (mut socket, _peer) = served(config);
    let mut reader = socket.try_clone().unwrap();
    let reading = thread::spawn(move || reader.receive());
    assert!(!socket.close(CloseCode::Normal, "").unwrap().was_clean);
    // It does not stay there.
    assert!(!matches!(reading.join().unwrap(), Ok(Some(_))));
}

#[test]
fn a8_dropping_one_handle_does_not_affect_the_other() {
    let (client, mut server) = pair();
    let reader = client.try_clone().unwrap();
    let mut joined = client;
    drop(reader);
    joined.send("up").unwrap();
    assert_eq!(server.receive().unwrap(), Some("up".into()));
    server.send("down").unwrap();
    assert_eq!(joined.receive().unwrap(), Some("down".into()));
}

#[test]
fn a9_input_that_one_handle_has_read_is_available_to_the_other() {
    let (mut client, mut server) = pair();
    client.queue("one").unwrap();
    client.queue("two").unwrap();
    client.flush().unwrap();
    let mut other = server.try_clone().unwrap();
    assert_eq!(server.receive().unwrap(), Some("one".into()));
    drop(server);
    assert_eq!(other.receive().unwrap(), Some("two".into()));
}

#[cfg(unix)]
#[test]
fn a7_handles_share_a_unix_domain_socket() {
    use sockeye::blocking::Builder;

    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = thread::spawn(move || Builder::new().server(theirs).accept().unwrap());
    let mut client = Builder::new().client(ours, "ws://localhost/").unwrap().open().unwrap();
    let mut server = server.join().unwrap();
    let mut reader = client.try_clone().unwrap();
    let reading = thread::spawn(move || reader.receive().unwrap());
    client.send("up").unwrap();
    assert_eq!(server.receive().unwrap(), Some("up".into()));
    server.send("down").unwrap();
    assert_eq!(reading.join().unwrap(), Some("down".into()));
}

#[test]
fn a5_read_and_write_transfer_bytes_as_messages() {
    let (client, server) = pair();
    let writing = thread::spawn(move || {
        let mut writer = BufWriter::new(client);
        for line in 0..5000 {
            writeln!(writer, "line {line}").unwrap();
        }
        let mut client = writer.into_inner().unwrap();
        client.send("").unwrap();
        client.send("last").unwrap();
        client.close(CloseCode::Normal, "").unwrap();
    });
    let mut lines = BufReader::with_capacity(7, server).lines();
    for line in 0..5000 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("line {line}"));
    }
    assert_eq!(lines.next().unwrap().unwrap(), "last");
    assert!(lines.next().is_none());
    writing.join().unwrap();
}

#[test]
fn a5_each_write_is_a_binary_message_and_an_unclean_end_is_an_error() {
    let (mut client, mut server) = pair();
    client.write_all(b"salmon").unwrap();
    client.flush().unwrap();
    let mut half = [0; 3];
    server.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"sal");
    // The rest stays for further reads of bytes, also through a second handle.
    let mut other = server.try_clone().unwrap();
    client.send("next").unwrap();
    other.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"mon");
    assert_eq!(other.receive().unwrap(), Some(Message::text("next")));
    client.abort();
    assert!(server.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn a5_the_rest_of_a_message_comes_before_the_next_message() {
    let (mut client, mut server) = pair();
    for message in ["salmon", "lös", "trout", "char", "next"] {
        client.queue(message).unwrap();
    }
    client.flush().unwrap();
    let mut half = [0; 3];
    server.read_exact(&mut half).unwrap();
    assert_eq!(server.receive().unwrap(), Some(Message::text("mon")));
    // It is cut inside of the letter.
    server.read_exact(&mut half[..2]).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(server.receive_into(&mut buffer).unwrap(), Some(OpCode::Binary));
    assert_eq!(buffer, "ös".as_bytes()[1..]);
    server.read_exact(&mut half).unwrap();
    assert_eq!(server.try_clone().unwrap().messages().next().unwrap().unwrap(), Message::text("ut"));
    server.read_exact(&mut half).unwrap();
    let frame = server.receive_frame().unwrap().unwrap();
    assert_eq!((frame.opcode(), &frame.payload()[..]), (OpCode::Text, &b"r"[..]));
    // A message that was read to its end leaves nothing.
    server.read_exact(&mut [0; 4]).unwrap();
    drop(client);
    assert_eq!(server.receive().unwrap(), None);
}

#[test]
fn a6_the_iterator_ends_with_the_connection() {
    let (mut client, mut server) = pair();
    let writing = thread::spawn(move || {
        for at in 0..10 {
            client.send(at.to_string()).unwrap();
        }
        client.close(CloseCode::Normal, "").unwrap();
    });
    let messages: Vec<String> = server.messages().map(|message| message.unwrap().to_string()).collect();
    assert_eq!(messages.len(), 10);
    writing.join().unwrap();
    // After an error nothing more comes.
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&masked(sockeye_test_support::bytes::TEXT, b"\xff"));
    peer.try_end_writing();
    assert!(socket.messages().next().unwrap().is_err());
    assert!(socket.messages().next().is_none());
}
