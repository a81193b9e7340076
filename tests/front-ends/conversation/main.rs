//! The same conversations through every front end, in both roles: with each other, also over TLS with each engine, and with a
//! peer that sends and receives bytes.
//!
//! A front end takes part by an implementation of [`FrontEnd`] and a place in [`front_ends`].
#![cfg(any(feature = "reactor", feature = "blocking", feature = "tokio"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "blocking")]
mod blocking;
mod closings;
#[cfg(feature = "tokio")]
mod futures;
mod keys;
mod messages;
#[cfg(feature = "reactor")]
mod reactor;

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use sockeye::protocol::Role;
use sockeye::{CloseCode, Message};

use self::keys::Keys;
use sockeye_test_support::peer::Peer;
use sockeye_test_support::{LIMIT, streams};

/// A way to use a connection.
pub(crate) trait FrontEnd: Sync {
    fn name(&self) -> &'static str;

    /// Performs the opening handshake on a stream that is connected, over TLS if there are keys.
    fn open(&self, role: Role, stream: TcpStream, terms: Terms, keys: Option<&Keys>) -> Box<dyn End>;
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

/// What an end has received.
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

/// Runs a script with all pairs of front ends, with and without TLS.
pub(crate) fn for_all_pairs(terms: Terms, script: impl Fn(&mut dyn End, &mut dyn End)) {
    let all_keys = keys::all();
    for keys in all_keys.iter().map(Option::as_ref) {
        for (client, server) in
            front_ends().into_iter().flat_map(|one| front_ends().into_iter().map(move |other| (one, other)))
        {
            let (ours, theirs) = streams();
            let (mut one, mut other) = thread::scope(|scope| {
                let other = scope.spawn(|| server.open(Role::Server, theirs, terms, keys));
                (client.open(Role::Client, ours, terms, keys), other.join().unwrap())
            });
            script(one.as_mut(), other.as_mut());
        }
    }
}

/// Runs a script with all front ends in both roles. Each has a peer that sends and receives bytes.
pub(crate) fn for_all_ends(terms: Terms, script: impl Fn(Box<dyn End>, Peer)) {
    for front_end in front_ends() {
        for role in [Role::Server, Role::Client] {
            let (ours, theirs) = streams();
            let mut peer = Peer::with_role(theirs, !role);
            let end = thread::scope(|scope| {
                let end = scope.spawn(|| front_end.open(role, ours, terms, None));
                peer.upgrade();
                end.join().unwrap()
            });
            script(end, peer);
        }
    }
}

#[test]
fn every_enabled_front_end_is_tested() {
    let names: Vec<_> = front_ends().iter().map(|front_end| front_end.name()).collect();
    assert_eq!(names.contains(&"reactor"), cfg!(feature = "reactor"));
    assert_eq!(names.contains(&"blocking"), cfg!(feature = "blocking"));
    assert_eq!(names.contains(&"futures"), cfg!(feature = "tokio"));
}
