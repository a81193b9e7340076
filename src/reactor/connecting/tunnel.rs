//! The handshake with a proxy, on a socket that is connected to it.

use std::io::{self, IoSlice};

use crate::connecting::proxy::Handshake;
use crate::error::{Error, Result};
use crate::reactor::system::{Stop, Transport};

/// How much of a proxy's response is examined at once, in bytes.
const BUFFER: usize = 1024;

/// A socket that is connected to a proxy, which is not connected to the server yet.
#[derive(Debug)]
pub(super) struct Tunnel<T> {
    socket: T,
    handshake: Handshake,
}

impl<T: Transport> Tunnel<T> {
    pub(super) fn new(socket: T, handshake: Handshake) -> Self {
        Self { socket, handshake }
    }

    /// Sends and receives as much as possible. Returns whether the handshake is done. Otherwise an event follows.
    ///
    /// Only the bytes of the proxy are removed from the socket. Those behind them belong to the connection, which may be
    /// encrypted.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let mut buffer = [0; BUFFER];
        loop {
            while !self.handshake.output().is_empty() {
                match self.socket.write(&[IoSlice::new(self.handshake.output())], false) {
                    Ok(len) => self.handshake.sent(len),
                    Err(Stop::Blocked) => return Ok(false),
                    Err(Stop::Failed(err)) => return Err(self.failed(err)),
                }
            }
            if self.handshake.is_done() {
                return Ok(true);
            }
            let len = match self.socket.peek(&mut buffer) {
                Ok(0) => return Err(self.handshake.cut_off().into()),
                Ok(len) => len,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(err) => return Err(self.failed(err.into())),
            };
            let taken = self.handshake.receive(buffer.get(..len).unwrap_or_default())?;
            self.discard(buffer.get_mut(..taken).unwrap_or_default()).map_err(|err| self.failed(err))?;
        }
    }

    pub(super) fn into_socket(self) -> T {
        self.socket
    }

    /// Reads bytes that have arrived, and that are known already.
    fn discard(&mut self, mut known: &mut [u8]) -> Result<()> {
        while !known.is_empty() {
            match self.socket.read(known)?.len {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                len => known = known.get_mut(len..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    fn failed(&self, err: Error) -> Error {
        Error::new(err.kind, format!("cannot connect through the proxy {}", self.handshake.address()))
    }
}
