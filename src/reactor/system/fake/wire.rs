//! A socket for tests: both directions are buffers in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use mio::Token;
use url::Url;

use super::super::{Event, Input, Stop, Transport};
use crate::error::Result;
use crate::reactor::api::handler::Handler;
use crate::reactor::transport::Keys;
use crate::tls::{Negotiated, RECORD};

/// Both directions between the loop and a peer. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub(in crate::reactor) struct Wire(Rc<RefCell<Bytes>>);

#[derive(Debug)]
struct Bytes {
    to_loop: VecDeque<u8>,
    from_loop: Vec<u8>,
    /// How many more bytes the socket accepts from the loop.
    room: usize,
    /// The peer has ended its side.
    has_ended: bool,
    /// Writing fails with this error.
    write_error: Option<io::ErrorKind>,
    /// The length of the records that the socket writes, as TLS does. It does not encrypt.
    record: Option<usize>,
    /// The socket reports what has changed since the last event, as the systems do.
    became_readable: bool,
    became_writable: bool,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            to_loop: VecDeque::new(),
            from_loop: Vec::new(),
            room: usize::MAX / 2,
            has_ended: false,
            write_error: None,
            record: None,
            became_readable: false,
            became_writable: true,
        }
    }
}

impl Wire {
    /// Whether the socket has changed since the last event.
    pub(super) fn has_changed(&self) -> bool {
        let bytes = self.0.borrow();
        bytes.became_readable || bytes.became_writable
    }

    /// Returns what has changed since the last event, if anything has.
    pub(super) fn take_event(&self, token: Token) -> Option<Event> {
        let mut bytes = self.0.borrow_mut();
        let is_readable = std::mem::take(&mut bytes.became_readable);
        let is_writable = std::mem::take(&mut bytes.became_writable);
        let is_read_closed = is_readable && bytes.has_ended;
        (is_readable || is_writable).then_some(Event { token, is_readable, is_writable, is_read_closed })
    }

    /// Whether both are the same socket.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The peer sends bytes.
    pub(in crate::reactor) fn send(&self, bytes: &[u8]) {
        let mut wire = self.0.borrow_mut();
        wire.to_loop.extend(bytes);
        wire.became_readable = true;
    }

    /// The peer ends its side.
    pub(in crate::reactor) fn end(&self) {
        let mut wire = self.0.borrow_mut();
        wire.has_ended = true;
        wire.became_readable = true;
    }

    /// The peer accepts this many more bytes.
    pub(in crate::reactor) fn set_room(&self, room: usize) {
        let mut wire = self.0.borrow_mut();
        wire.room = room;
        wire.became_writable |= room > 0;
    }

    /// Writing fails from now on.
    pub(in crate::reactor) fn fail_writes(&self, kind: io::ErrorKind) {
        self.0.borrow_mut().write_error = Some(kind);
    }

    /// The socket writes records from now on.
    pub(in crate::reactor) fn use_records(&self) {
        self.0.borrow_mut().record = Some(RECORD);
    }

    /// Takes what the loop has sent.
    pub(in crate::reactor) fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().from_loop)
    }
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Input> {
        let mut bytes = self.0.borrow_mut();
        let len = bytes.to_loop.len().min(buffer.len());
        if len == 0 && !bytes.has_ended {
            return Input::new(Err(io::ErrorKind::WouldBlock.into()), buffer.len());
        }
        for (place, byte) in buffer.iter_mut().zip(bytes.to_loop.drain(..len)) {
            *place = byte;
        }
        Input::new(Ok(len), buffer.len())
    }

    fn write(&mut self, slices: &[IoSlice<'_>], expects_more: bool) -> std::result::Result<usize, Stop> {
        let mut bytes = self.0.borrow_mut();
        if let Some(kind) = bytes.write_error {
            return Err(io::Error::from(kind).into());
        }
        if bytes.room == 0 {
            return Err(Stop::Blocked);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let record = bytes.record.filter(|record| expects_more && total > *record);
        let beyond_record = record.map_or(0, |record| total % record);
        let mut written = 0;
        for slice in slices {
            let len = slice.len().min(bytes.room).min(total - beyond_record - written);
            bytes.from_loop.extend_from_slice(&slice[..len]);
            bytes.room -= len;
            written += len;
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::result::Result<(), Stop> {
        Ok(())
    }

    fn unsent(&self) -> usize {
        0
    }

    fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        Ok(())
    }

    fn send_close_notify(&mut self) {}

    fn is_handshaking(&self) -> bool {
        false
    }

    fn is_encrypted(&self) -> bool {
        self.0.borrow().record.is_some()
    }

    fn encryption(&self) -> Negotiated {
        Negotiated::default()
    }

    fn connected(&self) -> Option<io::Result<()>> {
        Some(Ok(()))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (None, None)
    }

    fn can_encrypt(&self) -> bool {
        false
    }

    fn encrypt_server<H: Handler>(self, _: &Keys, _: Option<&mut H>) -> Result<Self> {
        Ok(self)
    }

    fn encrypt_client<H: Handler>(self, _: &Keys, _: &mut H, _: &Url) -> Result<Self> {
        Ok(self)
    }
}
