use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::*;

/// Records the events that a user receives.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<Value>>>);

impl Client for Recorder {
    fn send_event(&self, event: &str) {
        let event = serde_json::from_str(event).expect("an event is JSON");
        self.0.borrow_mut().push(event);
    }

    fn disconnect_replaced(&self) {
        self.0.borrow_mut().push(serde_json::json!({ "type": "disconnected" }));
    }
}

impl Recorder {
    /// Returns the events since the last call, each as the values of its main fields.
    fn take(&self) -> Vec<String> {
        let summary = |event: &Value| {
            let fields = ["type", "room", "user", "from", "text", "ref", "users"];
            let values = fields.iter().filter_map(|field| match &event[*field] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            values.collect::<Vec<_>>().join(" ")
        };
        self.0.borrow_mut().drain(..).map(|event| summary(&event)).collect()
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("valid room name")
}

fn text(text: &str) -> Text {
    Text::parse(text).expect("valid text")
}

fn enter(state: &mut ChatState<Recorder>, name: &str) -> Result<(UserId, Recorder), Rejection> {
    let key = name.bytes().map(|byte| format!("{byte:04}")).collect::<String>().repeat(6);
    enter_with_key(state, name, &key[..32])
}

fn enter_with_key(
    state: &mut ChatState<Recorder>,
    name: &str,
    key: &str,
) -> Result<(UserId, Recorder), Rejection> {
    let recorder = Recorder::default();
    let key = SessionKey::parse(key).expect("valid key");
    let id = state.enter(UserName::parse(name)?, key, recorder.clone(), 0)?;
    Ok((id, recorder))
}

/// Returns a chat with Ada and Bo in the lobby.
fn two_users() -> (ChatState<Recorder>, (UserId, Recorder), (UserId, Recorder)) {
    let mut state = ChatState::new();
    let ada = enter(&mut state, "Ada").expect("Ada enters");
    let bo = enter(&mut state, "Bo").expect("Bo enters");
    for (id, _) in [&ada, &bo] {
        state.join(*id, &room("lobby"), 0).expect("joined");
    }
    ada.1.take();
    bo.1.take();
    (state, ada, bo)
}

#[test]
fn new_users_receive_the_rooms_and_are_announced() {
    let mut state = ChatState::new();
    let (ada, ada_events) = enter(&mut state, "Ada").expect("Ada enters");
    assert_eq!(ada_events.0.borrow()[0]["rooms"][2]["room"], "workshop");
    state.join(ada, &room("lobby"), 0).expect("joined");
    assert_eq!(ada_events.take(), ["welcome", "joined lobby", "room lobby 1"]);

    let (bo, bo_events) = enter(&mut state, "Bo").expect("Bo enters");
    state.join(bo, &room("lobby"), 0).expect("joined");
    assert_eq!(bo_events.0.borrow()[1]["users"], serde_json::json!(["Ada", "Bo"]));
    assert_eq!(ada_events.take(), ["user-joined lobby Bo", "room lobby 2"]);
}

#[test]
fn messages_reach_only_their_room() {
    let (mut state, (ada, ada_events), (_, bo_events)) = two_users();
    let (cy, cy_events) = enter(&mut state, "Cy").expect("Cy enters");
    state.join(cy, &room("campfire"), 0).expect("joined");
    for events in [&ada_events, &bo_events, &cy_events] {
        events.take();
    }
    state.send(ada, &room("lobby"), text("Hi"), "r1", 7).expect("sent");
    assert_eq!(ada_events.take(), ["message lobby Ada Hi r1"]);
    assert_eq!(bo_events.take(), ["message lobby Ada Hi"]);
    assert!(cy_events.take().is_empty());
    assert_eq!(state.send(ada, &room("campfire"), text("Hi"), "r2", 7), Err(Rejection::NotInRoom));
    assert_eq!(state.send(ada, &room("nowhere"), text("Hi"), "r3", 7), Err(Rejection::NotInRoom));
}

#[test]
fn later_users_receive_the_history() {
    let (mut state, (ada, _), _) = two_users();
    state.send(ada, &room("lobby"), text("an earlier message"), "", 7).expect("sent");
    let (cy, cy_events) = enter(&mut state, "Cy").expect("Cy enters");
    state.join(cy, &room("lobby"), 0).expect("joined");
    assert_eq!(cy_events.0.borrow()[1]["history"][0]["text"], "an earlier message");
}

#[test]
fn leaving_is_announced_once() {
    let (mut state, (ada, ada_events), (bo, bo_events)) = two_users();
    state.leave(bo, &room("lobby"), 0).expect("left");
    assert_eq!(bo_events.take(), ["left lobby", "room lobby 1"]);
    assert_eq!(ada_events.take(), ["user-left lobby Bo", "room lobby 1"]);
    assert_eq!(state.leave(bo, &room("lobby"), 0), Err(Rejection::NotInRoom));

    state.join(bo, &room("lobby"), 0).expect("joined again");
    ada_events.take();
    assert!(state.remove_user(bo, 0).is_some());
    assert!(state.remove_user(bo, 0).is_none());
    assert_eq!(ada_events.take(), ["user-left lobby Bo", "room lobby 1"]);
    assert!(state.remove_user(ada, 0).is_some());
}

#[test]
fn user_names_are_unique_regardless_of_case() {
    let (mut state, ..) = two_users();
    assert_eq!(enter(&mut state, "aDA").err(), Some(Rejection::NameTaken));
}

#[test]
fn the_same_key_replaces_the_old_connection() {
    let mut state = ChatState::new();
    let key = "0123456789abcdef";
    let (old, old_events) = enter_with_key(&mut state, "Ada", key).expect("Ada enters");
    state.join(old, &room("lobby"), 0).expect("joined");
    old_events.take();
    let (new, new_events) = enter_with_key(&mut state, "Ada", key).expect("Ada enters again");
    assert_eq!(old_events.take(), ["disconnected"]);
    assert_ne!(old, new);
    // The old connection ends later, and must not remove the new user.
    assert!(state.remove_user(old, 0).is_none());
    state.join(new, &room("lobby"), 0).expect("joined");
    assert_eq!(new_events.take(), ["welcome", "joined lobby", "room lobby 1"]);
}

#[test]
fn empty_rooms_are_removed_unless_they_are_permanent() {
    let (mut state, (ada, _), (_, bo_events)) = two_users();
    state.join(ada, &room("river"), 0).expect("room created");
    assert_eq!(bo_events.take(), ["room river 1"]);
    state.leave(ada, &room("river"), 0).expect("left");
    assert_eq!(bo_events.take(), ["room-removed river"]);
    assert!(!state.rooms.contains_key(&room("river")));
    state.leave(ada, &room("lobby"), 0).expect("left");
    assert!(state.rooms.contains_key(&room("lobby")));
}

#[test]
fn rooms_are_limited_per_user_and_in_total() {
    let mut state = ChatState::new();
    let mut count = PERMANENT_ROOMS.len();
    'full: for n in 0.. {
        let (id, _) = enter(&mut state, &format!("P{n}")).expect("user enters");
        for m in 0..=MAX_ROOMS_PER_USER {
            match state.join(id, &room(&format!("r{n}-{m}")), 0) {
                Ok(()) => count += 1,
                Err(Rejection::TooManyRoomsOfUser) => assert_eq!(m, MAX_ROOMS_PER_USER),
                Err(Rejection::TooManyRooms) => break 'full,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(count, MAX_ROOMS);
    assert_eq!(state.rooms.len(), MAX_ROOMS);
}

#[test]
fn users_are_limited() {
    let mut state = ChatState::new();
    let first = enter(&mut state, "P0").expect("user enters").0;
    for n in 1..MAX_USERS {
        enter(&mut state, &format!("P{n}")).expect("user enters");
    }
    assert_eq!(enter(&mut state, "One more").err(), Some(Rejection::ChatFull));
    state.remove_user(first, 0);
    assert!(enter(&mut state, "One more").is_ok());
}

#[test]
fn the_history_is_limited_in_messages_and_bytes() {
    let (mut state, (ada, _), _) = two_users();
    for n in 0..MAX_HISTORY_MESSAGES * 2 {
        state.send(ada, &room("lobby"), text(&n.to_string()), "", 0).expect("sent");
    }
    assert_eq!(state.rooms[&room("lobby")].history.len(), MAX_HISTORY_MESSAGES);
    for _ in 0..MAX_HISTORY_MESSAGES {
        state.send(ada, &room("lobby"), text(&"🐟".repeat(2_000)), "", 0).expect("sent");
    }
    let lobby = &state.rooms[&room("lobby")];
    let bytes: usize = lobby.history.iter().map(|message| message.text.as_str().len()).sum();
    assert_eq!(bytes, lobby.history_bytes);
    assert!((1..=MAX_HISTORY_BYTES).contains(&bytes));
}
