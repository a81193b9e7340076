//! Tests of the whole server, with clients that the library runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye::{CloseCode, Drain, Handler, Handshake, Message, Sender, Workers};

use super::*;

/// The limit of each wait, for a test that would otherwise never end.
const LIMIT: Duration = Duration::from_secs(120);

/// A server on a thread.
pub(crate) struct Server {
    pub(crate) rooms: Arc<Mutex<Rooms>>,
    address: SocketAddr,
    all: Sender,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_workers(1)
    }

    pub(crate) fn with_workers(workers: usize) -> Self {
        Self::run(workers, None, Site::default())
    }

    /// Starts a node of a cluster.
    #[cfg(feature = "redis")]
    pub(crate) fn in_cluster(redis: &str, nodes: &str) -> Self {
        Self::run(2, Some(cluster::connect(redis).unwrap()), Site::of_cluster(nodes).unwrap())
    }

    fn run(workers: usize, cluster: Option<Cluster>, site: Site) -> Self {
        let rooms = Arc::new(Mutex::new(Rooms::new()));
        let local = || Arc::new(LocalStore(Arc::clone(&rooms))) as Arc<dyn Store>;
        let store = cluster.as_ref().map_or_else(local, Cluster::store);
        let (started, start) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut server = pool(Workers::Exactly(workers), store, site).unwrap();
            if let Some(cluster) = &cluster {
                server = cluster.join(server).unwrap();
            }
            let server = server.bind("127.0.0.1:0").unwrap();
            let _node = cluster.map(|cluster| cluster.start(server.broadcaster()).unwrap());
            started.send((server.local_addr().unwrap(), server.broadcaster())).unwrap();
            server.run().unwrap();
        });
        let (address, all) = start.recv().unwrap();
        Self { rooms, address, all, thread: Some(thread) }
    }

    /// Returns how many open connections each worker has.
    pub(crate) fn connections(&self) -> Vec<u64> {
        self.all.worker_stats().iter().map(|worker| worker.connections_open).collect()
    }

    /// Sends a request, and returns the whole response.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Sends the request of a handshake, and returns the status of the response.
    #[cfg(feature = "redis")]
    pub(crate) fn status_of_upgrade(&self, headers: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET /ws HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        str::from_utf8(&line[9..]).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Drops all connections at once. Fails if the loop has ended already.
        let _ = self.all.drain(Drain::new().over(Duration::ZERO).deadline(Duration::ZERO));
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || thread::panicking(), "the server panicked");
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Message(Value),
    Closed(CloseCode),
}

struct Recorder {
    out: Sender,
    opened: mpsc::Sender<Sender>,
    events: mpsc::Sender<Event>,
}

impl Handler for Recorder {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        self.opened.send(self.out.clone()).unwrap();
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        let event = serde_json::from_str(message.as_text()?).unwrap();
        // Fails if the test has dropped the client.
        let _ = self.events.send(Event::Message(event));
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        let _ = self.events.send(Event::Closed(code));
    }
}

/// The connection of a page, on a thread.
pub(crate) struct Client {
    pub(crate) out: Sender,
    events: Receiver<Event>,
}

impl Client {
    pub(crate) fn connect(server: &Server) -> Self {
        let url = format!("ws://{}/ws", server.address);
        let (opened, open) = mpsc::channel();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            sockeye::connect(url, |out| Recorder { out, opened: opened.clone(), events: sender.clone() })
                .unwrap();
        });
        Self { out: open.recv_timeout(LIMIT).unwrap(), events }
    }

    /// Connects as a user. The key is derived from the name.
    pub(crate) fn enter(server: &Server, name: &str) -> Self {
        let client = Self::connect(server);
        let key = format!("{:0>32}", name.replace(' ', ""));
        client.request(&json!({ "type": "enter", "name": name, "key": key }));
        assert_eq!(client.next_event()["type"], "welcome");
        client
    }

    pub(crate) fn request(&self, request: &Value) {
        self.out.send(request.to_string()).unwrap();
    }

    /// Joins a room, and returns the event `joined`.
    pub(crate) fn join(&self, room: &str) -> Value {
        self.request_join(room);
        self.wait_for(|event| event["type"] == "joined" && event["room"] == room)
    }

    pub(crate) fn request_join(&self, room: &str) {
        self.request(&json!({ "type": "join", "room": room }));
    }

    pub(crate) fn leave(&self, room: &str) {
        self.request(&json!({ "type": "leave", "room": room }));
    }

    pub(crate) fn send(&self, room: &str, text: &str, reference: &str) {
        self.request(&json!({ "type": "send", "room": room, "text": text, "ref": reference }));
    }

    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(LIMIT).expect("the client waits for an event")
    }

    fn next_event(&self) -> Value {
        match self.next() {
            Event::Message(event) => event,
            closed @ Event::Closed(_) => panic!("{closed:?}"),
        }
    }

    /// Skips events until one of them is accepted, which is returned.
    pub(crate) fn wait_for(&self, accept: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next_event();
            if accept(&event) {
                return event;
            }
        }
    }

    pub(crate) fn wait_for_text(&self, text: &str) {
        self.wait_for(|event| event["text"] == text);
    }

    /// Returns all events that the server has sent before it executes a request of this client. Each is described by the values
    /// of its main fields.
    pub(crate) fn take(&self) -> Vec<String> {
        self.request(&json!({ "type": "ping" }));
        let mut events = Vec::new();
        loop {
            let event = self.next_event();
            if event["type"] == "pong" {
                return events;
            }
            let fields = ["type", "room", "user", "from", "text", "ref", "users", "reason"];
            let values = fields.iter().filter_map(|field| match &event[*field] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            events.push(values.collect::<Vec<_>>().join(" "));
        }
    }
}

