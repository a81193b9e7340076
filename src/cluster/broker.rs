//! The interface to the server that passes publications between nodes.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// A connection to a server, or another medium, that passes publications between the nodes of a cluster.
///
/// The server has *channels*, which have names. What a node publishes to a channel is passed to all nodes that subscribe to it, the
/// publishing one included.
///
/// The library calls the methods one at a time, from any thread, and while it holds a lock. A method must therefore return quickly, and must
/// not call the [`Inbox`]: it queues what it is asked to do for a thread of the broker.
///
/// Publications can be lost while the server is unreachable, or when it closes a connection that is too slow. The library detects this
/// itself, provided that the broker keeps these rules:
///
/// - It reports with [`Inbox::up`] that it is connected, and with [`Inbox::down`] that it is not any more. The first state is
///   "not connected".
/// - After `down`, it forgets what was queued, the subscriptions included. After each `up`, the library subscribes to all channels and publishes
///   again what was not acknowledged.
/// - It reports each subscription that has become effective with [`Inbox::subscribed`].
/// - It reports with [`Inbox::acknowledged`] how many publications since the last `up` the server has answered, in the order in which they
///   were published. Those that the server has refused are counted as well, and reported with [`Inbox::rejected`] before.
/// - The publications of a node arrive in order, those to different channels included. If some are lost while the state is "connected", the
///   library notices it with the next one.
pub trait Broker: Send {
    /// Begins to connect to the server, and to reconnect whenever the connection is lost, until [`stop`](Self::stop). Called once.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, so that connecting cannot succeed. The event loop then returns this error.
    fn start(&mut self, node: NodeId, inbox: Inbox) -> Result<()>;

    /// Subscribes to channels. Subscribing twice has no further effect.
    fn subscribe(&mut self, channels: &[&str]);

    /// Ends subscriptions.
    fn unsubscribe(&mut self, channels: &[&str]);

    /// Publishes to a channel, if there is room in the queue of the broker.
    fn publish(&mut self, channel: &str, payload: &[u8]) -> Queued;

    /// Closes the connection to the server, and opens a new one, because nothing arrives any more. `down` and `up` report both.
    fn reconnect(&mut self);

    /// Sends what is queued, for a second at most, and closes the connection. Nothing is called afterwards.
    fn stop(&mut self);
}

/// Whether a [`Broker`] has accepted a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Queued {
    /// It is sent to the server.
    Accepted,
    /// The queue is full, and the publication is dropped. The subscribers on other nodes learn that they have missed something.
    Full,
}

/// Identifies a node, from its start to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId([u8; 8]);

impl NodeId {
    /// Returns a random id. The library does this itself; tests of a broker need it as well.
    pub fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for NodeId {
    /// Writes sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// What a [`Broker`] reports to its node. It can be cloned and used from any thread.
#[derive(Clone)]
pub struct Inbox(Arc<dyn BrokerEvents>);

/// What a node does with the reports of its broker. The library implements it; tests of a broker can implement it, too.
///
/// The methods are those of [`Inbox`].
#[expect(missing_docs, reason = "the methods of `Inbox` are documented")]
pub trait BrokerEvents: Send + Sync {
    fn up(&self);
    fn down(&self, reason: &str);
    fn subscribed(&self, channels: &[&str]);
    fn acknowledged(&self, count: u64);
    fn rejected(&self, number: u64);
    fn deliver(&self, channel: &str, payload: &[u8]);
    fn has_room(&self) -> bool;
    fn deliver_all(&self, publications: &[(&str, &[u8])]) {
        publications.iter().for_each(|(channel, payload)| self.deliver(channel, payload));
    }
}

impl Inbox {
    /// Creates the inbox of a test of a broker.
    pub fn new(events: Arc<dyn BrokerEvents>) -> Self {
        Self(events)
    }

    /// The broker is connected to the server, and accepts subscriptions and publications.
    pub fn up(&self) {
        self.0.up();
    }

    /// The broker is not connected any more. The reason appears in the log and in the health of the node. It must not contain passwords.
    pub fn down(&self, reason: &str) {
        self.0.down(reason);
    }

    /// Subscriptions have become effective: what is published to these channels from now on is delivered.
    pub fn subscribed(&self, channels: &[&str]) {
        self.0.subscribed(channels);
    }

    /// The server has answered this many publications since the last call of [`up`](Self::up). It has accepted them, except for those
    /// that were [`rejected`](Self::rejected).
    pub fn acknowledged(&self, count: u64) {
        self.0.acknowledged(count);
    }

    /// The server has refused a publication, for example because the user may not publish to the channel. It reaches no node. The first one
    /// since the last call of [`up`](Self::up) has the number 1. [`acknowledged`](Self::acknowledged) counts it afterwards.
    pub fn rejected(&self, number: u64) {
        self.0.rejected(number);
    }

    /// A publication has arrived. Publications of unknown form are counted and dropped.
    pub fn deliver(&self, channel: &str, payload: &[u8]) {
        self.0.deliver(channel, payload);
    }

    /// Publications have arrived together, each with its channel, in this order. This costs less than calling [`deliver`](Self::deliver) for
    /// each of them, because the event loops are not woken before all of them are known.
    pub fn deliver_all(&self, publications: &[(&str, &[u8])]) {
        self.0.deliver_all(publications);
    }

    /// Whether the event loops keep up with what is delivered. While they do not, the broker should not read from the server: check again after
    /// some milliseconds. What is delivered nevertheless is queued without limit.
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
