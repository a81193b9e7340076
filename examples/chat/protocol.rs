//! The messages between the page and the server. Each is a JSON object in a text message.
//!
//! ```text
//! page    {"type":"enter","name":"Ada","key":"…"}       once, before anything else but a ping
//!         {"type":"join","room":"lobby"}                {"type":"leave","room":"lobby"}
//!         {"type":"send","room":"lobby","text":"Hi","ref":"1"}
//!         {"type":"ping"}                               scripts cannot send pings of the WebSocket protocol
//! server  {"type":"welcome","name":"Ada","run":"…","id":7,"rooms":[{"room":"lobby","users":2}]}
//!         {"type":"joined","room":"lobby","id":7,"users":["Ada","Bo"],"history":[…]}     the last messages
//!         {"type":"left","room":"lobby"}
//!         {"type":"user-joined","room":"lobby","id":8,"user":"Cy","time":…}
//!         {"type":"user-left","room":"lobby","id":9,"user":"Cy","time":…}
//!         {"type":"message","room":"lobby","id":10,"from":"Ada","text":"Hi","ref":"1","time":…}
//!         {"type":"room","room":"lobby","id":8,"users":3}     null instead of 3 if the room has been removed
//!         {"type":"rejected","request":"send","reason":"…","ref":"1"}
//!         {"type":"pong"}
//!         {"type":"draining"}                           the server will close this connection in some seconds
//! ```
//!
//! The sender of a message receives it like all others in the room. Its page recognizes it by `ref`, which is a random text.
//! `time` is in milliseconds since 1970.
//!
//! `id` is the number of a change: of a message, or of a user who joined or left. It increases during one run of the server, which
//! `run` identifies. `welcome` and `joined` contain the number of the last change that they include. Changes can arrive in another
//! order, and after a `joined` that includes them: the page sorts the messages by their numbers, and ignores what it knows already.
//!
//! In a cluster, `run` changes when Redis has lost its data. The server sends more:
//!
//! ```text
//! server  {"type":"message",…,"prev":9}                 the number of the previous message in the room, so that the page notices a hole
//!         {"type":"message","room":"lobby","from":"Ada","text":"Hi","ref":"1","time":…}
//!                                                       without a number: it is not in Redis yet, and will be sent again with a number
//!         {"type":"user-left",…,"last":9}               the number of the last message in the room, also with "user-joined"
//!         {"type":"servers","reachable":false}          what users of other nodes do is not known until this is true again
//! ```
//!
//! `welcome` can arrive again, for the same user. It means that the page must join its rooms again.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::input::{RoomName, SessionKey, Text, UserName};
use crate::limits::MAX_REFERENCE_BYTES;

/// A request of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Enter { name: UserName, key: SessionKey },
    Join { room: RoomName },
    Leave { room: RoomName },
    Send { room: RoomName, text: Text, reference: String },
    Ping,
}

impl Request {
    /// Returns the field `type` of the message.
    #[cfg(feature = "redis")]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Enter { .. } => "enter",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Send { .. } => "send",
            Self::Ping => "ping",
        }
    }

    /// Returns the field `ref` of the message.
    #[cfg(feature = "redis")]
    pub(crate) fn reference(&self) -> &str {
        if let Self::Send { reference, .. } = self { reference } else { "" }
    }
}

/// A message of the page: the request, and what an answer contains that rejects it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) kind: String,
    pub(crate) reference: String,
    pub(crate) request: Result<Request, Rejection>,
}

impl Incoming {
    /// Parses a message. Returns `None` unless it has exactly the fields above, because the page sends nothing else.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(message) else {
            return None;
        };
        let mut take = |field: &str| match fields.remove(field) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (kind, mut reference) = (take("type")?, String::new());
        let request = match kind.as_str() {
            "enter" => {
                let (name, key) = (take("name")?, SessionKey::parse(&take("key")?)?);
                UserName::parse(&name).map(|name| Request::Enter { name, key })
            }
            "join" => RoomName::parse(&take("room")?).map(|room| Request::Join { room }),
            "leave" => RoomName::parse(&take("room")?).map(|room| Request::Leave { room }),
            "send" => {
                let (room, text) = (RoomName::parse(&take("room")?), Text::parse(&take("text")?));
                reference = take("ref").filter(|reference| reference.len() <= MAX_REFERENCE_BYTES)?;
                room.and_then(|room| Ok(Request::Send { room, text: text?, reference: reference.clone() }))
            }
            "ping" => Ok(Request::Ping),
            _ => return None,
        };
        fields.is_empty().then_some(Self { kind, reference, request })
    }
}

/// Why a request is not executed: the explanation for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejection(&'static str);

impl Rejection {
    pub(crate) const NO_NAME: Self = Self("Please enter your name.");
    pub(crate) const LONG_NAME: Self = Self("This name is too long.");
    pub(crate) const INVISIBLE_NAME: Self = Self("This name contains invisible characters.");
    pub(crate) const NAME_TAKEN: Self = Self("This name, or one that looks like it, is already in use.");
    pub(crate) const CHAT_FULL: Self = Self("The chat is full. Please try again later.");
    pub(crate) const BAD_ROOM: Self = Self("The name of a room has up to 24 letters, digits or dashes.");
    pub(crate) const TOO_MANY_ROOMS: Self = Self("There are too many rooms already.");
    pub(crate) const TOO_MANY_ROOMS_OF_USER: Self = Self("You are in too many rooms. Leave one first.");
    pub(crate) const NOT_IN_ROOM: Self = Self("You are not in this room.");
    pub(crate) const NO_TEXT: Self = Self("The message is empty.");
    pub(crate) const LONG_TEXT: Self = Self("The message is too long.");
    pub(crate) const TOO_FAST: Self = Self("You are sending too fast. Please wait a moment.");
    pub(crate) const OUT_OF_ORDER: Self = Self("This is not possible now.");
    #[cfg(feature = "redis")]
    pub(crate) const UNREACHABLE: Self = Self("The other servers cannot be reached. Please try again later.");

