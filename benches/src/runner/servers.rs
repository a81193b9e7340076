//! The servers that take part, and the tasks that each of them supports.

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The system calls without WebSocket.
    Floor,
    /// Sockeye, with one of the kinds of handlers that a program can have. The goals are evaluated for each of them.
    Handler,
    /// Sockeye, with another socket, another engine of TLS, or other settings.
    Variant,
    /// Another library.
    Peer,
}

/// The task of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Echo each message.
    Echo,
    /// Echo each text message. The servers are those of `Echo`, and some that only differ in how they check UTF-8.
    Text,
    /// Echo messages that are sent at a fixed rate.
    Latency,
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
            | Self::Text
            | Self::Latency
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
    /// The name in the stored results.
    pub name: &'static str,
    /// The name in the tables.
    label: &'static str,
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

/// The feature with which a package builds its library with all options that make it faster.
const OPTIONS: &str = "options";

impl Server {
    /// Returns the argument that selects a task, if the server supports the task.
    #[must_use]
    pub fn argument(&self, task: Task) -> Option<&'static str> {
        let find = |task| self.tasks.iter().find(|(can, _)| *can == task).map(|(_, argument)| *argument);
        find(task).or_else(|| if task == Task::Text { find(Task::Echo) } else { None })
    }

    /// Returns the feature of its package that a task needs, if any.
    #[must_use]
    pub fn feature(&self, task: Task) -> Option<&'static str> {
        let needed = |feature: &&str| *feature == OPTIONS || Some(*feature) == task.feature();
        self.features.iter().copied().find(needed)
    }

    /// Returns the name in the tables of a task. With topics, there is only one kind of handler.
    #[must_use]
    pub fn label(&self, task: Task) -> &'static str {
        if matches!(task, Task::Publish | Task::Subscriptions) && self.kind == Kind::Handler {
            return self.name;
        }
        self.label
    }

    const fn labelled(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }
}

/// Returns the servers of Sockeye with each kind of handler. The first one is the closure.
pub fn handlers() -> impl Iterator<Item = &'static Server> {
    SERVERS.iter().filter(|server| server.kind == Kind::Handler)
}

/// Returns the server with this name in the stored results.
#[must_use]
pub fn find(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

/// The name of the floor.
pub const FLOOR: &str = "floor";
/// The name of uWebSockets.
pub const UWEBSOCKETS: &str = "uWebSockets";
/// The name of the predecessor.
pub const WS: &str = "ws";

const ECHO: (Task, &str) = (Task::Echo, "echo");
const LATENCY: (Task, &str) = (Task::Latency, "echo");
const FORWARD: (Task, &str) = (Task::Echo, "batched");
const BROADCAST: (Task, &str) = (Task::Broadcast, "broadcast");
const PUBLISH: (Task, &str) = (Task::Publish, "publish");
const SUBSCRIPTIONS: (Task, &str) = (Task::Subscriptions, "subscriptions");
const DEFLATE: (Task, &str) = (Task::Deflate, "deflate");
const TLS: (Task, &str) = (Task::Tls, "tls");
const NEIGHBORS: (Task, &str) = (Task::Neighbors, "neighbors");

/// All servers, in the order of the tables. A new kind of handler is a line with `Kind::Handler`, and a line in `peers/sockeye/main.rs`.
#[rustfmt::skip]
pub const SERVERS: &[Server] = &[
    server(FLOOR, "floor", Kind::Floor, "mio", &[ECHO, LATENCY, BROADCAST, (Task::Publish, "broadcast"), TLS], &["tls"]),
    server("Sockeye", "sockeye", Kind::Handler, "sockeye", &[ECHO, LATENCY, BROADCAST, PUBLISH, SUBSCRIPTIONS, DEFLATE, TLS, NEIGHBORS, (Task::Expiry, "echo")], &["deflate", "tls"]).labelled("Sockeye, closure"),
    server("Sockeye, struct", "sockeye", Kind::Handler, "sockeye", &[(Task::Echo, "struct:echo"), (Task::Latency, "struct:echo"), (Task::Broadcast, "struct:broadcast"), (Task::Deflate, "struct:deflate"), (Task::Tls, "struct:tls"), (Task::Expiry, "struct:echo")], &["deflate", "tls"]),
    server("Sockeye, broadcast", "sockeye", Kind::Variant, "sockeye", &[(Task::Publish, "broadcast")], &[]),
    server("Sockeye, rustls", "sockeye", Kind::Variant, "sockeye", &[(Task::Tls, "tls-rustls")], &["tls"]),
    server("Sockeye, expiry", "sockeye", Kind::Variant, "sockeye", &[(Task::Expiry, "expiry")], &[]),
    server("Sockeye, postpone", "sockeye", Kind::Variant, "sockeye", &[(Task::Expiry, "postpone")], &[]),
    server("Sockeye, idle_timeout", "sockeye", Kind::Variant, "sockeye", &[(Task::Expiry, "idle-timeout")], &[]),
    server("Sockeye, async", "sockeye-sockets", Kind::Variant, "sockeye", &[(Task::Echo, "async"), (Task::Latency, "async")], &[]),
    server("Sockeye, blocking", "sockeye-sockets", Kind::Variant, "sockeye", &[(Task::Echo, "blocking"), (Task::Latency, "blocking")], &[]),
    server(UWEBSOCKETS, "uwebsockets", Kind::Peer, "libuwebsockets-sys", &[ECHO, LATENCY, BROADCAST, (Task::Publish, "broadcast"), SUBSCRIPTIONS, DEFLATE, TLS, NEIGHBORS], &["tls"]).labelled("uWebSockets (2024-02)"),
    server("uWebSockets, options", "uwebsockets", Kind::Peer, "libuwebsockets-sys", &[(Task::Text, "echo"), DEFLATE], &[OPTIONS]).labelled("uWebSockets (2024-02), simdutf and libdeflate"),
    server(WS, "ws", Kind::Peer, "ws", &[ECHO, LATENCY, BROADCAST, DEFLATE, TLS, NEIGHBORS], &["deflate", "tls"]),
    server("tungstenite", "tungstenite", Kind::Peer, "tungstenite", &[ECHO, LATENCY], &[]),
    server("tokio-tungstenite", "tokio-tungstenite", Kind::Peer, "tokio-tungstenite", &[ECHO, LATENCY, BROADCAST], &[]),
    server("fastwebsockets", "fastwebsockets", Kind::Peer, "fastwebsockets", &[ECHO, LATENCY, BROADCAST], &[]),
    server("tokio-websockets", "tokio-websockets", Kind::Peer, "tokio-websockets", &[ECHO, LATENCY, BROADCAST], &[]),
    server("tokio-websockets, forward", "tokio-websockets", Kind::Peer, "tokio-websockets", &[FORWARD], &[]),
    server("soketto", "soketto", Kind::Peer, "soketto", &[ECHO, LATENCY, BROADCAST, DEFLATE], &[]),
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
    Server { name, label: name, package, kind, library, tasks, features }
}
