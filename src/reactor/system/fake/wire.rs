//! A socket for tests: both directions are buffers in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use mio::Token;
use url::Url;

use super::super::{Event, Input, Stop, Transport};
use super::faults::Faults;
use crate::error;
use crate::reactor::api::handler::Handler;
use crate::reactor::transport::Keys;
use crate::tls::{Negotiated, RECORD};

/// Both directions between the loop and a peer. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub(in crate::reactor) struct Wire {
    bytes: Rc<RefCell<Bytes>>,
    /// Exists while the loop owns its end.
    descriptor: Option<Rc<()>>,
}

#[derive(Debug)]
struct Bytes {
    faults: Rc<Faults>,
    to_loop: VecDeque<u8>,
    from_loop: Vec<u8>,
    /// How many bytes the loop has read and written.
    moved: usize,
    calls: Calls,
    /// How many more bytes the socket accepts from the loop.
    room: usize,
    /// The peer has ended its side.
    has_ended: bool,
    loop_end: LoopEnd,
    /// The address of the peer.
    peer: Option<SocketAddr>,
    /// Writing fails with this error.
    write_error: Option<io::ErrorKind>,
    /// The next read fails with this error.
    read_error: Option<io::ErrorKind>,
    /// The most bytes that one call reads or writes.
    most_read: usize,
    most_written: usize,
    /// What becomes of the connection attempt. `None` while it continues.
    connected: Option<Result<(), io::ErrorKind>>,
    /// The length of the records that the socket writes, as TLS does. It does not encrypt.
    record: Option<usize>,
    /// The socket reports what has changed since the last event, as the systems do.
    became_readable: bool,
    became_writable: bool,
}

/// How often the loop has called the socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::reactor) struct Calls {
    pub(in crate::reactor) reads: usize,
    pub(in crate::reactor) writes: usize,
    /// The number of slices of all writes.
    pub(in crate::reactor) slices: usize,
}

/// The end of the loop.
#[derive(Debug)]
enum LoopEnd {
    /// The connection has not been accepted.
    Unused,
    /// The loop owns it as long as the descriptor exists.
    Owned(Weak<()>),
    /// The loop sends no more.
    ShutDown,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            faults: Rc::default(),
            to_loop: VecDeque::new(),
            from_loop: Vec::new(),
            moved: 0,
            calls: Calls::default(),
            room: usize::MAX / 2,
            has_ended: false,
            loop_end: LoopEnd::Unused,
            peer: None,
            write_error: None,
            read_error: None,
            most_read: usize::MAX,
            most_written: usize::MAX,
            connected: Some(Ok(())),
            record: None,
            became_readable: false,
            became_writable: true,
        }
    }
}

impl Wire {
    pub(super) fn new(faults: Rc<Faults>) -> Self {
        let wire = Self::default();
        wire.bytes.borrow_mut().faults = faults;
        wire
    }

    /// Whether the socket has changed since the last event.
    pub(super) fn has_changed(&self) -> bool {
        let bytes = self.bytes.borrow();
        bytes.became_readable || bytes.became_writable
    }

    /// Returns what has changed since the last event, if anything has.
    pub(super) fn take_event(&self, token: Token) -> Option<Event> {
        let mut bytes = self.bytes.borrow_mut();
        let is_readable = std::mem::take(&mut bytes.became_readable);
        let is_writable = std::mem::take(&mut bytes.became_writable);
        let is_read_closed = is_readable && bytes.has_ended;
        (is_readable || is_writable).then_some(Event { token, is_readable, is_writable, is_read_closed })
    }

    /// How many bytes the loop has read and written.
    pub(super) fn moved(&self) -> usize {
        self.bytes.borrow().moved
    }

    /// How often the loop has called the socket since this was last asked.
    #[cfg(test)]
    pub(in crate::reactor) fn take_calls(&self) -> Calls {
        std::mem::take(&mut self.bytes.borrow_mut().calls)
    }

