//! What the tests of the async socket share: sockets over a stream in memory.

use sockeye::futures::{Builder, Client, WebSocket};
pub(crate) use sockeye_test_support::bytes::{close_payload, frame, masked};
pub(crate) use sockeye_test_support::pipe::{End, RemoteEnd, Woken, duplex, now, pipe, poll, ready, wait};

/// The head that accepts the request of a client.
pub(crate) fn acceptance(request: &str, headers: &str) -> String {
    let key = header(request, "Sec-WebSocket-Key").expect("there is a key");
    sockeye_test_support::bytes::acceptance(key, headers)
}

/// The value of a header.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A client that has sent its request, the request, and the other end.
pub(crate) fn asking(builder: &Builder) -> (Client<End>, String, RemoteEnd) {
    let (end, raw) = pipe();
    let mut client = builder.client(end, "ws://example.com/chat").unwrap();
    assert!(now(client.handshake()).is_none());
    let request = raw.read_text();
    (client, request, raw)
}

/// A client that is open.
pub(crate) fn open_client(builder: &Builder) -> (WebSocket<End>, RemoteEnd) {
    let (mut client, request, raw) = asking(builder);
    raw.write(acceptance(&request, ""));
    ready(client.handshake()).unwrap();
    (client.into_socket().unwrap(), raw)
}

pub(crate) const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Origin: http://example.com\r\nSec-WebSocket-Protocol: soap, wamp\r\n\r\n";

/// A server that is open.
pub(crate) fn open_server(builder: &Builder) -> (WebSocket<End>, RemoteEnd) {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    let socket = ready(builder.server(end).accept()).unwrap();
    assert!(raw.read_text().starts_with("HTTP/1.1 101 "));
    (socket, raw)
}
