//! Sockets that block, over TLS.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::blocking::{Builder, Socket, Tls, WebSocket};
use sockeye::protocol::Config;
use sockeye::{ClientTls, CloseCode, ErrorKind, ServerTls};

use crate::authority::{Authority, Folder, Wish};

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

fn pair() -> (WebSocket<Socket>, WebSocket<Tls<TcpStream>>) {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    thread::scope(|scope| {
        let server =
            scope.spawn(|| Builder::new().accept_tls(&known.server, listener.accept().unwrap().0).unwrap());
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
            assert!(server.read().unwrap().unwrap().as_bytes() == message);
        });
        thread::scope(|scope| {
            scope.spawn(|| server.send(message.clone()).unwrap());
            assert!(client.read().unwrap().unwrap().as_bytes() == message);
        });
    }
    let reading = thread::spawn(move || {
        assert_eq!(server.read().unwrap(), None);
        server.closed().unwrap()
    });
    assert!(client.close(CloseCode::Other(4000), "bye").unwrap().was_clean);
    assert_eq!(reading.join().unwrap().reason, "bye");
}

#[test]
fn c3_whoever_is_not_trusted_is_refused() {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let accepting = thread::spawn(move || {
        Builder::new().accept_tls(&known.server, listener.accept().unwrap().0).is_err()
    });
    let other = files();
    let tls = ClientTls::new().unwrap().trust_only(&other.roots).unwrap();
    let err = Builder::new().client_tls(tls).connect(&url).unwrap_err();
    assert!(matches!(err.kind, ErrorKind::Ssl(_)) && err.to_string().contains("certificate"), "{err}");
    assert!(accepting.join().unwrap());
}

/// Whoever takes long for TLS has the less for the request.
#[test]
fn l7_tls_and_the_opening_handshake_share_their_time() {
    let known = files();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let builder =
        Builder::new().config(Config { handshake_timeout: Duration::from_secs(2), ..Config::default() });
    let accepting = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        let begun = Instant::now();
        assert!(builder.accept_tls(&known.server, stream).is_err());
        begun.elapsed()
    });
    let stream = TcpStream::connect(address).unwrap();
    thread::sleep(Duration::from_millis(1500));
    let tls = ClientTls::new().unwrap().trust_only(&known.roots).unwrap().into();
    let _silent = Tls::connect(&tls, "127.0.0.1", stream, Duration::from_secs(10)).unwrap();
    assert!(accepting.join().unwrap() < Duration::from_secs(3));
}

#[test]
fn a7_a9_one_thread_reads_while_another_sends_over_tls() {
    let (client, mut server) = pair();
    let mut reader = client.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut read = 0;
        while let Ok(Some(message)) = reader.read() {
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
        assert_eq!(server.read().unwrap().unwrap().len(), 1 << 20);
    }
    let writer = sending.join().unwrap();
    serving.join().unwrap();
    server.close(CloseCode::Normal, "").unwrap();
    assert_eq!(reading.join().unwrap(), (12 << 20) + 4);
    assert!(writer.closed().unwrap().was_clean);
}

#[test]
fn l7_the_handshake_of_tls_has_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let config = Config { handshake_timeout: Duration::from_millis(150), ..Config::default() };
    let err = Builder::new().config(config).connect(&url).unwrap_err();
    assert!(err.to_string().contains("too long"), "{err}");
}
