//! Opens connections one after the other, with blocking calls.

use std::net::TcpStream;

use super::requests;
use super::stream::Stream;
use crate::Result;
use crate::spec::{Compression, Spec};

/// An open connection whose socket is nonblocking.
pub(super) struct Opened<S> {
    pub(super) stream: S,
    /// The extensions that the server has accepted.
    pub(super) extensions: String,
}

/// Opens `count` connections.
///
/// # Errors
///
/// Returns an error if a connection cannot be opened, or if the server declines a requested compression.
pub(super) fn open<S: Stream>(spec: &Spec, count: usize) -> Result<Vec<Opened<S>>> {
    let request = requests::request(spec);
    (0..count).map(|_| open_one(spec, &request)).collect()
}

fn open_one<S: Stream>(spec: &Spec, request: &[u8]) -> Result<Opened<S>> {
    let socket = TcpStream::connect(&spec.address)?;
    socket.set_nodelay(true)?;
    // A second handle of the socket, to make it nonblocking after the stream has taken the first handle.
    let handle = socket.try_clone()?;
    let mut stream = S::open(socket)?;
    stream.write_all(request)?;
    let extensions = await_response(&mut stream)?;
    handle.set_nonblocking(true)?;
    if spec.compression != Compression::Off && !extensions.starts_with("permessage-deflate") {
        return Err("the server declined permessage-deflate".into());
    }
    Ok(Opened { stream, extensions })
}

fn await_response<S: Stream>(stream: &mut S) -> Result<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err("the server closed the connection during the opening handshake".into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(extensions) = requests::response(&bytes)? {
            return Ok(extensions);
        }
    }
}
