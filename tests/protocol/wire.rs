//! Frames as the RFC draws them, written and read without the help of the code under test (§5.2).

use sockeye::protocol::Role;

/// The first byte of whole frames.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// The first byte of fragments: the beginning of a text and of bytes, the middle and the end of either.
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const BINARY_BEGINS: u8 = 0x02;
pub(crate) const GOES_ON: u8 = 0x00;
pub(crate) const ENDS: u8 = 0x80;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Writes a frame as an end of the given role sends it.
pub(crate) fn frame(sender: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(sender, first, payload.len() as u64);
    match sender {
        Role::Server => bytes.extend_from_slice(payload),
        Role::Client => bytes.extend(masked(payload)),
    }
    bytes
}

/// Writes a header, and the key of a client, of a frame that is as long as it says.
pub(crate) fn header(sender: Role, first: u8, len: u64) -> Vec<u8> {
    let mask = if sender == Role::Client { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(mask | u8::try_from(len).unwrap()),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
    }
    if sender == Role::Client {
        bytes.extend_from_slice(&KEY);
    }
    bytes
}

/// A payload as it lies behind the key of [`header`].
pub(crate) fn masked(payload: &[u8]) -> impl Iterator<Item = u8> {
    payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key)
}

/// Writes a Close frame.
pub(crate) fn close(sender: Role, code: u16, reason: &[u8]) -> Vec<u8> {
    frame(sender, CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A frame that was read: its first byte, its key, its payload unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) first: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload: Vec<u8>,
}

impl Read {
    /// Compares all but the key.
    pub(crate) fn is(&self, first: u8, payload: &[u8]) -> bool {
        self.first == first && self.payload == payload
    }
}

/// Reads frames to the end of the bytes, which must be the end of a frame.
pub(crate) fn frames(bytes: &[u8]) -> Vec<Read> {
    let (mut rest, mut frames) = (bytes, Vec::new());
    while !rest.is_empty() {
        let first = rest[0];
        let (len, after) = match rest[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes(rest[2..4].try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(rest[2..10].try_into().unwrap()), 10),
            len => (u64::from(len), 2),
        };
        let key: Option<[u8; 4]> = (rest[1] & 0x80 != 0).then(|| rest[after..after + 4].try_into().unwrap());
        let start = after + key.map_or(0, |key| key.len());
        let end = start + usize::try_from(len).unwrap();
        let key_bytes = key.unwrap_or_default();
        let payload = rest[start..end].iter().zip(key_bytes.iter().cycle()).map(|(byte, key)| byte ^ key);
        frames.push(Read { first, key, payload: payload.collect() });
        rest = &rest[end..];
    }
    frames
}

/// Reads the only frame of the bytes.
pub(crate) fn only(bytes: &[u8]) -> Read {
    let mut frames = frames(bytes);
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}
