//! Heads and frames as bytes. They are encoded and decoded according to the RFC, without the crate under test (§5.2).

use sockeye::protocol::Role;

/// The key of §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The `Sec-WebSocket-Accept` for [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A valid request.
pub const UPGRADE: &str = "GET /chat HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The first bytes of whole frames.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// The first bytes of fragments: the first fragment of a text and of a binary message, a middle one, and the last one.
pub const TEXT_START: u8 = 0x01;
pub const BINARY_START: u8 = 0x02;
pub const CONTINUATION: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// The masking key of every frame that is encoded here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns [`UPGRADE`] with one part of its text replaced.
pub fn upgrade_with(from: &str, to: &str) -> String {
    assert!(UPGRADE.contains(from), "{from}");
    UPGRADE.replacen(from, to, 1)
}

/// Returns [`UPGRADE`] with additional headers. Each of them ends with a line break.
pub fn upgrade_and(headers: &str) -> String {
    upgrade_with("Upgrade: websocket\r\n", &format!("Upgrade: websocket\r\n{headers}"))
}

/// Returns the response that accepts a request with this key. Each of the additional headers ends with a line break.
pub fn acceptance(key: &str, headers: &str) -> String {
    let accept = sockeye::protocol::handshake::accept_value(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
}

/// Returns a frame of a server.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_from(Role::Server, first, payload)
}

/// Returns a frame of a client.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_from(Role::Client, first, payload)
}

/// Returns a frame of an endpoint in this role.
pub fn frame_from(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header_from(role, first, payload.len() as u64);
    match role {
        Role::Server => bytes.extend_from_slice(payload),
        Role::Client => bytes.extend(mask(payload)),
    }
    bytes
}

/// Returns a header without the masking key. The length is encoded in its shortest form.
pub fn header(first: u8, len: u64, is_masked: bool) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => vec![first, mask | len],
        (_, Ok(len)) => [&[first, mask | 126][..], &len.to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &len.to_be_bytes()].concat(),
    }
}

/// Returns the header of a frame of an endpoint in this role. The header of a client contains the masking key.
pub fn header_from(role: Role, first: u8, len: u64) -> Vec<u8> {
    let mut bytes = header(first, len, role == Role::Client);
    if role == Role::Client {
        bytes.extend_from_slice(&MASK);
    }
    bytes
}

/// Masks a payload with the key of [`header_from`].
pub fn mask(payload: &[u8]) -> impl Iterator<Item = u8> {
    payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key)
}

/// Returns a Close frame of a client.
pub fn masked_close(code: u16, reason: &str) -> Vec<u8> {
    masked(CLOSE, &close_payload(code, reason))
}

/// Returns a Close frame of an endpoint in this role.
pub fn close_from(role: Role, code: u16, reason: &[u8]) -> Vec<u8> {
    frame_from(role, CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Returns the payload of a Close frame (§5.5.1).
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A decoded frame: its first byte, its masking key, and the payload without the mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

impl Decoded {
    /// Compares the first byte and the payload, but not the key.
    pub fn is(&self, first: u8, payload: &[u8]) -> bool {
        self.first == first && self.payload == payload
    }
}

/// Decodes the frame at the beginning of `bytes`, and returns it with its encoded length. `None` means that more bytes
/// are needed.
///
/// A length that is not in its shortest form fails the test.
pub fn decode(bytes: &[u8]) -> Option<(Decoded, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = bytes.get(2..2 + extended)?;
    let len = match extended {
        0 => u64::from(second & 0x7f),
        _ => length.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
    };
    let is_masked = second & 0x80 != 0;
    assert_eq!(bytes[..2 + extended], header(first, len, is_masked), "the length is in its shortest form");
    let start = 2 + extended + if is_masked { 4 } else { 0 };
    let key: Option<[u8; 4]> = bytes.get(2 + extended..start)?.try_into().ok();
    let end = start + usize::try_from(len).unwrap();
    let mut payload = bytes.get(start..end)?.to_vec();
    for (byte, key) in payload.iter_mut().zip(key.iter().flatten().cycle()) {
        *byte ^= key;
    }
    Some((Decoded { first, key, payload }, end))
}

/// Decodes all frames. The bytes must end with the end of a frame.
pub fn frames(mut bytes: &[u8]) -> Vec<Decoded> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, len) = decode(bytes).expect("the last frame is complete");
        frames.push(frame);
        bytes = &bytes[len..];
    }
    frames
}

/// Decodes the only frame of the bytes.
pub fn only(bytes: &[u8]) -> Decoded {
    let mut frames = frames(bytes);
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}