    /// How many bytes the loop has not read.
    pub(super) fn unread(&self) -> usize {
        self.bytes.borrow().to_loop.len()
    }

    /// Whether both are the same socket.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// Returns the end that the loop owns.
    pub(super) fn for_loop(&self) -> Self {
        let descriptor = Rc::default();
        self.bytes.borrow_mut().loop_end = LoopEnd::Owned(Rc::downgrade(&descriptor));
        Self { bytes: Rc::clone(&self.bytes), descriptor: Some(descriptor) }
    }

    /// Returns the same connection without the end of the loop, and whether the loop owns that.
    pub(super) fn watched(&self) -> (Self, Weak<()>) {
        let descriptor = self.descriptor.as_ref().map_or_else(Weak::new, Rc::downgrade);
        (Self { bytes: Rc::clone(&self.bytes), descriptor: None }, descriptor)
    }

    /// The peer sends bytes.
    pub(in crate::reactor) fn send(&self, bytes: &[u8]) {
        let mut wire = self.bytes.borrow_mut();
        wire.to_loop.extend(bytes);
        wire.became_readable = true;
    }

    /// Whether the peer has received something that was not taken.
    #[cfg(test)]
    pub(in crate::reactor) fn has_received(&self) -> bool {
        !self.bytes.borrow().from_loop.is_empty()
    }

    /// The peer has this address.
    #[cfg(any(test, feature = "testing"))]
    pub(in crate::reactor) fn set_peer(&self, address: SocketAddr) {
        self.bytes.borrow_mut().peer = Some(address);
    }

    /// The socket is registered: what has arrived before is reported as well.
    pub(super) fn report_input(&self) {
        let mut wire = self.bytes.borrow_mut();
        wire.became_readable |= !wire.to_loop.is_empty() || wire.has_ended;
    }

    /// The peer ends its side.
    pub(in crate::reactor) fn end(&self) {
        let mut wire = self.bytes.borrow_mut();
        wire.has_ended = true;
        wire.became_readable = true;
    }

    /// The peer accepts this many more bytes.
    pub(in crate::reactor) fn set_room(&self, room: usize) {
        let mut wire = self.bytes.borrow_mut();
        wire.room = room;
        wire.became_writable |= room > 0;
    }

    /// Writing fails from now on.
    pub(in crate::reactor) fn fail_writes(&self, kind: io::ErrorKind) {
        self.bytes.borrow_mut().write_error = Some(kind);
    }

    /// The peer resets the connection. What it has sent before is lost.
    pub(in crate::reactor) fn reset(&self) {
        let mut wire = self.bytes.borrow_mut();
        wire.to_loop.clear();
        wire.has_ended = true;
        wire.read_error = Some(io::ErrorKind::ConnectionReset);
        wire.write_error = Some(io::ErrorKind::BrokenPipe);
        wire.became_readable = true;
        wire.became_writable = true;
    }

    /// The next read fails.
    pub(in crate::reactor) fn fail_read(&self, kind: io::ErrorKind) {
        let mut wire = self.bytes.borrow_mut();
        wire.read_error = Some(kind);
        wire.became_readable = true;
    }

    /// Each call reads or writes at most so many bytes.
    pub(in crate::reactor) fn set_most(&self, read: usize, written: usize) {
        let mut wire = self.bytes.borrow_mut();
        (wire.most_read, wire.most_written) = (read.max(1), written.max(1));
    }

    /// The attempt to connect continues until [`finish_connecting`](Self::finish_connecting).
    pub(in crate::reactor) fn hold_connecting(&self) {
        self.bytes.borrow_mut().connected = None;
    }

    /// The attempt to connect succeeds or fails.
    pub(in crate::reactor) fn finish_connecting(&self, result: Result<(), io::ErrorKind>) {
        let mut wire = self.bytes.borrow_mut();
        if wire.connected.is_none() {
            wire.connected = Some(result);
            wire.became_writable = true;
        }
    }

    /// The socket writes records from now on.
    pub(in crate::reactor) fn use_records(&self) {
        self.bytes.borrow_mut().record = Some(RECORD);
    }

