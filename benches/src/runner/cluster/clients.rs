//! WebSocket clients with blocking sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;

/// The time limit for a message.
const LIMIT: Duration = Duration::from_secs(10);

/// Opens a connection, whose path decides what it does at the server.
pub(super) fn connect(address: &str, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err("the handshake failed".into()) }
}

/// Opens a connection that subscribes to topics, and waits until the server has done so.
pub(super) fn subscribe(address: &str, first: usize, count: usize) -> Result<TcpStream> {
    let mut stream = connect(address, &format!("/subscribe/{first}/{count}"))?;
    // The echo follows the execution of the subscriptions.
    stream.write_all(&frame(b"echo"))?;
    expect(&mut stream, &reply(b"echo"))?;
    Ok(stream)
}

/// Opens a connection that publishes each message to topics.
pub(super) fn publisher(address: &str, first: usize, count: usize) -> Result<TcpStream> {
    connect(address, &format!("/publish/{first}/{count}"))
}

/// Reads as many bytes as are expected, and compares them.
pub(super) fn expect(stream: &mut TcpStream, expected: &[u8]) -> Result<()> {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).map_err(|error| format!("a message is missing: {error}"))?;
    if bytes == expected { Ok(()) } else { Err("a message differs from the one that was published".into()) }
}

/// Returns a client's frame. The masking key has no zero, so that the server has to unmask.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = header(payload.len(), 0x80);
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Returns the frame with which a server delivers the same message.
pub(super) fn reply(payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(payload.len(), 0);
    bytes.extend(payload);
    bytes
}

/// Returns the header of a binary message of less than 64 KiB, without a masking key.
fn header(length: usize, mask: u8) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..126) => vec![0x82, mask | short],
        _ => {
            let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            vec![0x82, mask | 126, high, low]
        }
    }
}
