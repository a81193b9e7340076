//! One scripted conversation through every front end, in both roles: against each other, and against a peer that speaks
//! bytes.
//!
//! A front end takes part by an implementation of [`FrontEnd`] and a place in [`front_ends`].
#![cfg(any(feature = "reactor", feature = "blocking", feature = "tokio"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "blocking")]
mod blocking;
#[path = "../../support/bytes.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod bytes;
mod closings;
#[cfg(feature = "tokio")]
mod futures;
mod messages;
#[path = "../../support/peer.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod peer;
#[cfg(feature = "reactor")]
mod reactor;

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sockeye::protocol::Role;
use sockeye::{CloseCode, Message};

use self::peer::Peer;

/// How long anything may take that is to happen at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A way to use a connection.
pub(crate) trait FrontEnd: Sync {
    fn name(&self) -> &'static str;

    /// Makes the opening handshake on a stream that is connected. The URL of a client is `ws://localhost/chat`.
    fn open(&self, role: Role, stream: TcpStream, terms: Terms) -> Box<dyn End>;
}

/// What the conversations need to be able to set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) close_timeout: Duration,
    pub(crate) max_message_size: usize,
    /// Whether messages are compressed, where the build can.
    #[cfg_attr(not(feature = "permessage-deflate"), allow(dead_code, reason = "this build cannot"))]
    pub(crate) compresses: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { close_timeout: LIMIT, max_message_size: 16 << 20, compresses: false }
    }
}

/// One end of an open connection; dropping it ends it, however that is done.
pub(crate) trait End: Send {
    fn send(&mut self, message: Message);

    /// Waits for what comes next; Pings and Pongs are passed over.
    fn receive(&mut self) -> Received;

    /// Closes, and waits for the end, which is what is returned.
    fn close(&mut self, code: CloseCode, reason: &str) -> Received;
}

/// What an end has heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Received {
    Message(Message),
    /// The end of the connection, with the Close of the peer.
    Close(CloseCode, String),
    /// The end of the connection, without one.
    Lost,
}

impl Received {
    pub(crate) fn close(code: CloseCode, reason: &str) -> Self {
        Self::Close(code, reason.to_owned())
    }
}

/// All front ends of this build.
pub(crate) fn front_ends() -> Vec<&'static dyn FrontEnd> {
    vec![
        #[cfg(feature = "reactor")]
        &reactor::Reactor,
        #[cfg(feature = "blocking")]
        &blocking::Blocking,
        #[cfg(feature = "tokio")]
        &futures::Futures,
    ]
}

/// Goes through all pairs of front ends: the client's, and the server's.
pub(crate) fn for_all_pairs(terms: Terms, script: impl Fn(&mut dyn End, &mut dyn End)) {
    for client in front_ends() {
        for server in front_ends() {
            let (ours, theirs) = streams();
            let (mut one, mut other) = thread::scope(|scope| {
                let other = scope.spawn(|| server.open(Role::Server, theirs, terms));
                (client.open(Role::Client, ours, terms), other.join().unwrap())
            });
            script(one.as_mut(), other.as_mut());
        }
    }
}

/// Goes through all front ends in both roles: each gets a peer that speaks bytes.
pub(crate) fn for_all_ends(terms: Terms, script: impl Fn(Box<dyn End>, RawPeer)) {
    for front_end in front_ends() {
        for role in [Role::Server, Role::Client] {
            let (ours, theirs) = streams();
            let mut peer = RawPeer { role: !role, peer: Peer::new(theirs) };
            let end = thread::scope(|scope| {
                let end = scope.spawn(|| front_end.open(role, ours, terms));
                peer.open();
                end.join().unwrap()
            });
            script(end, peer);
        }
    }
}

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    one.set_nodelay(true).unwrap();
    let other = listener.accept().unwrap().0;
    other.set_nodelay(true).unwrap();
    (one, other)
}

/// A peer that speaks bytes, in either role.
#[derive(Debug)]
pub(crate) struct RawPeer {
    pub(crate) role: Role,
    pub(crate) peer: Peer,
}

impl RawPeer {
    fn open(&mut self) {
        if self.role == Role::Client {
            self.peer.upgrade();
            return;
        }
        let head = self.peer.head();
        let key = head.header("Sec-WebSocket-Key").unwrap();
        let accept = sockeye::protocol::handshake::accept_value(key);
        let response =
            "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept";
        self.peer.send(format!("{response}: {accept}\r\n\r\n").as_bytes());
    }

    /// The bytes of a frame, as the role has it.
    pub(crate) fn encode(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        match self.role {
            Role::Client => bytes::masked(first, payload),
            Role::Server => bytes::frame(first, payload),
        }
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = self.encode(first, payload);
        self.peer.send(&bytes);
    }

    /// The next frame: its first byte, and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        match self.role {
            Role::Client => self.peer.frame(),
            Role::Server => {
                let (first, _, payload) = self.peer.masked_frame();
                (first, payload)
            }
        }
    }
}

#[test]
fn there_is_a_front_end_to_talk_to() {
    let names: Vec<_> = front_ends().iter().map(|front_end| front_end.name()).collect();
    assert_eq!(names.contains(&"reactor"), cfg!(feature = "reactor"));
    assert_eq!(names.contains(&"blocking"), cfg!(feature = "blocking"));
    assert_eq!(names.contains(&"futures"), cfg!(feature = "tokio"));
}
