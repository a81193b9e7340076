//! Passwords, users and databases, and what is wrong with them.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use sockeye::cluster::Redis;
use sockeye::{Error, ErrorKind};

use crate::conversation::converse;
use crate::node::Node;
use crate::server::Server;

#[test]
fn a_password_is_sent() {
    let Some(server) = Server::start(&["--requirepass", "se:cret"]) else { return };
    let url =
        |login: &str, protocol| format!("redis://{login}@127.0.0.1:{}/?protocol={protocol}", server.port);
    for protocol in ["resp2", "resp3"] {
        converse(Redis::new(url(":se%3Acret", protocol)).unwrap());
        converse(Redis::new(url("default:se%3Acret", protocol)).unwrap());
    }
}

/// A user with the permissions that the broker needs.
const USER: [&str; 7] = ["ACL", "SETUSER", "me", "on", ">secret", "&*", "+@pubsub"];

#[test]
fn a_user_needs_few_permissions() {
    let Some(server) = Server::start(&[]) else { return };
    let mut client = server.client();
    client.call(&USER);
    for protocol in ["resp2", "resp3"] {
        converse(
            Redis::new(format!("redis://me:secret@127.0.0.1:{}/?protocol={protocol}", server.port)).unwrap(),
        );
    }
    client.call(&["ACL", "SETUSER", "me", "+select"]);
    converse(Redis::new(format!("redis://me:secret@127.0.0.1:{}/2", server.port)).unwrap());
}

fn error(url: &str) -> Error {
    match Node::try_start(Redis::new(url).unwrap().connect_timeout(Duration::from_secs(20))) {
        Ok(_) => panic!("{url} must not be accepted"),
        Err(err) => err,
    }
}

#[test]
fn wrong_logins_are_errors_of_the_start() {
    let Some(server) = Server::start(&["--requirepass", "secret"]) else { return };
    let port = server.port;
    let host = format!("127.0.0.1:{port}");
    for (url, reason) in [
        (format!("redis://{host}"), "NOAUTH"),
        (format!("redis://{host}?protocol=resp3"), "NOAUTH"),
        (format!("redis://:mistake@{host}"), "WRONGPASS"),
        (format!("redis://:mistake@{host}?protocol=resp3"), "WRONGPASS"),
        (format!("redis://stranger:mistake@{host}"), "WRONGPASS"),
        (format!("redis://:secret@{host}/16"), "ERR DB index is out of range"),
        (format!("unix://{}?pass=mistake", server.unix_path().display()), "WRONGPASS"),
    ] {
        let text = error(&url).to_string();
        assert!(text.contains(reason), "{url}: {text}");
        assert!(!text.contains("mistake") && !text.contains("secret"), "{text}");
        let place = if url.starts_with("unix") { "socket" } else { &host };
        assert!(text.contains(place), "{url}: {text}");
    }
}

#[test]
fn an_unreachable_server_is_an_error_of_the_start() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = error(&format!("redis://:secret@{unused}")).to_string();
    assert!(text.contains(&unused.to_string()) && text.contains("refused"), "{text}");
    let text = error("redis://:secret@does-not-exist.invalid").to_string();
    assert!(text.contains("cannot resolve the Redis server at does-not-exist.invalid:6379"), "{text}");
    let text = error("unix:///does/not/exist?pass=secret").to_string();
    assert!(text.contains("/does/not/exist"), "{text}");
}

#[test]
fn a_silent_server_is_an_error_of_the_start() {
    // Connections wait in the backlog.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = Redis::new(format!("redis://{}", listener.local_addr().unwrap())).unwrap();
    let Err(err) = Node::try_start(broker.connect_timeout(Duration::from_millis(10))) else {
        panic!("no error")
    };
    assert!(
        matches!(&err.kind, ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::TimedOut),
        "{err}"
    );
}

#[test]
fn another_protocol_is_an_error_of_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let other = std::thread::spawn(move || {
        let streams = [(); 2].map(|()| listener.accept().unwrap().0);
        for mut stream in &streams {
            // The broker closes both after the first reply.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
        streams
    });
    let err = error(&format!("redis://{address}"));
    assert!(matches!(err.kind, ErrorKind::Protocol), "{err}");
    other.join().unwrap();
}

#[test]
fn a_second_start_is_an_error() {
    use sockeye::cluster::{Broker, BrokerEvents, Inbox, NodeId};
    struct Deaf;
    impl BrokerEvents for Deaf {
        fn up(&self) {}
        fn down(&self, _: &str) {}
        fn subscribed(&self, _: &[&str]) {}
        fn acknowledged(&self, _: u64) {}
        fn rejected(&self, _: u64) {}
        fn deliver(&self, _: &str, _: &[u8]) {}
        fn has_room(&self) -> bool {
            true
        }
    }
    let Some(server) = Server::start(&[]) else { return };
    let mut node = Node::start(Redis::new(server.url()).unwrap());
    let err = node.broker.start(NodeId::random(), Inbox::new(std::sync::Arc::new(Deaf))).unwrap_err();
    assert_eq!(err.to_string(), "the Redis broker was started before");
}