/// Returns a server with Ada and Bo in the lobby.
fn two_users() -> (Server, Client, Client) {
    two_users_on(1)
}

/// The same with some workers.
fn two_users_on(workers: usize) -> (Server, Client, Client) {
    let server = Server::with_workers(workers);
    let [ada, bo] = ["Ada", "Bo"].map(|name| {
        let client = Client::enter(&server, name);
        client.join("lobby");
        client.take();
        client
    });
    ada.wait_for(|event| event["type"] == "room" && event["users"] == 2);
    ada.take();
    (server, ada, bo)
}

#[test]
fn new_users_receive_the_rooms_and_are_announced() {
    let server = Server::start();
    let ada = Client::connect(&server);
    ada.request(&json!({ "type": "enter", "name": "Ada", "key": "0123456789abcdef" }));
    assert_eq!(ada.next_event()["rooms"][2], json!({ "room": "workshop", "users": 0 }));
    assert_eq!(ada.join("lobby")["users"], json!(["Ada"]));
    assert_eq!(ada.take(), ["room lobby 1"]);

    let bo = Client::enter(&server, "Bo");
    assert_eq!(bo.join("lobby")["users"], json!(["Ada", "Bo"]));
    assert_eq!(bo.take(), ["room lobby 2"]);
    assert_eq!(ada.take(), ["user-joined lobby Bo", "room lobby 2"]);
}

#[test]
fn messages_reach_only_their_room() {
    let (server, ada, bo) = two_users();
    let cy = Client::enter(&server, "Cy");
    cy.join("campfire");
    for client in [&cy, &ada, &bo] {
        client.take();
    }
    ada.send("lobby", "Hi", "r1");
    // The receipt is the publication, so it arrives after the others have been served.
    assert_eq!(ada.take(), ["message lobby Ada Hi r1"]);
    assert_eq!(bo.take(), ["message lobby Ada Hi r1"]);
    assert!(cy.take().is_empty());
    for room in ["campfire", "nowhere"] {
        ada.send(room, "Hi", "r2");
        assert_eq!(ada.take(), ["rejected r2 You are not in this room."], "{room}");
    }
    // Rooms and all users are topics, but no room has the name of the topic of all users.
    cy.join("users");
    cy.take();
    cy.send("users", "to a room", "r3");
    cy.wait_for_text("to a room");
    assert_eq!(ada.take(), ["room users 1"]);
}

#[test]
fn a_user_who_has_left_a_room_receives_nothing_more_from_it() {
    let (server, ada, bo) = two_users();
    bo.leave("lobby");
    assert_eq!(bo.take(), ["left lobby", "room lobby 1"]);
    assert_eq!(ada.take(), ["user-left lobby Bo", "room lobby 1"]);
    ada.send("lobby", "Are you there?", "r1");
    ada.wait_for_text("Are you there?");
    bo.leave("lobby");
    assert_eq!(bo.take(), ["rejected  You are not in this room."]);

    // A user whose connection ends leaves all rooms.
    bo.join("lobby");
    bo.join("river");
    ada.take();
    bo.out.close(CloseCode::Normal).unwrap();
    ada.wait_for(|event| event["room"] == "river" && event["users"].is_null());
    assert_eq!(Client::enter(&server, "Bo").join("lobby")["users"], json!(["Ada", "Bo"]));
}

#[test]
fn a_user_without_a_name_receives_nothing() {
    let (server, ada, _bo) = two_users();
    let stranger = Client::connect(&server);
    stranger.request(&json!({ "type": "join", "room": "lobby" }));
    ada.send("lobby", "a secret", "r1");
    ada.wait_for_text("a secret");
    ada.join("river");
    assert_eq!(stranger.take(), ["rejected  This is not possible now."]);
}

