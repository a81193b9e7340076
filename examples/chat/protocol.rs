//! What page and server say to each other: one small JSON object in a text message.
//!
//! ```text
//! page    {"do":"enter","name":"Ada","key":"…"}        first, and only once
//!         {"do":"join","room":"lobby"}                 {"do":"leave","room":"lobby"}
//!         {"do":"say","room":"lobby","text":"Hi","ref":"1"}
//!         {"do":"ping"}                                scripts cannot see the pings of the protocol
//! server  {"is":"welcome","you":"Ada","run":"…","rooms":[{"room":"lobby","people":2}]}
//!         {"is":"joined","room":"lobby","people":["Ada","Bo"],"history":[{"id":7,"who":"Bo","text":"Hi","at":…}]}
//!         {"is":"left","room":"lobby"}
//!         {"is":"came","room":"lobby","who":"Cy","at":…}    {"is":"went","room":"lobby","who":"Cy","at":…}
//!         {"is":"said","room":"lobby","id":8,"who":"Ada","text":"Hi","at":…}       "ref" for who said it
//!         {"is":"room","room":"lobby","people":3}           {"is":"gone","room":"river"}
//!         {"is":"refused","what":"say","why":"…","ref":"1"}
//!         {"is":"pong"}
//! ```
//!
//! `at` counts milliseconds since 1970. `id` grows within one run of the server; `run` tells runs apart.

use serde_json::{Value, json};

use crate::input::{Key, Name, RoomName, Text};

/// What a page asks for. The words of people in it are raw: `input` checks them, and what is wrong is explained.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Enter { name: String, key: Key },
    Join { room: String },
    Leave { room: String },
    Say { room: String, text: String, reference: String },
    Ping,
}

impl Request {
    /// Reads a request. Anything but exactly the fields above is `None`: our page never sends it.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(message) else {
            return None;
        };
        let mut take = |field: &str| match fields.remove(field) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let request = match take("do")?.as_str() {
            "enter" => Self::Enter { name: take("name")?, key: Key::parse(&take("key")?)? },
            "join" => Self::Join { room: take("room")? },
            "leave" => Self::Leave { room: take("room")? },
            "say" => Self::Say { room: take("room")?, text: take("text")?, reference: take("ref")? },
            "ping" => Self::Ping,
            _ => return None,
        };
        fields.is_empty().then_some(request)
    }

    /// Which kind of request this is, and the reference that it carries.
    pub(crate) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Enter { .. } => ("enter", ""),
            Self::Join { .. } => ("join", ""),
            Self::Leave { .. } => ("leave", ""),
            Self::Say { reference, .. } => ("say", reference),
            Self::Ping => ("ping", ""),
        }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoName,
    LongName,
    UnseenName,
    NameTaken,
    HallFull,
    BadRoom,
    NoMoreRooms,
    EnoughRooms,
    NotInRoom,
    NoText,
    LongText,
    TooFast,
    OutOfTurn,
}

impl Refusal {
    /// The sentence that people read.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::NoName => "Please tell us your name.",
            Self::LongName => "That name is too long.",
            Self::UnseenName => "That name has characters that cannot be seen.",
            Self::NameTaken => "Somebody here already has that name.",
            Self::HallFull => "The chat is full. Please come back later.",
            Self::BadRoom => "A room is named with up to 24 letters, digits or dashes.",
            Self::NoMoreRooms => "There are enough rooms already.",
            Self::EnoughRooms => "You are in as many rooms as one person can be. Leave one first.",
            Self::NotInRoom => "You are not in that room.",
            Self::NoText => "There is nothing to say in that message.",
            Self::LongText => "That message is too long.",
            Self::TooFast => "That was a bit fast. Please wait a moment.",
            Self::OutOfTurn => "That cannot be done now.",
        }
    }

    pub(crate) fn event(self, (what, reference): (&str, &str)) -> String {
        json!({ "is": "refused", "what": what, "why": self.sentence(), "ref": reference }).to_string()
    }
}

/// A message that was said and may be remembered.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) id: u64,
    pub(crate) who: Name,
    pub(crate) text: Text,
    pub(crate) at: u64,
}

impl Said {
    fn value(&self) -> Value {
        json!({ "id": self.id, "who": self.who.as_str(), "text": self.text.as_str(), "at": self.at })
    }

    /// As those in the room hear it; with the reference, as the one who said it does.
    pub(crate) fn event(&self, room: &RoomName, reference: Option<&str>) -> String {
        let mut event = self.value();
        event["is"] = "said".into();
        event["room"] = room.as_str().into();
        if let Some(reference) = reference {
            event["ref"] = reference.into();
        }
        event.to_string()
    }
}

pub(crate) fn welcome<'a>(
    you: &Name,
    run: &str,
    rooms: impl Iterator<Item = (&'a RoomName, usize)>,
) -> String {
    let rooms: Vec<Value> =
        rooms.map(|(room, people)| json!({ "room": room.as_str(), "people": people })).collect();
    json!({ "is": "welcome", "you": you.as_str(), "run": run, "rooms": rooms }).to_string()
}

pub(crate) fn joined<'a>(
    room: &RoomName,
    people: impl Iterator<Item = &'a Name>,
    history: impl Iterator<Item = &'a Said>,
) -> String {
    let people: Vec<&str> = people.map(Name::as_str).collect();
    let history: Vec<Value> = history.map(Said::value).collect();
    json!({ "is": "joined", "room": room.as_str(), "people": people, "history": history }).to_string()
}

pub(crate) fn left(room: &RoomName) -> String {
    json!({ "is": "left", "room": room.as_str() }).to_string()
}

pub(crate) fn came(room: &RoomName, who: &Name, at: u64) -> String {
    json!({ "is": "came", "room": room.as_str(), "who": who.as_str(), "at": at }).to_string()
}

pub(crate) fn went(room: &RoomName, who: &Name, at: u64) -> String {
    json!({ "is": "went", "room": room.as_str(), "who": who.as_str(), "at": at }).to_string()
}

pub(crate) fn people(room: &RoomName, people: usize) -> String {
    json!({ "is": "room", "room": room.as_str(), "people": people }).to_string()
}

pub(crate) fn gone(room: &RoomName) -> String {
    json!({ "is": "gone", "room": room.as_str() }).to_string()
}

pub(crate) fn pong() -> &'static str {
    r#"{"is":"pong"}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let say = Request::parse(r#"{"do":"say","room":"lobby","text":"<b>\n🐟","ref":"1"}"#);
        let (room, text, reference) = ("lobby".to_owned(), "<b>\n🐟".to_owned(), "1".to_owned());
        assert_eq!(say, Some(Request::Say { room, text, reference }));
        assert_eq!(Request::parse(r#" {"do":"ping"} "#), Some(Request::Ping));
    }

    #[test]
    fn anything_else_is_not() {
        let deep = "[".repeat(100_000);
        for bad in [
            "",
            "ping",
            "[]",
            "null",
            &deep,
            r#"{"do":"dance"}"#,
            r#"{"do":"ping","more":1}"#,
            r#"{"do":"join"}"#,
            r#"{"do":"join","room":7}"#,
            r#"{"do":"join","room":"a"}{"#,
            r#"{"do":"enter","name":"Ada"}"#,
            r#"{"do":"enter","name":"Ada","key":"short"}"#,
            r#"{"do":"join","room":"\ud800"}"#,
        ] {
            assert_eq!(Request::parse(bad), None, "{}", &bad[..bad.len().min(40)]);
        }
    }
}
