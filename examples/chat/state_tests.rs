use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::*;

/// Writes down what a person is told.
#[derive(Clone, Default)]
struct Ear(Rc<RefCell<Vec<Value>>>);

impl Voice for Ear {
    fn tell(&self, event: &str) {
        let event = serde_json::from_str(event).expect("an event is JSON");
        self.0.borrow_mut().push(event);
    }

    fn taken_over(&self) {
        self.0.borrow_mut().push(serde_json::json!({ "is": "taken over" }));
    }
}

impl Ear {
    /// What was heard since the last call, as "kind room who/text".
    fn heard(&self) -> Vec<String> {
        let short = |event: &Value| {
            let words = ["is", "room", "who", "text", "ref", "people"];
            let words = words.iter().filter_map(|word| match &event[*word] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            words.collect::<Vec<_>>().join(" ")
        };
        self.0.borrow_mut().drain(..).map(|event| short(&event)).collect()
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good room")
}

fn text(text: &str) -> Text {
    Text::parse(text).expect("a good text")
}

fn enter(hall: &mut Hall<Ear>, name: &str) -> Result<(PersonId, Ear), Refusal> {
    let key = name.bytes().map(|byte| format!("{byte:04}")).collect::<String>().repeat(6);
    enter_with_key(hall, name, &key[..32])
}

fn enter_with_key(hall: &mut Hall<Ear>, name: &str, key: &str) -> Result<(PersonId, Ear), Refusal> {
    let ear = Ear::default();
    let key = Key::parse(key).expect("a good key");
    let id = hall.enter(Name::parse(name)?, key, ear.clone(), 0)?;
    Ok((id, ear))
}

/// Two people in the lobby who have heard each other come.
fn two_in_the_lobby() -> (Hall<Ear>, (PersonId, Ear), (PersonId, Ear)) {
    let mut hall = Hall::new();
    let ada = enter(&mut hall, "Ada").expect("Ada comes in");
    let bo = enter(&mut hall, "Bo").expect("Bo comes in");
    for (id, _) in [&ada, &bo] {
        hall.join(*id, &room("lobby"), 0).expect("the lobby is open");
    }
    ada.1.heard();
    bo.1.heard();
    (hall, ada, bo)
}

#[test]
fn newcomers_see_the_rooms_and_are_announced() {
    let mut hall = Hall::new();
    let (ada, ada_hears) = enter(&mut hall, "Ada").expect("Ada comes in");
    assert_eq!(ada_hears.0.borrow()[0]["rooms"][2]["room"], "workshop");
    hall.join(ada, &room("lobby"), 0).expect("the lobby is open");
    assert_eq!(ada_hears.heard(), ["welcome", "joined lobby", "room lobby 1"]);

    let (bo, bo_hears) = enter(&mut hall, "Bo").expect("Bo comes in");
    hall.join(bo, &room("lobby"), 0).expect("the lobby is open");
    assert_eq!(bo_hears.0.borrow()[1]["people"], serde_json::json!(["Ada", "Bo"]));
    assert_eq!(ada_hears.heard(), ["came lobby Bo", "room lobby 2"]);
}

#[test]
fn words_reach_the_room_and_only_the_room() {
    let (mut hall, (ada, ada_hears), (_, bo_hears)) = two_in_the_lobby();
    let (cy, cy_hears) = enter(&mut hall, "Cy").expect("Cy comes in");
    hall.join(cy, &room("campfire"), 0).expect("the campfire is open");
    for ear in [&ada_hears, &bo_hears, &cy_hears] {
        ear.heard();
    }
    hall.say(ada, &room("lobby"), text("Hi"), "r1", 7).expect("Ada may speak");
    assert_eq!(ada_hears.heard(), ["said lobby Ada Hi r1"]);
    assert_eq!(bo_hears.heard(), ["said lobby Ada Hi"]);
    assert!(cy_hears.heard().is_empty());
    assert_eq!(hall.say(ada, &room("campfire"), text("Hi"), "r2", 7), Err(Refusal::NotInRoom));
    assert_eq!(hall.say(ada, &room("nowhere"), text("Hi"), "r3", 7), Err(Refusal::NotInRoom));
}

#[test]
fn those_who_come_later_read_what_was_said() {
    let (mut hall, (ada, _), _) = two_in_the_lobby();
    hall.say(ada, &room("lobby"), text("before you came"), "", 7).expect("Ada may speak");
    let (cy, cy_hears) = enter(&mut hall, "Cy").expect("Cy comes in");
    hall.join(cy, &room("lobby"), 0).expect("the lobby is open");
    assert_eq!(cy_hears.0.borrow()[1]["history"][0]["text"], "before you came");
}

#[test]
fn leaving_is_heard_once_and_departing_leaves_every_room() {
    let (mut hall, (ada, ada_hears), (bo, bo_hears)) = two_in_the_lobby();
    hall.leave(bo, &room("lobby"), 0).expect("Bo may leave");
    assert_eq!(bo_hears.heard(), ["left lobby", "room lobby 1"]);
    assert_eq!(ada_hears.heard(), ["went lobby Bo", "room lobby 1"]);
    assert_eq!(hall.leave(bo, &room("lobby"), 0), Err(Refusal::NotInRoom));

    hall.join(bo, &room("lobby"), 0).expect("Bo may come back");
    ada_hears.heard();
    assert!(hall.depart(bo, 0).is_some());
    assert!(hall.depart(bo, 0).is_none());
    assert_eq!(ada_hears.heard(), ["went lobby Bo", "room lobby 1"]);
    assert!(hall.depart(ada, 0).is_some());
}

#[test]
fn names_are_unique_whatever_their_case() {
    let (mut hall, ..) = two_in_the_lobby();
    assert_eq!(enter(&mut hall, "aDA").err(), Some(Refusal::NameTaken));
}

#[test]
fn the_same_key_takes_over_a_dead_connection() {
    let mut hall = Hall::new();
    let key = "0123456789abcdef";
    let (old, old_hears) = enter_with_key(&mut hall, "Ada", key).expect("Ada comes in");
    hall.join(old, &room("lobby"), 0).expect("the lobby is open");
    old_hears.heard();
    let (new, new_hears) = enter_with_key(&mut hall, "Ada", key).expect("Ada comes back");
    assert_eq!(old_hears.heard(), ["taken over"]);
    assert_ne!(old, new);
    // The old connection's farewell comes late, and must not hit the new one.
    assert!(hall.depart(old, 0).is_none());
    hall.join(new, &room("lobby"), 0).expect("the lobby is open");
    assert_eq!(new_hears.heard(), ["welcome", "joined lobby", "room lobby 1"]);
}

#[test]
fn own_rooms_come_and_go_but_standing_rooms_stay() {
    let (mut hall, (ada, _), (_, bo_hears)) = two_in_the_lobby();
    hall.join(ada, &room("river"), 0).expect("a new room");
    assert_eq!(bo_hears.heard(), ["room river 1"]);
    hall.leave(ada, &room("river"), 0).expect("Ada may leave");
    assert_eq!(bo_hears.heard(), ["gone river"]);
    assert!(!hall.rooms.contains_key(&room("river")));
    hall.leave(ada, &room("lobby"), 0).expect("Ada may leave");
    assert!(hall.rooms.contains_key(&room("lobby")));
}

#[test]
fn rooms_are_bounded_for_each_and_for_all() {
    let mut hall = Hall::new();
    let mut made = STANDING_ROOMS.len();
    'full: for n in 0.. {
        let (id, _) = enter(&mut hall, &format!("P{n}")).expect("there is room in the hall");
        for m in 0..=ROOMS_EACH {
            match hall.join(id, &room(&format!("r{n}-{m}")), 0) {
                Ok(()) => made += 1,
                Err(Refusal::EnoughRooms) => assert_eq!(m, ROOMS_EACH),
                Err(Refusal::NoMoreRooms) => break 'full,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(made, ROOMS);
    assert_eq!(hall.rooms.len(), ROOMS);
}

#[test]
fn people_are_bounded() {
    let mut hall = Hall::new();
    let first = enter(&mut hall, "P0").expect("there is room in the hall").0;
    for n in 1..PEOPLE {
        enter(&mut hall, &format!("P{n}")).expect("there is room in the hall");
    }
    assert_eq!(enter(&mut hall, "One more").err(), Some(Refusal::HallFull));
    hall.depart(first, 0);
    assert!(enter(&mut hall, "One more").is_ok());
}

#[test]
fn history_is_bounded_in_number_and_in_bytes() {
    let (mut hall, (ada, _), _) = two_in_the_lobby();
    for n in 0..HISTORY_MESSAGES * 2 {
        hall.say(ada, &room("lobby"), text(&n.to_string()), "", 0).expect("Ada may speak");
    }
    assert_eq!(hall.rooms[&room("lobby")].history.len(), HISTORY_MESSAGES);
    for _ in 0..HISTORY_MESSAGES {
        hall.say(ada, &room("lobby"), text(&"🐟".repeat(2_000)), "", 0).expect("Ada may speak");
    }
    let lobby = &hall.rooms[&room("lobby")];
    let bytes: usize = lobby.history.iter().map(|said| said.text.as_str().len()).sum();
    assert_eq!(bytes, lobby.history_bytes);
    assert!((1..=HISTORY_BYTES).contains(&bytes));
}
