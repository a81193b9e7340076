//! Sockets that block, over TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::blocking::{Builder, Error, Socket, Stream, Tls, WebSocket};
use sockeye::protocol::Config;
use sockeye::{ClientTls, CloseCode, ServerTls};

use sockeye_test_support::authority::{Authority, Folder, Wish};
use sockeye_test_support::{LIMIT, assert_once};

struct Files {
    _folder: Folder,
    server: ServerTls,
    roots: std::path::PathBuf,
}

fn files() -> Files {
    let folder = Folder::new();
    let root = Authority::root("root");
    let (chain, key) = root.issue(&Wish::default()).write(&folder);
    let roots = root.write(&folder);
    Files { server: ServerTls::from_pem_files(chain, key).unwrap(), roots, _folder: folder }
}

/// A builder for servers with the certificate.
fn server(files: &Files) -> Builder {
    Builder::new().server_tls(files.server.clone())
}

fn pair() -> (WebSocket<Socket>, WebSocket<Socket>) {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    thread::scope(|scope| {
        let server = scope.spawn(|| server(&known).accept(listener.accept().unwrap().0).unwrap());
        let tls = ClientTls::new().unwrap().trust_only(&known.roots).unwrap();
        (Builder::new().client_tls(tls).connect(&url).unwrap(), server.join().unwrap())
    })
}

#[test]
fn c2_s15_wss_in_both_roles_and_its_end() {
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
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let accepting = thread::spawn(move || server(&known).accept(listener.accept().unwrap().0).is_err());
    let other = files();
    let tls = ClientTls::new().unwrap().trust_only(&other.roots).unwrap();
    let err = Builder::new().client_tls(tls).connect(&url).unwrap_err();
    assert!(matches!(err, Error::Tls(_)) && err.to_string().contains("certificate"), "{err}");
    assert!(accepting.join().unwrap());
}

/// Whoever takes long for TLS has the less for the request.
#[test]
fn l7_tls_and_the_opening_handshake_share_their_time() {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config { handshake_timeout: Duration::from_secs(2), ..Config::default() };
    let builder = server(&known).config(config);
    // With a time for each of the two handshakes, no attempt would end within 3.5 seconds.
    assert_once("one time for both handshakes", || {
        thread::scope(|scope| {
            let accepting = scope.spawn(|| {
                let stream = listener.accept().unwrap().0;
                let begun = Instant::now();
                assert!(builder.accept(stream).is_err());
                begun.elapsed()
            });
            let stream = TcpStream::connect(address).unwrap();
            thread::sleep(Duration::from_millis(1500));
            let tls = ClientTls::new().unwrap().trust_only(&known.roots).unwrap().into();
            // On a busy machine the time may be over before.
            let _silent = Tls::connect(&tls, "127.0.0.1", stream, LIMIT);
            accepting.join().unwrap() < Duration::from_secs(3)
        })
    });
}

/// A stream that lets its bytes fall one by one, from a moment on.
struct Trickle(TcpStream, Arc<AtomicBool>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.1.load(Ordering::Relaxed) {
            return self.0.write(bytes);
        }
        thread::sleep(Duration::from_millis(5));
        self.0.write(&bytes[..1])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Trickle {
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

/// One byte of a record within each timeout would take days.
#[test]
fn l7_a_record_that_trickles_in_does_not_delay_a_timeout() {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let timeout = Duration::from_secs(1);
    let builder = server(&known).config(Config {
        handshake_timeout: timeout,
        idle_timeout: Some(timeout),
        ..Config::default()
    });
    let trickle = |head: &str| {
        let slowly = Arc::new(AtomicBool::new(false));
        let stream = Trickle(TcpStream::connect(address).unwrap(), Arc::clone(&slowly));
        let tls = ClientTls::new().unwrap().trust_only(&known.roots).unwrap().into();
        let mut client = Tls::connect(&tls, "127.0.0.1", stream, Duration::from_secs(10)).unwrap();
        client.write_all(head.as_bytes()).unwrap();
        slowly.store(true, Ordering::Relaxed);
        // Until the server has had enough.
        let _ = client.write_all(&[b'G'; 4000]).and_then(|()| client.flush());
    };
    thread::scope(|scope| {
        scope.spawn(|| trickle(""));
        let stream = listener.accept().unwrap().0;
        let err = builder.accept(stream).unwrap_err();
        assert!(err.to_string().contains("opening handshake"), "{err}");
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            trickle(
                "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
        });
        let mut socket = builder.accept(listener.accept().unwrap().0).unwrap();
        let err = socket.receive().unwrap_err();
        assert!(err.to_string().contains("silent"), "{err}");
    });
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
fn l7_the_handshake_of_tls_has_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let config = Config { handshake_timeout: Duration::from_millis(150), ..Config::default() };
    let err = Builder::new().config(config).connect(&url).unwrap_err();
    assert!(err.to_string().contains("too long"), "{err}");
}