#[test]
fn the_same_key_replaces_the_old_connection() {
    let (server, ada, bo) = two_users();
    let new = Client::enter(&server, "Ada");
    assert_eq!(new.join("lobby")["users"], json!(["Bo", "Ada"]));
    while let Event::Message(event) = ada.next() {
        assert_ne!(event["type"], "user-left", "the old connection is closed first");
    }
    // The old connection ends, and does not remove the user on the new one.
    let expected =
        ["user-left lobby Ada", "room lobby 1", "user-joined lobby Ada", "room lobby 2"].map(str::to_owned);
    assert_eq!(bo.take(), expected);
    bo.send("lobby", "Hi", "r1");
    new.wait_for_text("Hi");
}

#[test]
fn names_that_look_alike_are_rejected() {
    let (server, ..) = two_users();
    let other = Client::connect(&server);
    other.request(&json!({ "type": "enter", "name": "aDA", "key": "fedcba9876543210" }));
    assert_eq!(other.take(), ["rejected  This name, or one that looks like it, is already in use."]);
}

/// How many messages a user can send at once, after some other requests.
pub(crate) const BURST: usize = 15;

#[test]
fn a_client_that_is_slow_does_not_delay_the_others_and_misses_nothing() {
    let (server, ada, bo) = two_users();
    let slow = Client::enter(&server, "Slow");
    slow.join("lobby");
    slow.out.pause().unwrap();
    for n in 0..BURST {
        ada.send("lobby", &format!("{n} {}", "x".repeat(1_900)), "r");
    }
    for n in 0..BURST {
        bo.wait_for(|event| event["text"].as_str().is_some_and(|text| text.starts_with(&format!("{n} "))));
    }
    slow.out.resume().unwrap();
    for n in 0..BURST {
        let event = slow.wait_for(|event| event["type"] == "message");
        assert!(event["text"].as_str().unwrap().starts_with(&format!("{n} ")), "{n}: {event}");
    }
}

#[test]
fn metrics_and_health_are_pages_for_all_workers() {
    let (server, ..) = two_users_on(2);
    assert_eq!(server.connections(), [1, 1]);
    let metrics = server.request("GET", "/metrics", "");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    // Two rooms of the users, and the topic of all users.
    for line in ["sockeye_connections_open 2", "sockeye_topics 2", "sockeye_subscriptions 4"] {
        assert!(metrics.lines().any(|other| other == line), "{line} is missing in {metrics}");
    }
    let health = server.request("GET", "/health", "");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.contains("\r\n\r\nrunning, "), "{health}");
    for path in ["/metrics", "/health"] {
        assert!(server.request("HEAD", path, "").ends_with("\r\n\r\n"), "{path}");
        let posted = server.request("POST", path, "Content-Length: 0\r\n");
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("Allow: GET, HEAD\r\n"), "{posted}");
    }
}

#[test]
fn a_drain_is_announced_and_closes_the_connections_one_after_the_other() {
    let (server, ada, bo) = two_users();
    // The first connection is closed at once, and the second one after half of this time.
    let hour = Duration::from_secs(3_600);
    server.all.drain(Drain::new().over(hour).deadline(hour * 2)).unwrap();
    assert_eq!(ada.next_event(), json!({ "type": "draining" }));
    assert_eq!(ada.next(), Event::Closed(CloseCode::Away));
    assert_eq!(bo.next_event(), json!({ "type": "draining" }));
    bo.wait_for(|event| event["type"] == "user-left" && event["user"] == "Ada");

    let health = server.request("GET", "/health", "");
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains("\r\n\r\ndraining, "), "{health}");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let refused = server.request("GET", "/ws", upgrade);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: "), "{refused}");

    // What a page sends until its connection is closed is delivered.
    bo.send("lobby", "the last one", "r1");
    bo.wait_for_text("the last one");
    server.all.shutdown().unwrap();
    assert_eq!(bo.next(), Event::Closed(CloseCode::Away));
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_cluster_needs_the_feature() {
    let error = cluster::connect("redis://127.0.0.1").err().unwrap();
    assert!(format!("{error:?}").contains("feature redis"), "{error:?}");
}

#[test]
fn a_drain_closes_the_connections_of_all_workers() {
    let (server, ada, bo) = two_users_on(2);
    server.all.drain(Drain::new().over(Duration::ZERO)).unwrap();
    for client in [&ada, &bo] {
        client.wait_for(|event| event["type"] == "draining");
        let closed = std::iter::repeat_with(|| client.next()).find(|event| matches!(event, Event::Closed(_)));
        assert_eq!(closed, Some(Event::Closed(CloseCode::Away)));
    }
}
