//! `MemoryBroker`: a broker for nodes of one process.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::broker::{Broker, Inbox, NodeId, Queued};
use crate::error::{Error, Result};

/// The most publications of a node that wait.
const CAPACITY: usize = 65_536;

/// How often a node checks whether the receivers keep up.
const PAUSE: Duration = Duration::from_millis(1);

/// A [`Broker`] without a server, for tests and as an example of how to implement the trait.
///
/// Clones are connected to each other. Each of them belongs to one node of the same process.
///
/// See the example of [`Cluster`](super::Cluster).
#[derive(Default)]
pub struct MemoryBroker {
    server: Arc<Server>,
    thread: Option<Thread>,
}

/// What takes the place of the server.
#[derive(Default)]
struct Server(Mutex<HashMap<NodeId, Member>>);

/// A node, as the server knows it.
struct Member {
    inbox: Inbox,
    channels: HashSet<String>,
    /// How many of its publications have been passed on since it was connected.
    accepted: u64,
    /// How often it has been connected. Requests of earlier connections are dropped.
    connection: Arc<AtomicU64>,
}

/// The thread that does what a node requests.
struct Thread {
    requests: mpsc::Sender<(u64, Request)>,
    connection: Arc<AtomicU64>,
    /// The number of publications that wait.
    waiting: Arc<AtomicUsize>,
    handle: JoinHandle<()>,
}

enum Request {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    Publish(String, Vec<u8>),
    Reconnect,
    Stop,
}

impl MemoryBroker {
    /// Creates a broker without nodes.
    ///
    /// See the example of [`Cluster`](super::Cluster).
    pub fn new() -> Self {
        Self::default()
    }

    /// Disconnects all nodes, and connects them again, like the restart of a server. The subscribers of all topics get
    /// [`on_gap`](crate::Handler::on_gap).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::cluster::MemoryBroker;
    ///
    /// let broker = MemoryBroker::new();
    /// // Give clones to the nodes of the test, and run them.
    /// broker.interrupt();
    /// ```
    pub fn interrupt(&self) {
        self.server.lock().values_mut().for_each(Member::reconnect);
    }

    fn request(&self, request: Request) {
        if let Some(thread) = &self.thread {
            // The thread runs until `stop`.
            let _ = thread.requests.send((thread.connection.load(Relaxed), request));
        }
    }
}

impl Clone for MemoryBroker {
    fn clone(&self) -> Self {
        Self { server: Arc::clone(&self.server), thread: None }
    }
}

impl Broker for MemoryBroker {
    fn start(&mut self, node: NodeId, inbox: Inbox) -> Result<()> {
        let (requests, received) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let connection = Arc::new(AtomicU64::new(0));
        let member =
            Member { inbox, channels: HashSet::new(), accepted: 0, connection: Arc::clone(&connection) };
        self.server.lock().insert(node, member);
        let (server, count) = (Arc::clone(&self.server), Arc::clone(&waiting));
        let handle = thread::Builder::new()
            .name("sockeye-memory-broker".to_owned())
            .spawn(move || server.serve(node, &received, &count))
            .map_err(|err| Error::io("cannot start the thread of the broker", err))?;
        self.thread = Some(Thread { requests, connection, waiting, handle });
        Ok(())
    }

    fn subscribe(&mut self, channels: &[&str]) {
        self.request(Request::Subscribe(owned(channels)));
    }

    fn unsubscribe(&mut self, channels: &[&str]) {
        self.request(Request::Unsubscribe(owned(channels)));
    }

    fn publish(&mut self, channel: &str, payload: &[u8]) -> Queued {
        let Some(thread) = &self.thread else { return Queued::Full };
        if thread.waiting.load(Relaxed) >= CAPACITY {
            return Queued::Full;
        }
        thread.waiting.fetch_add(1, Relaxed);
        self.request(Request::Publish(channel.to_owned(), payload.to_vec()));
        Queued::Accepted
    }

    fn reconnect(&mut self) {
        self.request(Request::Reconnect);
    }

    fn stop(&mut self) {
        self.request(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // The thread does not panic.
            let _ = thread.handle.join();
        }
    }
}

impl Server {
    /// Does what a node requests, until it stops.
    fn serve(&self, node: NodeId, requests: &Receiver<(u64, Request)>, waiting: &AtomicUsize) {
        self.with(node, |member| member.inbox.up());
        while let Ok((connection, request)) = requests.recv() {
            match request {
                Request::Subscribe(channels) => {
                    self.with(node, |member| member.subscribe(channels, connection));
                }
                Request::Unsubscribe(channels) => self.with(node, |member| {
                    member.channels.retain(|channel| !channels.contains(channel));
                }),
                Request::Publish(channel, payload) => {
                    waiting.fetch_sub(1, Relaxed);
                    self.publish(node, connection, &channel, &payload);
                }
                Request::Reconnect => self.with(node, Member::reconnect),
                Request::Stop => break,
            }
        }
        self.lock().remove(&node);
    }

    fn with(&self, node: NodeId, call: impl FnOnce(&mut Member)) {
        if let Some(member) = self.lock().get_mut(&node) {
            call(member);
        }
    }

    /// Passes a publication on. All nodes receive those of all nodes in the same order, because the lock is held meanwhile.
    fn publish(&self, from: NodeId, connection: u64, channel: &str, payload: &[u8]) {
        while self.lock().values().any(|member| !member.inbox.has_room()) {
            thread::sleep(PAUSE);
        }
        let mut members = self.lock();
        if members.get(&from).is_none_or(|publisher| !publisher.is_current(connection)) {
            return;
        }
        for member in members.values().filter(|member| member.channels.contains(channel)) {
            member.inbox.deliver(channel, payload);
        }
        if let Some(publisher) = members.get_mut(&from) {
            publisher.accepted += 1;
            publisher.inbox.acknowledged(publisher.accepted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Whether a request belongs to the current connection.
    fn is_current(&self, connection: u64) -> bool {
        self.connection.load(Relaxed) == connection
    }

    fn subscribe(&mut self, channels: Vec<String>, connection: u64) {
        if !self.is_current(connection) {
            return;
        }
        self.inbox.subscribed(&channels.iter().map(String::as_str).collect::<Vec<&str>>());
        self.channels.extend(channels);
    }

    fn reconnect(&mut self) {
        self.channels.clear();
        self.accepted = 0;
        self.inbox.down("the connection was interrupted");
        // Until the next line, the node requests nothing.
        self.connection.fetch_add(1, Relaxed);
        self.inbox.up();
    }
}

fn owned(channels: &[&str]) -> Vec<String> {
    channels.iter().map(|channel| (*channel).to_owned()).collect()
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").finish_non_exhaustive()
    }
}
