//! The servers that take part, and the tasks that each of them supports.

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The system calls without WebSocket.
    Floor,
    /// Sockeye.
    Ours,
    /// Another library.
    Peer,
}

/// The task of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Echo each message.
    Echo,
    /// Send each message to all connections.
    Broadcast,
    /// Publish each message to a topic to which all connections subscribe.
    Publish,
    /// Subscribe each connection to many topics.
    Subscriptions,
    /// Echo each message with permessage-deflate.
    Deflate,
    /// Echo each message over TLS.
    Tls,
    /// Echo each message, and set a timeout again for every frame.
    Expiry,
    /// Echo each binary message, and be busy for a millisecond with each text message.
    Neighbors,
}

impl Task {
    /// Returns the feature of the server's package that the task needs, if any.
    #[must_use]
    pub fn feature(self) -> Option<&'static str> {
        match self {
            Self::Deflate => Some("deflate"),
            Self::Tls => Some("tls"),
            Self::Echo
            | Self::Broadcast
            | Self::Publish
            | Self::Subscriptions
            | Self::Expiry
            | Self::Neighbors => None,
        }
    }
}

/// A server, and how it is built and started.
#[derive(Debug)]
pub struct Server {
    /// The name in the tables.
    pub name: &'static str,
    /// The package in `peers/`, or `node`.
    pub package: &'static str,
    /// The kind of the server.
    pub kind: Kind,
    /// The crate whose version is printed.
    pub library: &'static str,
    /// The tasks that the server supports, each with the argument that selects it.
    pub tasks: &'static [(Task, &'static str)],
    /// The features of its package.
    pub features: &'static [&'static str],
}

impl Server {
    /// Returns the argument that selects a task, if the server supports the task.
    #[must_use]
    pub fn argument(&self, task: Task) -> Option<&'static str> {
        self.tasks.iter().find(|(can, _)| *can == task).map(|(_, argument)| *argument)
    }
}

const ECHO: (Task, &str) = (Task::Echo, "echo");
const FORWARD: (Task, &str) = (Task::Echo, "batched");
const BROADCAST: (Task, &str) = (Task::Broadcast, "broadcast");
const PUBLISH: (Task, &str) = (Task::Publish, "publish");
const SUBSCRIPTIONS: (Task, &str) = (Task::Subscriptions, "subscriptions");
const DEFLATE: (Task, &str) = (Task::Deflate, "deflate");
const TLS: (Task, &str) = (Task::Tls, "tls");
const NEIGHBORS: (Task, &str) = (Task::Neighbors, "neighbors");

/// All servers, in the order of the tables.
pub const SERVERS: &[Server] = &[
    server(
        "floor",
        "floor",
        Kind::Floor,
        "mio",
        &[ECHO, BROADCAST, (Task::Publish, "broadcast"), TLS],
        &["tls"],
    ),
    server(
        "Sockeye",
        "sockeye",
        Kind::Ours,
        "sockeye",
        &[ECHO, BROADCAST, PUBLISH, SUBSCRIPTIONS, DEFLATE, TLS, NEIGHBORS, (Task::Expiry, "echo")],
        &["deflate", "tls"],
    ),
    server(
        "Sockeye, struct",
        "sockeye",
        Kind::Ours,
        "sockeye",
        &[(Task::Echo, "handler"), (Task::Expiry, "handler")],
        &[],
    ),
    server("Sockeye, broadcast", "sockeye", Kind::Ours, "sockeye", &[(Task::Publish, "broadcast")], &[]),
    server("Sockeye, rustls", "sockeye", Kind::Ours, "sockeye", &[(Task::Tls, "tls-rustls")], &["tls"]),
    server("Sockeye, expiry", "sockeye", Kind::Ours, "sockeye", &[(Task::Expiry, "expiry")], &[]),
    server("Sockeye, postpone", "sockeye", Kind::Ours, "sockeye", &[(Task::Expiry, "postpone")], &[]),
    server("Sockeye, idle_timeout", "sockeye", Kind::Ours, "sockeye", &[(Task::Expiry, "idle-timeout")], &[]),
    server(
        "uWebSockets",
        "uwebsockets",
        Kind::Peer,
        "libuwebsockets-sys",
        &[ECHO, BROADCAST, PUBLISH, SUBSCRIPTIONS, DEFLATE, TLS, NEIGHBORS],
        &["tls"],
    ),
    server("ws", "ws", Kind::Peer, "ws", &[ECHO, BROADCAST, DEFLATE, TLS, NEIGHBORS], &["deflate", "tls"]),
    server("tungstenite", "tungstenite", Kind::Peer, "tungstenite", &[ECHO], &[]),
    server(
        "tokio-tungstenite",
        "tokio-tungstenite",
        Kind::Peer,
        "tokio-tungstenite",
        &[ECHO, BROADCAST],
        &[],
    ),
    server("fastwebsockets", "fastwebsockets", Kind::Peer, "fastwebsockets", &[ECHO, BROADCAST], &[]),
    server("tokio-websockets", "tokio-websockets", Kind::Peer, "tokio-websockets", &[ECHO, BROADCAST], &[]),
    server("tokio-websockets, forward", "tokio-websockets", Kind::Peer, "tokio-websockets", &[FORWARD], &[]),
    server("soketto", "soketto", Kind::Peer, "soketto", &[ECHO, BROADCAST, DEFLATE], &[]),
    server("yawc", "yawc", Kind::Peer, "yawc", &[ECHO, BROADCAST, DEFLATE], &[]),
    server("yawc, forward", "yawc", Kind::Peer, "yawc", &[FORWARD], &[]),
    server("sockudo-ws", "sockudo-ws", Kind::Peer, "sockudo-ws", &[ECHO, BROADCAST, DEFLATE], &[]),
    server("sockudo-ws, forward", "sockudo-ws", Kind::Peer, "sockudo-ws", &[FORWARD], &[]),
    server("Node ws", "node", Kind::Peer, "Node ws", &[ECHO, BROADCAST, DEFLATE], &[]),
];

const fn server(
    name: &'static str,
    package: &'static str,
    kind: Kind,
    library: &'static str,
    tasks: &'static [(Task, &'static str)],
    features: &'static [&'static str],
) -> Server {
    Server { name, package, kind, library, tasks, features }
}
