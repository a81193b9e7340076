//! Heads and frames as bytes, written from the RFC and not with the crate under test.

/// The key of §1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to it.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request of a client that keeps all the rules.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The first bytes of whole frames (§5.2).
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
/// The first bytes of fragments.
pub(crate) const TEXT_BEGIN: u8 = 0x01;
pub(crate) const BINARY_BEGIN: u8 = 0x02;
pub(crate) const GO_ON: u8 = 0x00;
pub(crate) const END: u8 = 0x80;

/// [`UPGRADE`] with one part of its text replaced.
pub(crate) fn upgrade_with(from: &str, to: &str) -> String {
    assert!(UPGRADE.contains(from), "{from}");
    UPGRADE.replacen(from, to, 1)
}

/// [`UPGRADE`] with more headers, each with its line break.
pub(crate) fn upgrade_and(headers: &str) -> String {
    upgrade_with("Upgrade: websocket\r\n", &format!("Upgrade: websocket\r\n{headers}"))
}

/// A frame of a server: first byte, length, payload.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64, false);
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame of a client.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = header(first, payload.len() as u64, true);
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A header without the masking key, its length in the shortest form.
pub(crate) fn header(first: u8, len: u64, is_masked: bool) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => vec![first, mask | len],
        (_, Ok(len)) => [&[first, mask | 126][..], &len.to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &len.to_be_bytes()].concat(),
    }
}

/// A Close frame of a client.
pub(crate) fn masked_close(code: u16, reason: &str) -> Vec<u8> {
    masked(CLOSE, &close_payload(code, reason))
}

/// What a Close frame carries (§5.5.1).
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}
