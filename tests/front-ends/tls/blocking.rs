//! Sockets that block, over TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::blocking::{Builder, Error, ReconnectEvent, Socket, Stream, Tls, WebSocket};
use sockeye::protocol::Config;
use sockeye::{ClientTls, CloseCode, Reconnect, ServerTls};

use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{client_of, server_of};
use sockeye_test_support::{LIMIT, NEVER, listener, streams, wait_until};

/// A server with a certificate, and a client that trusts it.
fn engines() -> (ServerTls, ClientTls) {
    let root = Authority::root("root");
    (server_of(&root.issue(&Wish::default())), client_of(&root))
}

fn pair() -> (WebSocket<Socket>, WebSocket<Socket>) {
    let (server_tls, client_tls) = engines();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let builder = Builder::new().server_tls(server_tls);
    thread::scope(|scope| {
        let server = scope.spawn(|| builder.accept(listener.accept().unwrap().0).unwrap());
        (Builder::new().client_tls(client_tls).connect(&url).unwrap(), server.join().unwrap())
    })
}

#[test]
fn r3_a_certificate_that_is_not_valid_is_tried_again() {
    let (trusted, other) = (Authority::root("trusted"), Authority::root("other"));
    let listener = listener();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let reconnect =
        Reconnect { first_wait: Duration::ZERO, longest_wait: Duration::ZERO, ..Reconnect::default() };
    let builder = Builder::new().client_tls(client_of(&trusted));
    let mut client = builder.connect_with(&url, reconnect).unwrap();
    let server = thread::spawn(move || {
        for root in [&other, &other, &trusted] {
            let builder = Builder::new().server_tls(server_of(&root.issue(&Wish::default())));
            if let Ok(mut socket) = builder.accept(listener.accept().unwrap().0) {
                socket.send("valid").unwrap();
                socket.close(CloseCode::Normal, "").unwrap();
            }
        }
    });
    for number in 0..2 {
        let Some(ReconnectEvent::Lost { lost, error: Some(Error::Tls(_)) }) = client.receive_event().unwrap()
        else {
            panic!("the certificate is not valid");
        };
        assert_eq!((lost.attempts(), lost.wait()), (number, Some(Duration::ZERO)));
    }
    assert_eq!(client.receive().unwrap(), Some("valid".into()));
    assert_eq!(client.receive().unwrap(), None);
    server.join().unwrap();
}

#[test]
fn c2_s15_messages_and_closes_are_exchanged_over_wss() {
    let (mut client, mut server) = pair();
    for message in [vec![7; 3 << 20], vec![], vec![1]] {
        thread::scope(|scope| {
            scope.spawn(|| client.send(message.clone()).unwrap());
            assert!(server.receive().unwrap().unwrap().as_bytes() == message);
        });
        thread::scope(|scope| {
            scope.spawn(|| server.send(message.clone()).unwrap());
            assert!(client.receive().unwrap().unwrap().as_bytes() == message);
        });
    }
    let reading = thread::spawn(move || {
        assert_eq!(server.receive().unwrap(), None);
        server.closed().unwrap()
    });
    assert!(client.close(CloseCode::Other(4000), "bye").unwrap().was_clean);
    assert_eq!(reading.join().unwrap().reason, "bye");
}

#[test]
fn c3_an_untrusted_peer_is_rejected() {
    let (server_tls, _) = engines();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let builder = Builder::new().server_tls(server_tls);
    let accepting = thread::spawn(move || builder.accept(listener.accept().unwrap().0).is_err());
    let (_, other_client) = engines();
    let err = Builder::new().client_tls(other_client).connect(&url).unwrap_err();
    assert!(matches!(err, Error::Tls(_)) && err.to_string().contains("certificate"), "{err}");
    assert!(accepting.join().unwrap());
}

/// A long TLS handshake leaves less time for the request.
#[test]
fn l7_tls_and_the_opening_handshake_share_a_timeout() {
    let ((server_tls, client_tls), listener) = (engines(), listener());
    let address = listener.local_addr().unwrap();
    let config = Config { handshake_timeout: NEVER, ..Config::default() };
    let builder = Builder::new().server_tls(server_tls).config(config);
    let time_spent = Duration::from_millis(100);
    thread::scope(|scope| {
        let connecting = scope.spawn(move || TcpStream::connect(address).unwrap());
        let (stream, client) = (listener.accept().unwrap().0, connecting.join().unwrap());
        // The timeout of a read belongs to the socket, which both handles share.
        let observed = stream.try_clone().unwrap();
        let accepting = scope.spawn(|| builder.accept(stream).unwrap());
        wait_until("the server waits for TLS", || observed.read_timeout().unwrap().is_some());
        let begun = Instant::now();
        wait_until("time passes", || begun.elapsed() >= time_spent);
        let stream = Tls::connect(&client_tls, "127.0.0.1", client, LIMIT).unwrap();
        let _client = Builder::new().client(stream, "wss://127.0.0.1/").unwrap().open().unwrap();
        let _server = accepting.join().unwrap();
        // The last timeout is that of the read of the request. The system rounds it up to its own ticks.
        let left = observed.read_timeout().unwrap().unwrap();
        assert!(left <= NEVER - time_spent / 2, "{left:?}");
    });
}

