//! The messages between the page and the server. Each is a JSON object in a text message.
//!
//! ```text
//! page    {"type":"enter","name":"Ada","key":"…"}       once, before anything else but a ping
//!         {"type":"join","room":"lobby"}                {"type":"leave","room":"lobby"}
//!         {"type":"send","room":"lobby","text":"Hi","ref":"1"}
//!         {"type":"ping"}                               scripts cannot send pings of the WebSocket protocol
//! server  {"type":"welcome","name":"Ada","run":"…","rooms":[{"room":"lobby","users":2}]}
//!         {"type":"joined","room":"lobby","users":["Ada","Bo"],"history":[{"id":7,"from":"Bo","text":"Hi","time":…}]}
//!         {"type":"left","room":"lobby"}
//!         {"type":"user-joined","room":"lobby","user":"Cy","time":…}
//!         {"type":"user-left","room":"lobby","user":"Cy","time":…}
//!         {"type":"message","room":"lobby","id":8,"from":"Ada","text":"Hi","time":…}     to the sender with "ref"
//!         {"type":"room","room":"lobby","users":3}      {"type":"room-removed","room":"river"}
//!         {"type":"rejected","request":"send","reason":"…","ref":"1"}
//!         {"type":"pong"}
//! ```
//!
//! `time` is in milliseconds since 1970. `id` increases during one run of the server, which `run` identifies.

use serde_json::{Value, json};

use crate::input::{RoomName, SessionKey, Text, UserName};

/// A request of the page. The strings are not validated yet, so that each error can be reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Enter { name: String, key: SessionKey },
    Join { room: String },
    Leave { room: String },
    Send { room: String, text: String, reference: String },
    Ping,
}

impl Request {
    /// Parses a request. Returns `None` unless it has exactly the fields above, because the page sends nothing else.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(message) else {
            return None;
        };
        let mut take = |field: &str| match fields.remove(field) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let request = match take("type")?.as_str() {
            "enter" => Self::Enter { name: take("name")?, key: SessionKey::parse(&take("key")?)? },
            "join" => Self::Join { room: take("room")? },
            "leave" => Self::Leave { room: take("room")? },
            "send" => Self::Send { room: take("room")?, text: take("text")?, reference: take("ref")? },
            "ping" => Self::Ping,
            _ => return None,
        };
        fields.is_empty().then_some(request)
    }

    /// The type of the request, and its reference.
    fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Enter { .. } => ("enter", ""),
            Self::Join { .. } => ("join", ""),
            Self::Leave { .. } => ("leave", ""),
            Self::Send { reference, .. } => ("send", reference),
            Self::Ping => ("ping", ""),
        }
    }
}

/// Why a request is not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    NoName,
    LongName,
    InvisibleName,
    NameTaken,
    ChatFull,
    BadRoom,
    TooManyRooms,
    TooManyRoomsOfUser,
    NotInRoom,
    NoText,
    LongText,
    TooFast,
    OutOfOrder,
}

impl Rejection {
    /// The explanation for the user.
    fn reason(self) -> &'static str {
        match self {
            Self::NoName => "Please enter your name.",
            Self::LongName => "This name is too long.",
            Self::InvisibleName => "This name contains invisible characters.",
            Self::NameTaken => "This name, or one that looks like it, is already in use.",
            Self::ChatFull => "The chat is full. Please try again later.",
            Self::BadRoom => "The name of a room has up to 24 letters, digits or dashes.",
            Self::TooManyRooms => "There are too many rooms already.",
            Self::TooManyRoomsOfUser => "You are in too many rooms. Leave one first.",
            Self::NotInRoom => "You are not in this room.",
            Self::NoText => "The message is empty.",
            Self::LongText => "The message is too long.",
            Self::TooFast => "You are sending too fast. Please wait a moment.",
            Self::OutOfOrder => "This is not possible now.",
        }
    }

    pub(crate) fn event(self, request: &Request) -> String {
        let (name, reference) = request.label();
        json!({ "type": "rejected", "request": name, "reason": self.reason(), "ref": reference }).to_string()
    }
}

