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

/// Users who join while others write receive each message once: in the history, or as a publication.
#[test]
fn a_user_who_joins_while_others_write_receives_each_message_once() {
    let server = Server::start();
    let writer = Client::enter(&server, "Writer");
    writer.join("lobby");
    let user = Arc::clone(&server.rooms.lock().unwrap().users[0]);
    let messages = 0..MAX_HISTORY_MESSAGES as u64;
    let readers = thread::scope(|scope| {
        scope.spawn(|| {
            for n in messages.clone() {
                server.rooms.lock().unwrap().send(&user, &room("lobby"), &text(&n.to_string()), "r").unwrap();
                thread::yield_now();
            }
        });
        let join = |n| {
            let client = Client::enter(&server, &format!("Reader {n}"));
            let history = client.join("lobby")["history"].clone();
            (client, history)
        };
        (0..10).map(join).collect::<Vec<_>>()
    });
    for (client, history) in readers {
        let mut ids: Vec<_> = history.as_array().unwrap().iter().map(|event| event["id"].as_u64()).collect();
        while ids.len() < messages.clone().count() {
            ids.push(client.wait_for(|event| event["type"] == "message")["id"].as_u64());
        }
        assert_eq!(ids, messages.clone().map(|id| Some(id + 1)).collect::<Vec<_>>());
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