/// A stream of a server that returns one byte per read, and records each timeout that is set.
struct Trickle(TcpStream, Arc<Mutex<Vec<Option<Duration>>>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(&mut buffer[..1])
    }
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Trickle {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.1.lock().unwrap().push(timeout);
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?, Arc::clone(&self.1)))
    }
}

/// A stream of a client that keeps the last byte of each write back, once the test asks for it.
struct Unfinished(TcpStream, Arc<AtomicBool>);

impl Read for Unfinished {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kept_back = usize::from(self.1.load(Ordering::Relaxed));
        self.0.write_all(&bytes[..bytes.len() - kept_back])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Unfinished {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?, Arc::clone(&self.1)))
    }
}

/// A client that completes the TLS handshake, sends a head, and then a record without its last byte.
fn send_unfinished(tls: &ClientTls, stream: TcpStream, head: &str) -> Tls<Unfinished> {
    let is_unfinished = Arc::new(AtomicBool::new(false));
    let stream = Unfinished(stream, Arc::clone(&is_unfinished));
    let mut client = Tls::connect(tls, "127.0.0.1", stream, LIMIT).unwrap();
    client.write_all(head.as_bytes()).unwrap();
    is_unfinished.store(true, Ordering::Relaxed);
    // A server that is slow may have given up before.
    let _ = client.write_all(&[b'G'; 2000]);
    client
}

/// Each byte arrives within the timeout. The timeouts of the reads must add up to the limit all the same.
#[test]
fn l7_a_record_that_arrives_slowly_does_not_delay_a_timeout() {
    let (server_tls, client_tls) = engines();
    let timeout = Duration::from_secs(1);
    let opening = Config { handshake_timeout: timeout, ..Config::default() };
    let idle = Config { handshake_timeout: LIMIT, idle_timeout: Some(timeout), ..Config::default() };
    let head = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (config, head, expected) in [(opening, "", "opening handshake"), (idle, head, "silent")] {
        let builder = Builder::new().config(config);
        let (ours, theirs) = streams();
        let timeouts = Arc::new(Mutex::new(Vec::new()));
        let stream = Trickle(ours, Arc::clone(&timeouts));
        thread::scope(|scope| {
            let client = scope.spawn(|| send_unfinished(&client_tls, theirs, head));
            let stream = Tls::accept(&server_tls, stream, LIMIT).unwrap();
            timeouts.lock().unwrap().clear();
            let accepted = builder.server(stream).accept();
            let err = accepted.and_then(|mut socket| {
                timeouts.lock().unwrap().clear();
                socket.receive()
            });
            let err = err.unwrap_err().to_string();
            assert!(err.contains(expected), "{err}");
            client.join().unwrap();
        });
        let timeouts: Vec<Duration> = timeouts.lock().unwrap().iter().flatten().copied().collect();
        assert!(timeouts.len() > 100 && timeouts[0] <= timeout, "{timeouts:?}");
        assert!(timeouts.is_sorted_by(|earlier, later| earlier >= later), "{timeouts:?}");
        assert!(timeouts.last() < timeouts.first(), "the limit begins again with each byte: {timeouts:?}");
    }
}

#[test]
fn a7_a9_one_thread_reads_while_another_sends_over_tls() {
    let (client, mut server) = pair();
    let mut reader = client.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut read = 0;
        while let Ok(Some(message)) = reader.receive() {
            read += message.len();
        }
        read
    });
    let mut writer = client;
    // Both directions at once, each more than the system takes of it.
    let mut clone = server.try_clone().unwrap();
    let serving = thread::spawn(move || {
        for _ in 0..12 {
            clone.send(vec![7; 1 << 20]).unwrap();
        }
        clone.send("done").unwrap();
    });
    let sending = thread::spawn(move || {
        for _ in 0..12 {
            writer.send(vec![7; 1 << 20]).unwrap();
        }
        writer
    });
    for _ in 0..12 {
        assert_eq!(server.receive().unwrap().unwrap().len(), 1 << 20);
    }
    let writer = sending.join().unwrap();
    serving.join().unwrap();
    server.close(CloseCode::Normal, "").unwrap();
    assert_eq!(reading.join().unwrap(), (12 << 20) + 4);
    assert!(writer.closed().unwrap().was_clean);
}

#[test]
fn l7_the_tls_handshake_has_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let config = Config { handshake_timeout: Duration::from_millis(150), ..Config::default() };
    let err = Builder::new().config(config).connect(&url).unwrap_err();
    assert!(err.to_string().contains("too long"), "{err}");
}
