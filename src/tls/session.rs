//! One end of a TLS connection, without I/O.
//!
//! ```text
//!   transport ---> incoming ---> receive ---> plaintext
//!   transport <--- outgoing <--- send    <--- plaintext
//! ```
//!
//! A caller does three things:
//!
//! 1. It calls [`receive`](Session::receive). While that returns [`Received::NeedsInput`], it reads from the transport into
//!    [`input_room`](Session::input_room), or calls [`end_input`](Session::end_input) at the end of the transport.
//! 2. It passes plaintext to [`send`](Session::send). Plaintext may be passed before the handshake is complete.
//! 3. After each call, also one that has failed, it writes [`output`](Session::output) to the transport. It contains the
//!    handshake, the records, and the alert with the reason why the session has failed (RFC 8446 §6.2).
//!
//! The way in which input is split into reads does not change the result. An idle session owns no buffers.

use super::buffer::{self, READ};
use super::engine::Engine;
use super::{ClientTls, Negotiated, Received, ServerTls};
use crate::error::{Error, ErrorKind, Result};

/// The most bytes of replies to the peer (handshake messages, key updates, alerts) that may be unsent. A peer that causes
/// replies and does not read them exceeds it.
const MAX_REPLIES: usize = 64 * 1024;

/// What a record adds to its plaintext, without padding: header, nonce, content type and tag (RFC 8446 §5.2, RFC 5246 §6.2.3).
const OVERHEAD: usize = 64;

/// After this many bytes of records without data, `receive` leaves the rest of the input to its next call. A key update has 27 bytes, and
/// OpenSSL takes as long for it as for several kilobytes of data.
const MAX_WITHOUT_DATA: usize = 4 * 1024;

/// One end of a TLS connection. See the [module](self).
#[derive(Debug)]
pub(crate) struct Session {
    engine: Box<dyn Engine>,
    /// Plaintext that is encrypted when the handshake, or a renegotiation, is complete.
    waiting: Vec<u8>,
    /// What the next call of `receive` returns: the end, or `Unfinished`.
    next: Option<Result<Received>>,
    /// How many bytes of the output may be replies.
    replies: usize,
}

impl Session {
    /// Begins the handshake of a client. The certificate of the server must be valid for `host`, a name or an IP address.
    pub(crate) fn client(tls: &ClientTls, host: &str) -> Result<Self> {
        Ok(Self::new(tls.connect(host)?))
    }

    /// Begins the handshake of a server.
    pub(crate) fn server(tls: &ServerTls) -> Result<Self> {
        Ok(Self::new(tls.accept()?))
    }

    pub(super) fn new(engine: Box<dyn Engine>) -> Self {
        Self { engine, waiting: Vec::new(), next: None, replies: 0 }
    }

    /// Returns memory for ciphertext from the transport. [`add_input`](Self::add_input) adds what was read into it.
    pub(crate) fn input_room(&mut self) -> &mut [u8] {
        buffer::room(self.engine.incoming(), READ)
    }

    /// Adds ciphertext that was read into the memory for it.
    pub(crate) fn add_input(&mut self, len: usize) {
        self.engine.incoming().add(len);
    }

    /// Adds ciphertext from the transport.
    #[cfg(any(test, feature = "blocking"))]
    pub(crate) fn append_input(&mut self, bytes: &[u8]) {
        buffer::room(self.engine.incoming(), bytes.len());
        self.engine.incoming().append(bytes);
    }

    /// Returns the memory for ciphertext, because nothing was read.
    pub(crate) fn release_input(&mut self) {
        buffer::release(self.engine.incoming());
    }

    /// Reports the end of the transport.
    pub(crate) fn end_input(&mut self) {
        self.engine.end_input();
    }

    /// Returns the ciphertext that must be written to the transport.
    pub(crate) fn output(&self) -> &[u8] {
        self.engine.output()
    }

    /// Removes ciphertext that was written to the transport.
    pub(crate) fn consume_output(&mut self, len: usize) {
        self.engine.outgoing().consume(len);
    }

    /// Returns memory that the output does not need, because the transport accepts no more for now.
    pub(crate) fn release_output(&mut self) {
        buffer::release(self.engine.outgoing());
    }

    /// Moves all output to the end of a queue.
    #[cfg(feature = "blocking")]
    pub(crate) fn move_output(&mut self, queue: &mut crate::byte_queue::ByteQueue) {
        let outgoing = self.engine.outgoing();
        if queue.is_empty() {
            std::mem::swap(queue, outgoing);
        } else {
            queue.append(outgoing.bytes());
            outgoing.consume(outgoing.len());
        }
        buffer::release(outgoing);
    }