/// A message in a room.
#[derive(Debug, Clone)]
pub(crate) struct ChatMessage {
    pub(crate) id: u64,
    pub(crate) from: UserName,
    pub(crate) text: Text,
    pub(crate) time: u64,
}

impl ChatMessage {
    fn to_json(&self) -> Value {
        json!({ "id": self.id, "from": self.from.as_str(), "text": self.text.as_str(), "time": self.time })
    }

    /// The event for the users in the room. The event for the sender has the reference of the request.
    pub(crate) fn event(&self, room: &RoomName, reference: Option<&str>) -> String {
        let mut event = self.to_json();
        event["type"] = "message".into();
        event["room"] = room.as_str().into();
        if let Some(reference) = reference {
            event["ref"] = reference.into();
        }
        event.to_string()
    }
}

pub(crate) fn welcome<'a>(
    name: &UserName,
    run: &str,
    rooms: impl Iterator<Item = (&'a RoomName, usize)>,
) -> String {
    let rooms: Vec<Value> =
        rooms.map(|(room, users)| json!({ "room": room.as_str(), "users": users })).collect();
    json!({ "type": "welcome", "name": name.as_str(), "run": run, "rooms": rooms }).to_string()
}

pub(crate) fn joined<'a>(
    room: &RoomName,
    users: impl Iterator<Item = &'a UserName>,
    history: impl Iterator<Item = &'a ChatMessage>,
) -> String {
    let users: Vec<&str> = users.map(UserName::as_str).collect();
    let history: Vec<Value> = history.map(ChatMessage::to_json).collect();
    json!({ "type": "joined", "room": room.as_str(), "users": users, "history": history }).to_string()
}

pub(crate) fn left(room: &RoomName) -> String {
    json!({ "type": "left", "room": room.as_str() }).to_string()
}

pub(crate) fn user_joined(room: &RoomName, user: &UserName, time: u64) -> String {
    json!({ "type": "user-joined", "room": room.as_str(), "user": user.as_str(), "time": time }).to_string()
}

pub(crate) fn user_left(room: &RoomName, user: &UserName, time: u64) -> String {
    json!({ "type": "user-left", "room": room.as_str(), "user": user.as_str(), "time": time }).to_string()
}

pub(crate) fn room(room: &RoomName, users: usize) -> String {
    json!({ "type": "room", "room": room.as_str(), "users": users }).to_string()
}

pub(crate) fn room_removed(room: &RoomName) -> String {
    json!({ "type": "room-removed", "room": room.as_str() }).to_string()
}

pub(crate) fn pong() -> &'static str {
    r#"{"type":"pong"}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_parsed() {
        let send = Request::parse(r#"{"type":"send","room":"lobby","text":"<b>\n🐟","ref":"1"}"#);
        let (room, text, reference) = ("lobby".to_owned(), "<b>\n🐟".to_owned(), "1".to_owned());
        assert_eq!(send, Some(Request::Send { room, text, reference }));
        assert_eq!(Request::parse(r#" {"type":"ping"} "#), Some(Request::Ping));
    }

    #[test]
    fn invalid_requests_are_rejected() {
        let deep = "[".repeat(100_000);
        for bad in [
            "",
            "ping",
            "[]",
            "null",
            &deep,
            r#"{"type":"dance"}"#,
            r#"{"type":"ping","more":1}"#,
            r#"{"type":"join"}"#,
            r#"{"type":"join","room":7}"#,
            r#"{"type":"join","room":"a"}{"#,
            r#"{"type":"enter","name":"Ada"}"#,
            r#"{"type":"enter","name":"Ada","key":"short"}"#,
            r#"{"type":"join","room":"\ud800"}"#,
        ] {
            assert_eq!(Request::parse(bad), None, "{}", &bad[..bad.len().min(40)]);
        }
    }
}
