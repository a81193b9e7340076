//! The front end `blocking`. The codes in the names are the rows of `tests/front-ends.md`: C is the opening handshake of a
//! client, S of a server, M messages, A the interface, L limits, X extensions, and T a defect of another library.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod defects;
mod errors;
mod extension;
mod life_cycle;
mod limits;
mod messages;
mod reconnecting;
mod server;
mod shapes;
mod shared;
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

/// Returns an open client and its server.
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

/// Returns an open server, and its client, which the test controls byte by byte.
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

/// Listens, and runs a function with the first peer that connects.
pub(crate) fn listen<T: Send + 'static>(
    serve: impl FnOnce(Peer) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(Peer::accept(&listener))))
}

/// Listens, reads the head of a request, and answers it with these bytes. The thread returns the head.
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

/// The response that opens a connection, without the empty line.
pub(crate) const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";

/// The text of an error.
pub(crate) fn error_text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}