    /// Whether the loop has ended its side, or closed the connection.
    pub(in crate::reactor) fn has_loop_ended(&self) -> bool {
        match &self.bytes.borrow().loop_end {
            LoopEnd::Unused => false,
            LoopEnd::Owned(descriptor) => descriptor.strong_count() == 0,
            LoopEnd::ShutDown => true,
        }
    }

    /// Takes what the loop has sent.
    pub(in crate::reactor) fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.borrow_mut().from_loop)
    }
}

impl Transport for Wire {
    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.bytes.borrow_mut();
        bytes.faults.check()?;
        if let Some(kind) = bytes.read_error.take() {
            return Err(kind.into());
        }
        let len = bytes.to_loop.len().min(buffer.len()).min(bytes.most_read);
        if len == 0 && !bytes.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in buffer.iter_mut().zip(bytes.to_loop.range(..len)) {
            *to = *from;
        }
        Ok(len)
    }

    fn read(&mut self, buffer: &mut [u8]) -> error::Result<Input> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> error::Result<Input> {
        let mut bytes = self.bytes.borrow_mut();
        bytes.faults.check()?;
        if let Some(kind) = bytes.read_error.take() {
            return Err(io::Error::from(kind).into());
        }
        bytes.calls.reads += 1;
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        let len = bytes.to_loop.len().min(room).min(bytes.most_read);
        if len == 0 && !bytes.has_ended {
            return Input::new(Err(io::ErrorKind::WouldBlock.into()), room);
        }
        let mut left = len;
        for buffer in buffers {
            let part = left.min(buffer.len());
            bytes.to_loop.read_exact(&mut buffer[..part])?;
            left -= part;
        }
        bytes.moved += len;
        // The rest arrives after the read.
        bytes.became_readable |= !bytes.to_loop.is_empty() && len < room;
        Input::new(Ok(len), room)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], expects_more: bool) -> Result<usize, Stop> {
        let mut bytes = self.bytes.borrow_mut();
        bytes.faults.check()?;
        if let Some(kind) = bytes.write_error {
            return Err(io::Error::from(kind).into());
        }
        bytes.calls.writes += 1;
        bytes.calls.slices += slices.len();
        if bytes.room == 0 {
            return Err(Stop::Blocked);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let total = total.min(bytes.most_written);
        let record = bytes.record.filter(|record| expects_more && total > *record);
        let beyond_record = record.map_or(0, |record| total % record);
        let mut written = 0;
        for slice in slices {
            let len = slice.len().min(bytes.room).min(total - beyond_record - written);
            bytes.from_loop.extend_from_slice(&slice[..len]);
            bytes.room -= len;
            written += len;
        }
        bytes.moved += written;
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn unsent(&self) -> usize {
        0
    }

    fn shut_down_writing(&mut self) -> Result<(), Stop> {
        self.bytes.borrow_mut().loop_end = LoopEnd::ShutDown;
        Ok(())
    }

    fn send_close_notify(&mut self) {}

    fn is_handshaking(&self) -> bool {
        false
    }

    fn is_encrypted(&self) -> bool {
        self.bytes.borrow().record.is_some()
    }

    fn encryption(&self) -> Negotiated {
        Negotiated::default()
    }

    fn connected(&self) -> Option<io::Result<()>> {
        let connected = self.bytes.borrow().connected?;
        Some(connected.map_err(io::Error::from))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let peer = self.bytes.borrow().peer;
        (peer, peer.map(|_| SocketAddr::from(([127, 0, 0, 1], 80))))
    }

    fn is_unix(&self) -> bool {
        false
    }

    fn can_encrypt(&self) -> bool {
        false
    }

    fn encrypt_server<H: Handler>(self, _: &Keys, _: Option<&mut H>) -> error::Result<Self> {
        Ok(self)
    }

    fn encrypt_client<H: Handler>(self, _: &Keys, _: &mut H, _: &Url) -> error::Result<Self> {
        Ok(self)
    }
}