    /// Returns the number of bytes that must be written to the transport, including plaintext that is not encrypted yet.
    pub(crate) fn unsent(&self) -> usize {
        self.output().len() + self.waiting.len()
    }

    /// Whether the next call of `receive` needs no more input, because it continues with what was left behind data: the end, an error, or
    /// records without data.
    #[cfg(feature = "reactor")]
    pub(crate) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.engine.is_handshaking()
    }

    /// Returns what the handshake has negotiated. Empty before its end.
    pub(crate) fn negotiated(&self) -> Negotiated {
        self.engine.negotiated()
    }

    /// Returns how much memory the buffers own.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn memory(&mut self) -> usize {
        self.engine.incoming().capacity() + self.engine.outgoing().capacity() + self.waiting.capacity()
    }

    /// Continues the handshake. Returns whether it is complete.
    ///
    /// # Errors
    ///
    /// Why the handshake has failed.
    pub(crate) fn handshake(&mut self) -> Result<bool> {
        let unsent = self.output().len();
        let is_complete = self.engine.handshake()?;
        self.finish_step(unsent)?;
        Ok(is_complete)
    }

    /// Decrypts input until `plain` is full or more input is needed, or until the input has contained many records without data.
    /// Continues the handshake if necessary.
    ///
    /// # Errors
    ///
    /// Why the session has failed, once. Plaintext that precedes the failure is returned first.
    pub(crate) fn receive(&mut self, plain: &mut [u8]) -> Result<Received> {
        let unsent = self.output().len();
        let received = self.fill(plain);
        buffer::release(self.engine.incoming());
        let received = received?;
        self.finish_step(unsent)?;
        Ok(received)
    }

    /// Encrypts plaintext, or keeps it until the handshake is complete.
    ///
    /// # Errors
    ///
    /// `Io` if the session has failed or has been ended.
    pub(crate) fn send(&mut self, plain: &[u8]) -> Result<()> {
        if self.is_handshaking() || !self.waiting.is_empty() {
            self.waiting.extend_from_slice(plain);
            return Ok(());
        }
        let sent = self.write(plain)?;
        self.waiting.extend_from_slice(plain.get(sent..).unwrap_or_default());
        Ok(())
    }

    /// Ends this side, so that the peer knows that no data is missing (RFC 8446 §6.1).
    pub(crate) fn close_notify(&mut self) {
        self.engine.close_notify();
    }

    fn fill(&mut self, plain: &mut [u8]) -> Result<Received> {
        if let Some(next) = self.next.take() {
            return self.report(next);
        }
        let (mut filled, mut without_data) = (0, 0);
        while let Some(room) = plain.get_mut(filled..).filter(|room| !room.is_empty()) {
            let before = self.engine.incoming().len();
            let mut received = self.engine.read(room);
            let used = before - self.engine.incoming().len();
            if let Ok(Received::Data(len)) = received {
                filled += len;
                without_data += used.saturating_sub(len + OVERHEAD);
                if without_data <= MAX_WITHOUT_DATA {
                    continue;
                }
                received = Ok(Received::Unfinished);
            }
            match received {
                received if filled == 0 => return self.report(received),
                Ok(Received::NeedsInput) => {}
                next => self.next = Some(next),
            }
            break;
        }
        Ok(Received::Data(filled))
    }

    /// Returns a result that is not data. The end of the session is returned again, but an error only once.
    fn report(&mut self, result: Result<Received>) -> Result<Received> {
        self.next = match result {
            Ok(Received::NeedsInput | Received::Unfinished) => None,
            Ok(end) => Some(Ok(end)),
            Err(_) => Some(Ok(Received::Truncated)),
        };
        result
    }

    /// Limits the replies to the peer, and sends what had to wait.
    fn finish_step(&mut self, unsent_before: usize) -> Result<()> {
        let unsent = self.output().len();
        let added = unsent.saturating_sub(unsent_before);
        if added > 0 && !self.is_handshaking() {
            self.replies = unsent.min(self.replies + added);
            if self.replies > MAX_REPLIES {
                let details = "the peer causes TLS replies and does not read them";
                return Err(Error::new(ErrorKind::Capacity, details));
            }
        }
        if self.waiting.is_empty() || self.is_handshaking() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let sent = self.write(&waiting)?;
        self.waiting.extend_from_slice(waiting.get(sent..).unwrap_or_default());
        Ok(())
    }

    /// Encrypts plaintext. Returns how much of it was encrypted; the rest has to wait for input.
    fn write(&mut self, plain: &[u8]) -> Result<usize> {
        buffer::room(self.engine.outgoing(), plain.len() + plain.len() / 128 + 64);
        self.engine.write(plain)
    }
}
