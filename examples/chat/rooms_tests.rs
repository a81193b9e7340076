use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;
use sockeye::{Builder, Factory, Settings, WebSocket};

use super::*;
use crate::tests::{BURST, Client, Event, Server};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

/// A loop that does not run: it accepts what is sent, and delivers nothing.
fn idle_loop() -> WebSocket<impl Factory> {
    let settings = Settings { queue_size: 1_000_000, queue_bytes: usize::MAX, ..Settings::default() };
    Builder::new().with_settings(settings).build(|_| |_| Ok(())).unwrap()
}

fn enter(rooms: &mut Rooms, out: &Sender, name: &str) -> Result<Arc<User>> {
    let key = SessionKey::parse(&format!("{:0>32}", name.replace(' ', ""))).unwrap();
    rooms.enter(UserName::parse(name)?, key, out.clone())
}

#[test]
fn rooms_are_limited_per_user_and_in_total() {
    let socket = idle_loop();
    let mut rooms = Rooms::new();
    let mut count = PERMANENT_ROOMS.len();
    'full: for n in 0.. {
        let user = enter(&mut rooms, &socket.broadcaster(), &format!("P{n}")).unwrap();
        for m in 0..=MAX_ROOMS_PER_USER {
            match rooms.join(&user, &room(&format!("r{n}-{m}"))) {
                Ok(()) => count += 1,
                Err(Rejection::TOO_MANY_ROOMS_OF_USER) => assert_eq!(m, MAX_ROOMS_PER_USER),
                Err(Rejection::TOO_MANY_ROOMS) => break 'full,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(count, MAX_ROOMS);
    assert_eq!(rooms.rooms.len(), MAX_ROOMS);
}

#[test]
fn empty_rooms_are_removed_unless_they_are_permanent() {
    let socket = idle_loop();
    let mut rooms = Rooms::new();
    let user = enter(&mut rooms, &socket.broadcaster(), "Ada").unwrap();
    for name in ["river", "lobby"] {
        rooms.join(&user, &room(name)).unwrap();
        assert_eq!(rooms.rooms[&room(name)].users.len(), 1);
        rooms.leave(&user, &room(name)).unwrap();
    }
    assert!(!rooms.rooms.contains_key(&room("river")));
    assert!(rooms.rooms[&room("lobby")].users.is_empty());
}

#[test]
fn users_are_limited() {
    let socket = idle_loop();
    let (mut rooms, all) = (Rooms::new(), socket.broadcaster());
    let first = enter(&mut rooms, &all, "P0").unwrap();
    for n in 1..MAX_USERS {
        enter(&mut rooms, &all, &format!("P{n}")).unwrap();
    }
    assert_eq!(enter(&mut rooms, &all, "One more").err(), Some(Rejection::CHAT_FULL));
    // A new connection of a present user replaces the old one, and needs no room.
    let again = enter(&mut rooms, &all, "P0").unwrap();
    assert!(again != first);
    assert_eq!(rooms.join(&first, &room("lobby")), Err(Rejection::OUT_OF_ORDER));
    rooms.remove_user(&first);
    assert_eq!(rooms.users.len(), MAX_USERS);
    rooms.remove_user(&again);
    assert!(enter(&mut rooms, &all, "One more").is_ok());
}

#[test]
fn the_history_is_limited_in_messages_and_bytes() {
    let socket = idle_loop();
    let mut rooms = Rooms::new();
    let (ada, lobby) = (enter(&mut rooms, &socket.broadcaster(), "Ada").unwrap(), room("lobby"));
    rooms.join(&ada, &lobby).unwrap();
    for n in 0..MAX_HISTORY_MESSAGES * 2 {
        rooms.send(&ada, &lobby, &text(&n.to_string()), "").unwrap();
    }
    assert_eq!(rooms.rooms[&lobby].history.len(), MAX_HISTORY_MESSAGES);
    for _ in 0..MAX_HISTORY_MESSAGES {
        rooms.send(&ada, &lobby, &text(&"🐟".repeat(2_000)), "").unwrap();
    }
    let lobby = &rooms.rooms[&lobby];
    let bytes: usize = lobby.history.iter().map(String::len).sum();
    assert_eq!(bytes, lobby.history_bytes);
    assert!((1..=MAX_HISTORY_BYTES).contains(&bytes));
}

/// Users of several threads write to one room, as with several event loops. All of them see one order, which is that of the history.
#[test]
fn the_order_of_the_history_is_the_order_of_delivery() {
    const WRITERS: usize = 4;
    let server = Server::start();
    let clients: Vec<_> = (0..WRITERS).map(|n| Client::enter(&server, &format!("User {n}"))).collect();
    for client in &clients {
        client.join("lobby");
    }
    let users: Vec<_> = server.rooms.lock().unwrap().users.clone();
    thread::scope(|scope| {
        for user in &users {
            scope.spawn(|| write(&server.rooms, user));
        }
    });
    let joined = Client::enter(&server, "Late").join("lobby");
    let history = joined["history"].as_array().unwrap();
    assert_eq!(history.len(), MAX_HISTORY_MESSAGES);
    assert!(history.is_sorted_by_key(|event| event["id"].as_u64()), "{history:?}");
    for client in &clients {
        let delivered: Vec<Value> =
            history.iter().map(|_| client.wait_for(|event| event["type"] == "message")).collect();
        assert_eq!(&delivered, history);
    }

    fn write(rooms: &Mutex<Rooms>, user: &Arc<User>) {
        for n in 0..MAX_HISTORY_MESSAGES / WRITERS {
            rooms.lock().unwrap().send(user, &room("lobby"), &text(&n.to_string()), "r").unwrap();
        }
    }
}

/// What a page shows: each message once, in the order of the numbers.
#[derive(Debug, Default, PartialEq)]
struct Shown(BTreeMap<u64, Value>);

impl Shown {
    /// Adds a message. Returns false if it is shown already.
    fn add(&mut self, message: &Value) -> bool {
        let known = self.0.insert(number(message), message.clone());
        assert!(known.as_ref().is_none_or(|known| known == message), "{known:?} and {message}");
        known.is_none()
    }

    /// Adds the history of the event `joined`, and what the client receives, until this number of messages is shown.
    fn complete(&mut self, joined: &Value, client: &Client, count: usize) {
        for message in joined["history"].as_array().unwrap() {
            assert!(self.add(message), "twice in the history: {message}");
        }
        while self.0.len() < count {
            self.add(&client.wait_for(|event| event["type"] == "message"));
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.0.values().filter_map(|message| message["text"].as_str()).collect()
    }
}

fn number(event: &Value) -> u64 {
    event["id"].as_u64().unwrap()
}

/// Users who join while others write miss nothing: each message is in the history, or published to them, or both.
#[test]
fn a_user_who_joins_while_others_write_sees_each_message_once() {
    for workers in [1, 2] {
        let server = Server::with_workers(workers);
        let writer = Client::enter(&server, "Writer");
        writer.join("lobby");
        let user = Arc::clone(&server.rooms.lock().unwrap().users[0]);
        let messages: Vec<String> = (0..MAX_HISTORY_MESSAGES).map(|n| n.to_string()).collect();
        let readers = thread::scope(|scope| {
            scope.spawn(|| {
                for message in &messages {
                    server.rooms.lock().unwrap().send(&user, &room("lobby"), &text(message), "r").unwrap();
                    thread::yield_now();
                }
            });
            let join = |n| {
                let client = Client::enter(&server, &format!("Reader {n}"));
                let joined = client.join("lobby");
                (client, joined)
            };
            (0..10).map(join).collect::<Vec<_>>()
        });
        for (client, joined) in readers {
            let mut shown = Shown::default();
            shown.complete(&joined, &client, messages.len());
            assert_eq!(shown.texts(), messages);
        }
    }
}

/// Returns four clients on two workers. All of them are in a room.
fn on_two_workers(room: &str) -> (Server, Vec<(Client, Value)>) {
    let server = Server::with_workers(2);
    let enter = |n| {
        let client = Client::enter(&server, &format!("User {n}"));
        let joined = client.join(room);
        (client, joined)
    };
    let clients = (0..4).map(enter).collect();
    assert_eq!(server.connections(), [2, 2]);
    (server, clients)
}

#[test]
fn users_of_different_workers_see_the_same_messages_in_the_same_order() {
    let (server, mut clients) = on_two_workers("lobby");
    for n in 0..BURST {
        for (client, _) in &clients {
            client.send("lobby", &n.to_string(), "r");
        }
    }
    let count = BURST * clients.len();
    for n in 0..4 {
        let late = Client::enter(&server, &format!("Late {n}"));
        let joined = late.join("lobby");
        clients.push((late, joined));
    }
    let shown = clients.iter().map(|(client, joined)| {
        let mut shown = Shown::default();
        shown.complete(joined, client, count);
        shown
    });
    let shown: Vec<Shown> = shown.collect();
    assert!(shown.iter().all(|other| *other == shown[0]), "{shown:?}");

    // The messages of each user are in order, and are those that it has sent.
    for user in 0..4 {
        let name = format!("User {user}");
        let sent = shown[0].0.values().filter(|message| message["from"] == name.as_str());
        let texts: Vec<&str> = sent.filter_map(|message| message["text"].as_str()).collect();
        assert_eq!(texts, (0..BURST).map(|n| n.to_string()).collect::<Vec<_>>(), "{name}");
    }
    // Those who were in the room before have received each message only once, however the workers interleaved.
    for (client, _) in &clients[..4] {
        assert!(client.take().iter().all(|event| !event.starts_with("message ")));
    }
}

/// Users of two workers join and leave. A client that ignores changes with lower numbers than those it knows has the list of the server.
#[test]
fn the_newest_changes_are_the_list_of_users_whatever_the_order_of_delivery() {
    const ROUNDS: usize = 6;
    let (server, clients) = on_two_workers("river");
    let (watchers, others) = clients.split_at(2);
    for _ in 0..ROUNDS {
        for (client, _) in others {
            client.leave("river");
            client.request_join("river");
        }
    }
    others[0].0.leave("river");
    for (index, (watcher, joined)) in watchers.iter().enumerate() {
        // Those who have joined after the watcher, and the changes above.
        let mut left = clients.len() - 1 - index + 2 * ROUNDS * others.len() + 1;
        let names = joined["users"].as_array().unwrap().iter();
        let mut users: HashMap<Value, (u64, bool)> =
            names.map(|name| (name.clone(), (number(joined), true))).collect();
        while left > 0 {
            let event = watcher.wait_for(|event| event["type"].as_str().unwrap().starts_with("user-"));
            let change = (number(&event), event["type"] == "user-joined");
            if change.0 > number(joined) {
                let newest = users.entry(event["user"].clone()).or_insert(change);
                *newest = change.max(*newest);
                left -= 1;
            }
        }
        let rooms = server.rooms.lock().unwrap();
        let present = rooms.rooms[&room("river")].users.iter().map(|user| user.name.as_str().into());
        let shown = users.into_iter().filter(|(_, (_, is_present))| *is_present).map(|(name, _)| name);
        assert_eq!(shown.collect::<HashSet<Value>>(), present.collect());
    }
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let server = Server::start();
    let [stuck, ada] = ["Stuck", "Ada"].map(|name| {
        let client = Client::enter(&server, name);
        client.join("lobby");
        client
    });
    let user = Arc::clone(&server.rooms.lock().unwrap().users[0]);
    stuck.out.pause().unwrap();
    // Many more bytes than the buffers of the system and the limit of the server together.
    let is_full = (0..800).any(|n| {
        let writer = Client::enter(&server, &format!("Writer {n}"));
        writer.join("lobby");
        for _ in 0..BURST {
            writer.send("lobby", &"🐟".repeat(2_000), "r");
        }
        writer.take();
        writer.out.close(CloseCode::Normal).unwrap();
        !user.out.is_open()
    });
    assert!(is_full, "the connection is still open");
    ada.send("lobby", "go on", "r");
    ada.wait_for_text("go on");

    // The client reads again: what was sent before, and the reason.
    stuck.out.resume().unwrap();
    let code = std::iter::repeat_with(|| stuck.next()).find_map(|event| match event {
        Event::Closed(code) => Some(code),
        Event::Message(event) => {
            assert_ne!(event["text"], "go on");
            None
        }
    });
    assert_eq!(code, Some(CloseCode::Size));
    ada.wait_for(|event| event["type"] == "user-left" && event["user"] == "Stuck");
}
