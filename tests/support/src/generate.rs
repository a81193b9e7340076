//! Random input for the protocol core, beginning with the opening handshake. Well-formed input can be damaged
//! afterwards.

use proptest::prelude::*;
use proptest::sample::Index;
use sockeye::Message;
use sockeye::protocol::Role;

use crate::bytes::{self, BINARY, BINARY_START, CLOSE, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A response that opens a client that does not check the accept value.
const RESPONSE: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n\
    HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// One item that a peer sends.
#[derive(Debug, Clone)]
pub enum Piece {
    /// A message in fragments that end at the cuts, with a control frame after some of the fragments.
    Message(Message, Vec<(Index, Option<Control>)>),
    /// The same with text that may be invalid.
    Text(Vec<u8>, Vec<(Index, Option<Control>)>),
    Control(Control),
    Close(Vec<u8>),
    Bytes(Vec<u8>),
}

/// A control frame that leaves the connection open: its first byte and its payload.
#[derive(Debug, Clone)]
pub struct Control(u8, Vec<u8>);

impl Control {
    fn encode(&self, sender: Role) -> Vec<u8> {
        bytes::frame_from(sender, self.0, &self.1)
    }
}

impl Piece {
    fn encode(&self, sender: Role) -> Vec<u8> {
        match self {
            Self::Message(message, cuts) => {
                fragments(sender, message.is_text(), &message.clone().into_data(), cuts)
            }
            Self::Text(bytes, cuts) => fragments(sender, true, bytes, cuts),
            Self::Control(control) => control.encode(sender),
            Self::Close(payload) => bytes::frame_from(sender, CLOSE, payload),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }

    /// Returns the same item without control frames.
    pub fn quietly(&self) -> Option<Self> {
        match self {
            Self::Message(message, cuts) => {
                let quiet = cuts.iter().map(|(cut, _)| (*cut, None)).collect();
                Some(Self::Message(message.clone(), quiet))
            }
            Self::Control(_) => None,
            piece => Some(piece.clone()),
        }
    }
}

fn fragments(sender: Role, is_text: bool, payload: &[u8], cuts: &[(Index, Option<Control>)]) -> Vec<u8> {
    let mut ends: Vec<_> =
        cuts.iter().map(|(cut, control)| (cut.index(payload.len() + 1), control)).collect();
    ends.sort_by_key(|(end, _)| *end);
    let (whole, mut first) = if is_text { (TEXT, TEXT_START) } else { (BINARY, BINARY_START) };
    let (mut bytes, mut start) = (Vec::new(), 0);
    for (end, control) in &ends {
        bytes.extend(bytes::frame_from(sender, first, &payload[start..*end]));
        bytes.extend(control.iter().flat_map(|control| control.encode(sender)));
        (first, start) = (CONTINUATION, *end);
    }
    let last = if ends.is_empty() { whole } else { LAST };
    bytes.extend(bytes::frame_from(sender, last, &payload[start..]));
    bytes
}

/// Returns all bytes that a peer sends, including the handshake.
pub fn stream(sender: Role, pieces: &[Piece]) -> Vec<u8> {
    let head = if sender == Role::Client { REQUEST } else { RESPONSE };
    let frames = pieces.iter().flat_map(|piece| piece.encode(sender));
    head.iter().copied().chain(frames).collect()
}

/// Splits bytes into pieces that end at these positions.
pub fn split<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

pub fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Client, Role::Server])
}

pub fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..12)
}

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "\\PC{0,40}".prop_map(Message::text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Message::binary),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    (prop::sample::select(vec![PING, PONG]), payload).prop_map(|(first, payload)| Control(first, payload))
}

fn close() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        (1000u16..5000, "\\PC{0,20}")
            .prop_map(|(code, reason)| { [&code.to_be_bytes()[..], reason.as_bytes()].concat() }),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

/// A valid message, possibly in fragments and with control frames between them.
pub fn fragmented() -> impl Strategy<Value = Piece> {
    let cuts = prop::collection::vec((any::<Index>(), prop::option::of(control())), 0..5);
    (message(), cuts).prop_map(|(message, cuts)| Piece::Message(message, cuts))
}

/// A text in which one byte is replaced, so that it may be invalid.
fn nearly_text() -> impl Strategy<Value = Piece> {
    let cuts = prop::collection::vec((any::<Index>(), prop::option::of(control())), 0..3);
    ("\\PC{1,20}", any::<Index>(), any::<u8>(), cuts).prop_map(|(text, at, byte, cuts)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        Piece::Text(bytes, cuts)
    })
}

/// The items that a peer may send before its Close.
pub fn proper() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![3 => fragmented(), 1 => control().prop_map(Piece::Control)];
    prop::collection::vec(piece, 0..6)
}

/// A stream that may end with a Close or with garbage, and in which one byte may be changed.
pub fn anything(sender: Role) -> impl Strategy<Value = Vec<u8>> {
    let garbage = prop::collection::vec(any::<u8>(), 0..60);
    let end = prop_oneof![
        close().prop_map(|payload| vec![Piece::Close(payload)]),
        garbage.prop_map(|bytes| vec![Piece::Bytes(bytes)]),
        nearly_text().prop_map(|text| vec![text]),
        (close(), fragmented()).prop_map(|(payload, more)| vec![Piece::Close(payload), more]),
        Just(Vec::new()),
    ];
    let damage = prop::option::of((any::<Index>(), any::<u8>()));
    (proper(), end, damage).prop_map(move |(pieces, end, damage)| {
        let mut bytes = stream(sender, &[pieces, end].concat());
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// Returns the frames that an endpoint has sent. A server sends a head first. If it refused the request, there are no
/// frames.
pub fn frames_of(sender: Role, out: &[u8]) -> Vec<bytes::Decoded> {
    if sender == Role::Client {
        return bytes::frames(out);
    }
    if !out.starts_with(b"HTTP/1.1 101 ") {
        return Vec::new();
    }
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    bytes::frames(&out[end + 4..])
}
