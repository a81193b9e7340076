//! Proxies that do what a test demands.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sockeye::ProxyFailure;
use sockeye::protocol::ProtocolError;
use sockeye_test_support::LIMIT;

use super::clients::{CLIENTS, Failure, Plan};
use super::servers::{ENGINES, echo, encrypted_echo, trusting};

/// Accepts one client, and serves it on another thread. Returns the address.
fn proxy(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        serve(stream);
    });
    address
}

/// Reads up to the end of a text.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    while !received.ends_with(end) {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        received.push(byte[0]);
    }
    received
}

/// Reads until the client ends its side, so that the end of this side does not reset the connection.
fn drain(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Copies bytes in both directions.
fn join(client: TcpStream, server: TcpStream) {
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (client, server);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    back.join().unwrap();
}

/// A proxy that connects to the server that the client names, and answers a few bytes at a time.
fn working_http() -> SocketAddr {
    proxy(|mut client| {
        let head = String::from_utf8(read_until(&mut client, b"\r\n\r\n")).unwrap();
        let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
        assert!(head.contains(&format!("Host: {target}\r\n")), "{head}");
        assert!(head.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{head}");
        let server = TcpStream::connect(target).unwrap();
        client.set_nodelay(true).unwrap();
        for piece in b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n".chunks(7) {
            client.write_all(piece).unwrap();
        }
        join(client, server);
    })
}

/// The same for SOCKS5.
fn working_socks() -> SocketAddr {
    proxy(|mut client| {
        assert_eq!(read(&mut client, 4), [5, 2, 0, 2]);
        client.write_all(&[5, 2]).unwrap();
        assert_eq!(read(&mut client, 13), b"\x01\x04user\x06secret");
        client.write_all(&[1, 0]).unwrap();
        assert_eq!(read(&mut client, 3), [5, 1, 0]);
        let host = match read(&mut client, 1)[0] {
            1 => read(&mut client, 4).iter().map(u8::to_string).collect::<Vec<_>>().join("."),
            3 => {
                let len = usize::from(read(&mut client, 1)[0]);
                String::from_utf8(read(&mut client, len)).unwrap()
            }
            other => panic!("the type of the address is {other}"),
        };
        let port = u16::from_be_bytes(read(&mut client, 2).try_into().unwrap());
        let server = TcpStream::connect((host.as_str(), port)).unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).unwrap();
        join(client, server);
    })
}

/// Reads so many bytes.
fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// A proxy that reads a request up to its end, sends something, and then ends.
fn answering(end: &'static [u8], answer: Vec<u8>) -> SocketAddr {
    proxy(move |mut client| {
        read_until(&mut client, end);
        let _ = client.write_all(&answer);
        drain(client);
    })
}

#[test]
fn all_front_ends_connect_through_proxies() {
    let server = echo();
    let urls = [server.url(), format!("ws://localhost:{}/", server.addr.port())];
    for (name, client) in CLIENTS {
        for url in &urls {
            let plan = Plan::new(url).through(&format!("http://user:secret@{}", working_http()));
            assert_eq!(client(&plan).unwrap(), "hello", "{name} {url}");
            let plan = Plan::new(url).through(&format!("socks5://user:secret@{}", working_socks()));
            assert_eq!(client(&plan).unwrap(), "hello", "{name} {url}");
        }
    }
}

#[test]
fn tls_is_end_to_end() {
    let server = encrypted_echo();
    let url = format!("wss://localhost:{}/", server.addr.port());
    for (name, client) in CLIENTS {
        for engine in ENGINES {
            for proxy in [
                format!("http://user:secret@{}", working_http()),
                format!("socks5h://user:secret@{}", working_socks()),
            ] {
                let plan = Plan { tls: Some(trusting(*engine)), ..Plan::new(&url) }.through(&proxy);
                assert_eq!(client(&plan).unwrap(), "hello", "{name} {engine:?} {proxy}");
            }
        }
    }
}

/// Connects through a proxy that sends this answer.
fn refused(scheme: &str, end: &'static [u8], answer: &[u8], check: impl Fn(&str, Failure)) {
    for (name, client) in CLIENTS {
        let address = answering(end, answer.to_vec());
        let plan = Plan::new("ws://host.invalid/").through(&format!("{scheme}://user:secret@{address}"));
        let failure = client(&plan).unwrap_err();
        assert!(!failure.text.contains("secret"), "{failure:?}");
        if failure.proxy.is_some() {
            assert!(failure.text.contains(&address.to_string()), "{failure:?}");
        }
        check(name, failure);
    }
}

#[test]
fn a_refusal_has_a_type() {
    let large = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 20_000]].concat();
    for (answer, expected) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"[..],
            ProxyFailure::Status(407),
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", ProxyFailure::Status(403)),
        (b"\x15\x03\x01\x00\x02\x02\x28", ProxyFailure::Response(ProtocolError::MalformedHead)),
        (&large, ProxyFailure::Response(ProtocolError::HeadTooLarge)),
        (b"HTTP/1.1 200 OK\r\nVia", ProxyFailure::Closed),
        (b"", ProxyFailure::Closed),
    ] {
        refused("http", b"\r\n\r\n", answer, |name, failure| {
            assert_eq!(failure.proxy, Some(expected), "{name} {failure:?}");
        });
    }
    for (answer, expected) in [
        (&[5, 255][..], ProxyFailure::Authentication),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProxyFailure::NotSocks),
        (&[5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0], ProxyFailure::Reply(4)),
        (&[5, 2, 1, 1], ProxyFailure::Credentials),
        (&[5], ProxyFailure::Closed),
    ] {
        refused("socks5", &[5, 2, 0, 2], answer, |name, failure| {
            assert_eq!(failure.proxy, Some(expected), "{name} {failure:?}");
        });
    }
}

#[test]
fn what_follows_the_response_belongs_to_the_server() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n";
    refused("http", b"\r\n\r\n", answer, |name, failure| {
        assert!(failure.proxy.is_none() && failure.text.contains("503"), "{name} {failure:?}");
    });
}

#[test]
fn a_silent_proxy_ends_the_attempt_after_the_connect_timeout() {
    for (name, client) in CLIENTS {
        // The client ends its side when it gives up.
        let address = proxy(|mut client| drop(client.read_to_end(&mut Vec::new())));
        let plan = Plan { connect_timeout: Duration::from_millis(200), ..Plan::new("ws://host.invalid/") };
        let failure = client(&plan.through(&format!("http://{address}"))).unwrap_err();
        assert!(failure.is_timeout, "{name} {failure:?}");
    }
}

#[test]
fn a_proxy_that_does_not_exist_is_named() {
    for (name, client) in CLIENTS {
        // No other socket can listen there while the stream is open.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = stream.local_addr().unwrap();
        let plan = Plan::new("ws://host.invalid/").through(&format!("http://user:secret@{address}"));
        let failure = client(&plan).unwrap_err();
        let expected = format!("cannot connect to the proxy {address}: ");
        assert!(failure.text.starts_with(&expected), "{name} {failure:?}");
    }
}

#[test]
fn hosts_on_the_list_are_reached_directly() {
    let server = echo();
    for (name, client) in CLIENTS {
        let mut plan = Plan::new(server.url()).through("http://proxy.invalid:1");
        plan.proxy = plan.proxy.map(|proxy| proxy.bypass("127.0.0.0/8"));
        assert_eq!(client(&plan).unwrap(), "hello", "{name}");
    }
}
