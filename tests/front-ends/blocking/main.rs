//! Sockets that block. The tests are named after what users of other crates can do with theirs (C: the opening of a client,
//! S: of a server, M: messages, A: shapes, L: limits, X: extensions), and after what is known to go wrong there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod defects;
mod errors;
mod extension;
mod life_cycle;
mod limits;
mod messages;
mod server;
mod shapes;
mod timeouts;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use sockeye::blocking::{Builder, Result, WebSocket};
use sockeye::protocol::Config;

use sockeye_test_support::peer::{Head, Peer};
pub(crate) use sockeye_test_support::{LIMIT, streams};

pub(crate) type Tcp = WebSocket<TcpStream>;

pub(crate) fn with(config: Config) -> Builder {
    Builder::new().config(config)
}

/// Two ends that are open: a client's and a server's.
pub(crate) fn pair() -> (Tcp, Tcp) {
    pair_of(&Builder::new(), &Builder::new())
}

pub(crate) fn pair_of(client: &Builder, server: &Builder) -> (Tcp, Tcp) {
    let (ours, theirs) = streams();
    thread::scope(|scope| {
        let server = scope.spawn(|| server.server(theirs).accept().unwrap());
        (client.client(ours, "ws://localhost/chat").unwrap().open().unwrap(), server.join().unwrap())
    })
}

/// A server's end that is open, and its client, which speaks bytes.
pub(crate) fn served(config: Config) -> (Tcp, Peer) {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    let socket = thread::scope(|scope| {
        let socket = scope.spawn(|| with(config).server(ours).accept().unwrap());
        peer.upgrade();
        socket.join().unwrap()
    });
    (socket, peer)
}

/// Listens, and does something with the first who connects.
pub(crate) fn listen<T: Send + 'static>(
    serve: impl FnOnce(Peer) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(Peer::accept(&listener))))
}

/// Listens, reads the head of a request and answers it with these bytes; returns the head.
pub(crate) fn answering(response: impl Into<String>) -> (SocketAddr, JoinHandle<Head>) {
    let response = response.into();
    listen(move |mut peer| {
        let head = peer.head();
        let accept = head.header("Sec-WebSocket-Key").map(sockeye::protocol::handshake::accept_value);
        peer.send(response.replace("{accept}", &accept.unwrap_or_default()).as_bytes());
        peer.rest();
        head
    })
}

/// What opens a connection.
pub(crate) const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";

/// The text of an error.
pub(crate) fn said<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}
