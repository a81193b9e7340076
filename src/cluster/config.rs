//! `Cluster`: a broker and its options.

use std::fmt;
use std::time::Duration;

use super::broker::Broker;
use super::options::Options;

/// The order of the messages of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Order {
    /// Each subscriber receives the messages of one publisher in order. Those of different publishers have no order. The subscribers of the
    /// publisher's own node receive a message at once, without the broker.
    #[default]
    PerPublisher,
    /// All subscribers of all nodes receive all messages in the same order. Every message takes the way through the broker, also to subscribers
    /// of the publisher's own node. While the broker is not reachable, messages wait, and later ones get `Queue(Full)`.
    Total,
}

/// How a node takes part in a cluster: its broker and options, for [`WebSocket::with_broker`](crate::WebSocket::with_broker) and
/// [`Pool::with_broker`](crate::Pool::with_broker). A broker alone has the default options.
///
/// # Examples
///
/// Two nodes in one process, which is useful for tests.
///
/// ```
/// use sockeye::cluster::{Cluster, MemoryBroker, Order};
/// use sockeye::{Builder, Message, Sender, WebSocket};
///
/// let broker = MemoryBroker::new();
/// let echo = |out: Sender| move |msg: Message| out.publish("echo", msg);
/// let first = WebSocket::new(echo)?.with_broker(broker.clone());
/// let order = |topic: &str| if topic.starts_with("auction/") { Order::Total } else { Order::PerPublisher };
/// let second = WebSocket::new(echo)?.with_broker(Cluster::new(broker).order(order));
/// # drop((first, second));
/// # sockeye::Result::Ok(())
/// ```
pub struct Cluster {
    pub(super) broker: Box<dyn Broker>,
    pub(super) options: Options,
    pub(super) order: Box<dyn Fn(&str) -> Order + Send + Sync>,
}

impl Cluster {
    /// Uses a broker, with the default options.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(broker: impl Broker + 'static) -> Self {
        let order = Box::new(|_: &str| Order::default());
        Self { broker: Box::new(broker), options: Options::default(), order }
    }

    /// Sets the beginning of the names of all channels on the server. Nodes with different prefixes do not know of each other. Default:
    /// `sockeye`.
    ///
    /// See the example of [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// Sets the time between two heartbeats of the node, which must be the same for all nodes. Default: 2 s. The shortest is 100 ms.
    ///
    /// A broker that does not return the heartbeats of its own node for three intervals and a second reconnects. A node whose heartbeats are missing
    /// for four intervals and a second is lost: the subscribers of its topics get [`Missed::NodeLost`](super::Missed::NodeLost).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::cluster::{Cluster, MemoryBroker};
    ///
    /// let cluster = Cluster::new(MemoryBroker::new())
    ///     .prefix("chat")
    ///     .heartbeat(Duration::from_secs(5))
    ///     .unacknowledged(10_000, 64 * 1024 * 1024);
    /// # drop(cluster);
    /// ```
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = interval.max(Duration::from_millis(100));
        self
    }

    /// Sets how many publications, and how many bytes of them, wait for the acknowledgement of the server. They are published again after a lost
    /// connection. Those that exceed a limit are lost for other nodes, whose subscribers get [`Missed::Hole`](super::Missed::Hole). Default: 65,536
    /// publications and 16 MiB.
    ///
    /// See the example of [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn unacknowledged(mut self, publications: usize, bytes: usize) -> Self {
        self.options.max_unacknowledged = publications;
        self.options.max_unacknowledged_bytes = bytes;
        self
    }

    /// Sets the order of the messages of each topic. The function must be the same on all nodes. Default: [`Order::PerPublisher`].
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn order(mut self, order: impl Fn(&str) -> Order + Send + Sync + 'static) -> Self {
        self.order = Box::new(order);
        self
    }
}

impl<B: Broker + 'static> From<B> for Cluster {
    fn from(broker: B) -> Self {
        Self::new(broker)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("options", &self.options).finish_non_exhaustive()
    }
}