    pub(crate) fn event(self, request: &str, reference: &str) -> String {
        json!({ "type": "rejected", "request": request, "reason": self.0, "ref": reference }).to_string()
    }
}

/// Sending fails only if the event loop has ended.
impl From<sockeye::Error> for Rejection {
    fn from(error: sockeye::Error) -> Self {
        log::debug!("cannot send: {error}");
        Self("The server is stopping.")
    }
}

pub(crate) const PONG: &str = r#"{"type":"pong"}"#;
pub(crate) const DRAINING: &str = r#"{"type":"draining"}"#;

pub(crate) fn welcome<'a>(
    name: &UserName,
    run: &str,
    id: u64,
    rooms: impl Iterator<Item = (&'a RoomName, usize)>,
) -> String {
    let rooms: Vec<Value> =
        rooms.map(|(room, users)| json!({ "room": room.as_str(), "users": users })).collect();
    json!({ "type": "welcome", "name": name.as_str(), "run": run, "id": id, "rooms": rooms }).to_string()
}

#[cfg(feature = "redis")]
pub(crate) fn servers(is_reachable: bool) -> String {
    json!({ "type": "servers", "reachable": is_reachable }).to_string()
}

/// The history consists of `message` events.
pub(crate) fn joined<'a>(
    room: &RoomName,
    id: u64,
    users: impl Iterator<Item = &'a str>,
    history: impl Iterator<Item = &'a str>,
) -> String {
    let users: Vec<&str> = users.collect();
    let history = history.collect::<Vec<_>>().join(",");
    // The history is JSON already.
    let (room, users) = (json!(room.as_str()), json!(users));
    format!(r#"{{"type":"joined","room":{room},"id":{id},"users":{users},"history":[{history}]}}"#)
}

pub(crate) fn message(room: &RoomName, id: u64, from: &UserName, text: &Text, reference: &str) -> String {
    let (room, from, text, time) = (room.as_str(), from.as_str(), text.as_str(), unix_millis());
    json!({ "type": "message", "room": room, "id": id, "from": from, "text": text, "ref": reference, "time": time })
        .to_string()
}

/// A message that has no number yet. Redis inserts it, and the time at which it receives the message.
#[cfg(feature = "redis")]
pub(crate) fn unnumbered_message(room: &RoomName, from: &UserName, text: &Text, reference: &str) -> Value {
    let (room, from, text) = (room.as_str(), from.as_str(), text.as_str());
    json!({ "type": "message", "room": room, "from": from, "text": text, "ref": reference })
}

pub(crate) fn left(room: &RoomName) -> String {
    json!({ "type": "left", "room": room.as_str() }).to_string()
}

/// The event `user-joined` or `user-left`.
pub(crate) fn presence(kind: &str, room: &RoomName, id: u64, user: &str) -> Value {
    let (room, time) = (room.as_str(), unix_millis());
    json!({ "type": kind, "room": room, "id": id, "user": user, "time": time })
}

/// The number of users in a room, or `None` if the room has been removed.
pub(crate) fn room(room: &RoomName, id: u64, users: Option<usize>) -> String {
    json!({ "type": "room", "room": room.as_str(), "id": id, "users": users }).to_string()
}

pub(crate) fn unix_millis() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_parsed() {
        let request = |message: &str| Incoming::parse(message).map(|incoming| incoming.request);
        let send = request(r#"{"type":"send","room":"lobby","text":"<b>\n🐟","ref":"1"}"#);
        let (room, text) = (RoomName::parse("lobby").unwrap(), Text::parse("<b>\n🐟").unwrap());
        assert_eq!(send, Some(Ok(Request::Send { room, text, reference: "1".to_owned() })));
        assert_eq!(request(r#" {"type":"ping"} "#), Some(Ok(Request::Ping)));
    }

    #[test]
    fn rejections_contain_the_kind_and_the_reference_of_the_request() {
        let incoming = Incoming::parse(r#"{"type":"send","room":"lobby","text":" ","ref":"7"}"#).unwrap();
        assert_eq!(incoming.request, Err(Rejection::NO_TEXT));
        let event: Value =
            serde_json::from_str(&Rejection::NO_TEXT.event(&incoming.kind, &incoming.reference)).unwrap();
        assert_eq!((&event["request"], &event["ref"]), (&json!("send"), &json!("7")));
        assert_eq!(event["reason"], "The message is empty.");
    }

    #[test]
    fn invalid_requests_are_rejected() {
        let deep = "[".repeat(100_000);
        let reference = "x".repeat(MAX_REFERENCE_BYTES + 1);
        let long_reference = format!(r#"{{"type":"send","room":"lobby","text":"Hi","ref":"{reference}"}}"#);
        for bad in [
            "",
            "ping",
            "[]",
            "null",
            &deep,
            &long_reference,
            r#"{"type":"dance"}"#,
            r#"{"type":"ping","more":1}"#,
            r#"{"type":"join"}"#,
            r#"{"type":"join","room":7}"#,
            r#"{"type":"join","room":"a"}{"#,
            r#"{"type":"enter","name":"Ada"}"#,
            r#"{"type":"enter","name":"Ada","key":"short"}"#,
            r#"{"type":"join","room":"\ud800"}"#,
        ] {
            assert_eq!(Incoming::parse(bad), None, "{}", &bad[..bad.len().min(40)]);
        }
    }
}
