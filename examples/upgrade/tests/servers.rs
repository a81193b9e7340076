//! The sockets of tiny_http and rouille have halves for two threads, and their timeouts work.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye::blocking::{Builder, Error, Socket, TimeoutKind, WebSocket};
use sockeye::protocol::{Config, ProtocolError};
use sockeye::tiny_http::Stream;
use sockeye::{CloseCode, Message};

type ServerSocket = WebSocket<Stream>;

const SERVERS: [fn(Config) -> Server; 2] = [start_tiny_http, start_rouille];

/// A server that passes its sockets to the test.
struct Server {
    url: String,
    sockets: Receiver<ServerSocket>,
    stop: Option<Box<dyn FnOnce()>>,
}

impl Server {
    /// Opens a connection, and returns both ends.
    fn open(&self) -> (WebSocket<Socket>, ServerSocket) {
        let client = Builder::new().connect(&self.url).unwrap();
        (client, self.sockets.recv().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

fn start_tiny_http(config: Config) -> Server {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
    let (accepted, sockets): (Sender<ServerSocket>, _) = channel();
    let url = format!("ws://{}/", server.server_addr());
    let serving = Arc::clone(&server);
    let thread = thread::spawn(move || {
        for request in serving.incoming_requests() {
            if let Ok(socket) = sockeye::tiny_http::accept(request, config.clone()) {
                let _ = accepted.send(socket);
            }
        }
    });
    let stop = move || {
        server.unblock();
        thread.join().unwrap();
    };
    Server { url, sockets, stop: Some(Box::new(stop)) }
}

fn start_rouille(config: Config) -> Server {
    let (accepted, sockets): (Sender<ServerSocket>, _) = channel();
    let accepted = Mutex::new(accepted);
    let server = rouille::Server::new("127.0.0.1:0", move |request| {
        let accepted = accepted.lock().unwrap().clone();
        sockeye::rouille::upgrade(request, config.clone(), move |socket| drop(accepted.send(socket)))
    })
    .unwrap();
    let url = format!("ws://{}/", server.server_addr());
    let (thread, stop) = server.stoppable();
    let stop = move || {
        let _ = stop.send(());
        thread.join().unwrap();
    };
    Server { url, sockets, stop: Some(Box::new(stop)) }
}

#[test]
fn one_thread_sends_while_another_waits_in_receive() {
    for start in SERVERS {
        let server = start(Config::default());
        let (mut client, mut sending) = server.open();
        let mut receiving = sending.try_clone().unwrap();
        let (received, messages) = channel();
        let thread = thread::spawn(move || {
            while let Some(message) = receiving.receive().unwrap() {
                received.send(message).unwrap();
            }
        });
        // The client sends nothing before it has received this, so the other half is blocked in a read meanwhile.
        for number in 0..100 {
            sending.send(format!("{number}")).unwrap();
            assert_eq!(client.receive().unwrap(), Some(format!("{number}").into()));
        }
        // Both directions carry more than the buffers of the system at the same time.
        let large = Message::binary(vec![7; 8 << 20]);
        let mut writer = client.try_clone().unwrap();
        let (from_client, from_server) = (large.clone(), large.clone());
        let writing = thread::spawn(move || writer.send(from_client).unwrap());
        let pushing = thread::spawn(move || {
            sending.send(from_server).unwrap();
            sending
        });
        assert!(client.receive().unwrap() == Some(large.clone()));
        assert!(messages.recv().unwrap() == large);
        writing.join().unwrap();
        let mut sending = pushing.join().unwrap();
        client.send("last").unwrap();
        assert_eq!(messages.recv().unwrap(), "last".into());
        // A close by one half ends the read of the other.
        let closing = thread::spawn(move || sending.close(CloseCode::Away, "bye").unwrap());
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().unwrap().code, CloseCode::Away);
        assert!(closing.join().unwrap().was_clean);
        thread.join().unwrap();
    }
}

#[test]
fn timeouts_work() {
    for start in SERVERS {
        let config =
            Config { idle_timeout: Some(Duration::from_secs(2)), ping_interval: None, ..Config::default() };
        let server = start(config);
        let (mut client, mut socket) = server.open();
        socket.set_read_timeout(Some(Duration::from_millis(50)));
        assert!(matches!(socket.receive(), Err(Error::Timeout(TimeoutKind::Read))));
        client.send("salmon").unwrap();
        socket.set_read_timeout(None);
        assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
        assert!(matches!(socket.try_receive(), Err(Error::Timeout(TimeoutKind::Read))));
        assert!(matches!(socket.receive(), Err(Error::Timeout(TimeoutKind::Idle))));
    }
}

#[test]
fn the_closing_handshake_has_a_time_limit() {
    for start in SERVERS {
        let server = start(Config { close_timeout: Duration::from_millis(100), ..Config::default() });
        let (client, mut socket) = server.open();
        // The client does not answer the Close.
        let (_stream, _) = client.into_inner().unwrap();
        let closed = socket.close(CloseCode::Normal, "").unwrap();
        assert!(!closed.was_clean);
    }
}

#[test]
fn the_connection_ends_when_the_last_handle_is_dropped() {
    for start in SERVERS {
        let server = start(Config::default());
        let (mut client, socket) = server.open();
        let second = socket.try_clone().unwrap();
        drop(socket);
        client.send("still here").unwrap();
        let mut second = second;
        assert_eq!(second.receive().unwrap(), Some("still here".into()));
        drop(second);
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().unwrap().code, CloseCode::Away);
    }
}

#[test]
fn limits_apply() {
    for start in SERVERS {
        // The server reads until the client, which waits for this thread, ends TCP, or until this time is over.
        let close_timeout = Duration::from_millis(100);
        let server = start(Config { max_message_size: 1_000, close_timeout, ..Config::default() });
        let (mut client, mut socket) = server.open();
        client.send(vec![7; 1_001]).unwrap();
        assert!(matches!(socket.receive(), Err(Error::Protocol(ProtocolError::MessageTooLong))));
        assert_eq!(client.receive().unwrap(), None);
        assert_eq!(client.closed().unwrap().code, CloseCode::Size);
    }
}

#[test]
fn invalid_requests_are_rejected() {
    for start in SERVERS {
        let server = start(Config { subprotocols: vec!["a".into()], ..Config::default() });
        let builder = Builder::new().add_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        let mut client = builder.add_subprotocol("b").add_subprotocol("a").connect(&server.url).unwrap();
        assert_eq!(client.protocol(), Some("a"));
        drop(server.sockets.recv().unwrap());
        assert_eq!(client.receive().unwrap(), None);
        let origins = sockeye::Origins::Only(&["https://example.com"]).into();
        let strict = start(Config { origins, ..Config::default() });
        let builder = Builder::new().add_header("Origin", "https://example.org").unwrap();
        let Err(Error::Rejected(rejected)) = builder.connect(&strict.url) else { panic!("accepted") };
        assert_eq!(rejected.response().status(), 403);
    }
}

/// Each connection has several descriptors and no thread of its own. All of them are closed with it.
#[test]
#[cfg(target_os = "linux")]
fn connections_leave_no_descriptors_behind() {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;
    for start in SERVERS {
        let server = start(Config::default());
        // Only connections to this server count. The table also lists those of other tests and programs, and another address may
        // have the same port.
        let port = server.url.trim_end_matches('/').rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let address = format!("{:08X}:{port:04X}", u32::from(Ipv4Addr::LOCALHOST).to_be());
        let descriptors = || -> usize {
            let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
            // State 01 is ESTABLISHED, 08 is CLOSE_WAIT: a descriptor that is not closed. The kernel can list a connection twice if
            // the table changes while it is read.
            let peers: HashSet<_> = table
                .lines()
                .filter_map(|line| {
                    let mut words = line.split_whitespace().skip(1);
                    let (own, peer, state) = (words.next()?, words.next()?, words.next()?);
                    (own == address && matches!(state, "01" | "08")).then_some(peer)
                })
                .collect();
            peers.len()
        };
        for _ in 0..20 {
            let (mut client, mut socket) = server.open();
            assert_eq!(descriptors(), 1);
            let closing = thread::spawn(move || socket.close(CloseCode::Normal, "").map(drop));
            assert_eq!(client.receive().unwrap(), None);
            closing.join().unwrap().unwrap();
            drop(client);
            assert_eq!(descriptors(), 0);
        }
    }
}
