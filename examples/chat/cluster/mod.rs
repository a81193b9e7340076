//! The rooms of a cluster: users, rooms and histories are in Redis, and each room is a topic of all nodes.
//!
//! ```text
//!   handlers --> Command --> thread "chat-redis" --> Redis           one script for each request
//!                                  |
//!                                  '--> Sender::publish, send        the result, to the users of all nodes or to one
//! ```
//!
//! Handlers never wait for Redis. The thread executes the requests of its node one after the other.
//!
//! # Messages
//!
//! Redis numbers and stores a message before it is published. Each one contains the number of its predecessor in the room, so that a page
//! notices a hole, and joins the room again to get the history. A page sends a message again when it does not know whether it was stored,
//! and Redis recognizes its reference. So messages are neither lost nor doubled when a node fails.
//!
//! # Users
//!
//! Redis keeps a list of the users who joined and left. Each node reads it every second, and after each request that extends it, and
//! publishes the changes to its own users. So no node that fails or stops can keep a change to itself.
//!
//! A node has a lease in Redis, and renews it every second. When the lease of a failed node ends, another node removes its users. A node
//! that finds its own lease ended, or has connected again, begins another one and enters its users again ([`Node`]). A user whose name
//! has been given to someone else in the meantime is rejected then, like a new user. Redis contains the session keys of the users, so only
//! the nodes should have access to it.
//!
//! # Without Redis
//!
//! Users who are in a room stay in it, and their messages reach those on the same node without a number. The thread stores them when Redis is
//! back, and publishes them with their numbers. Users cannot enter the chat or join other rooms, because names and histories are unknown.
//!
//! | file           | contents                                                  |
//! |----------------|-----------------------------------------------------------|
//! | `node.rs`      | the thread: the users of this node, and their requests    |
//! | `publisher.rs` | what the node publishes                                   |
//! | `unsent.rs`    | messages that wait for Redis                              |
//! | `link.rs`      | whether Redis is reachable, and connecting again          |
//! | `database.rs`  | the operations on Redis                                   |
//! | `script.lua`   | the operations in Redis                                   |

mod database;
mod link;
mod node;
#[cfg(test)]
mod node_tests;
mod publisher;
#[cfg(test)]
mod redis_server;
#[cfg(test)]
mod tests;
mod unsent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::{Factory, Pool, Sender, Worker};

use self::link::Link;
use self::node::Node;
use self::publisher::Publisher;
use crate::protocol::{Rejection, Request};
use crate::store::{Session, Store};
use crate::support::{self, Failure};

/// Subscribers get `Missed::NodeLost` five seconds after a node has failed, when its users disappear.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Identifies a connection among those of all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ConnectionId(String);

/// A connection, as the thread knows it.
#[derive(Clone)]
struct Client {
    id: ConnectionId,
    out: Sender,
    /// Whether it has a user.
    has_entered: Arc<AtomicBool>,
}

/// What the thread receives.
enum Command {
    Execute(Client, Request),
    /// The connection may have missed messages of a topic.
    Resend(Client, String),
    Closed(ConnectionId),
    /// Redis is reachable again.
    Connected(Box<database::Database>),
    /// Redis is still not reachable.
    NotConnected(database::Failure),
    Stop,
}

/// Connects to Redis.
pub(crate) fn connect(url: &str) -> support::Result<Cluster> {
    let unreachable = |reason| Failure::new(format!("cannot use Redis for the rooms: {reason}"));
    if url.starts_with("rediss:") {
        return Err(unreachable("this connection of the chat has no TLS".to_owned()));
    }
    let client = redis::Client::open(url).map_err(|error| unreachable(error.to_string()))?;
    let (commands, received) = mpsc::channel();
    let link = Link::new(client, commands).map_err(|failure| unreachable(failure.to_string()))?;
    Ok(Cluster { url: url.to_owned(), link, commands: received })
}

/// A cluster to which this process is connected, as long as its node has not started.
pub(crate) struct Cluster {
    url: String,
    link: Link,
    commands: mpsc::Receiver<Command>,
}

impl Cluster {
    /// Returns the rooms for the handlers.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::new(RedisStore { commands: self.link.commands() })
    }

    /// Lets the topics of the server reach the other nodes.
    pub(crate) fn join<M, F>(&self, server: Pool<M>) -> sockeye::Result<Pool<M>>
    where
        M: Fn(Worker) -> F + Send + Sync,
        F: Factory,
    {
        let broker = sockeye::cluster::Redis::new(&self.url)?;
        Ok(server.with_broker(sockeye::cluster::Cluster::new(broker).prefix("chat").heartbeat(HEARTBEAT)))
    }

    /// Starts the node. It publishes with the sender of all connections.
    pub(crate) fn start(self, all: Sender) -> std::io::Result<RunningNode> {
        let commands = self.link.commands();
        let node = Node::new(self.link, self.commands, Publisher::new(all));
        let thread = thread::Builder::new().name("chat-redis".to_owned()).spawn(move || node.run())?;
        Ok(RunningNode { commands, thread: Some(thread) })
    }
}

/// A node that has started. Its thread ends with this value.
pub(crate) struct RunningNode {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RunningNode {
    /// Waits until the thread has executed what the handlers have requested: their users leave.
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread of the rooms has panicked");
        }
    }
}

/// The requests of handlers for the thread. The rate limit of each connection also limits this queue.
pub(crate) struct RedisStore {
    commands: mpsc::Sender<Command>,
}

impl Store for RedisStore {
    fn open_session(&self, out: Sender) -> Box<dyn Session> {
        let id = ConnectionId(database::random());
        let client = Client { id, out, has_entered: Arc::default() };
        Box::new(RedisSession { client, commands: self.commands.clone() })
    }
}

struct RedisSession {
    client: Client,
    commands: mpsc::Sender<Command>,
}

impl Session for RedisSession {
    fn execute(&mut self, request: Request) -> Result<(), Rejection> {
        let command = Command::Execute(self.client.clone(), request);
        self.commands.send(command).map_err(|_| Rejection::UNREACHABLE)
    }

    fn has_entered(&self) -> bool {
        self.client.has_entered.load(Ordering::Relaxed)
    }

    fn resend(&mut self, topic: &str) {
        // Fails only if the thread has ended.
        let _ = self.commands.send(Command::Resend(self.client.clone(), topic.to_owned()));
    }
}

impl Drop for RedisSession {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Closed(self.client.id.clone()));
    }
}
