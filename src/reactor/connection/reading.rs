//! One read of a connection: into which memory, and what becomes of it.
//!
//! All connections are read into one buffer, from which messages are copied. Long messages are read into their own memory: the rest
//! of a payload whose beginning has arrived, and a message of a connection that sends long ones, one at a time.

use std::io::IoSliceMut;
use std::time::Instant;

use super::Connection;
use crate::error::Result;
use crate::protocol::buffer_pool;
use crate::protocol::manual::{MAX_HEADER, Received, ReceivedBuffer};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{Input, System, Transport as _};

/// Messages of at least this length are expected to be followed by others of the same length, in bytes. It costs less to copy shorter
/// ones than to look for memory that may not be needed.
const EXPECT_FROM: usize = 8 * 1024;

impl<H: Handler, S: System> Connection<H, S> {
    /// Reads once, and processes what was read. What has no memory of its own is read into `shared`.
    #[inline]
    pub(super) fn read_once(
        &mut self,
        shared: &mut [u8],
        began: Option<Instant>,
        state: &mut LoopState<S>,
    ) -> Result<Input> {
        if self.endpoint.protocol.missing() > 0 {
            return self.read_payload(shared, began, state);
        }
        match self.read.expected() {
            0 => self.read_shared(shared, began, state),
            len => match buffer_pool::take_for_frame(len) {
                Some(memory) => self.read_message(memory, shared, began, state),
                None => self.read_shared(shared, began, state),
            },
        }
    }

    /// Reads into memory that all connections share.
    #[inline]
    fn read_shared(
        &mut self,
        shared: &mut [u8],
        began: Option<Instant>,
        state: &mut LoopState<S>,
    ) -> Result<Input> {
        let input = self.endpoint.socket.read(shared)?;
        self.note_input(input, state);
        if input.len > 0 {
            let bytes = shared.get_mut(..input.len).unwrap_or_default();
            self.expect_more(bytes);
            self.process(bytes, began, state);
        }
        Ok(input)
    }

    /// Reads the rest of a payload into its own memory, and what follows it into `shared`.
    fn read_payload(
        &mut self,
        shared: &mut [u8],
        began: Option<Instant>,
        state: &mut LoopState<S>,
    ) -> Result<Input> {
        let endpoint = &mut self.endpoint;
        let Some(own) = endpoint.protocol.lend() else { return self.read_shared(shared, began, state) };
        let most = own.len().min(shared.len());
        let own = own.get_mut(..most).unwrap_or_default();
        let behind = shared.get_mut(most..).unwrap_or_default();
        let mut buffers = [&mut *own, &mut *behind].map(IoSliceMut::new);
        let input = endpoint.socket.read_vectored(&mut buffers)?;
        self.note_input(input, state);
        if input.len > 0 {
            self.endpoint.receive_lent(input.len.min(most), state);
            self.execute_own(state);
            self.process(behind.get_mut(..input.len.saturating_sub(most)).unwrap_or_default(), began, state);
        }
        Ok(input)
    }

    /// Reads into memory that becomes that of the next message, if this is what arrives. What does not fit is read into `shared`.
    fn read_message(
        &mut self,
        mut memory: Vec<u8>,
        shared: &mut [u8],
        began: Option<Instant>,
        state: &mut LoopState<S>,
    ) -> Result<Input> {
        let mut head = [0; MAX_HEADER];
        let head = head.get_mut(..self.expected_header()).unwrap_or_default();
        let most = shared.len().saturating_sub(memory.len());
        let behind = shared.get_mut(..most).unwrap_or_default();
        let input = {
            let mut buffers = [&mut *head, &mut memory, &mut *behind].map(IoSliceMut::new);
            self.endpoint.socket.read_vectored(&mut buffers)
        };
        let Ok(input) = input else {
            buffer_pool::give(memory);
            return input;
        };
        self.note_input(input, state);
        if input.len == 0 {
            buffer_pool::give(memory);
            return Ok(input);
        }
        let head = head.get(..input.len).unwrap_or(head);
        let in_memory = input.len - head.len();
        let beyond = in_memory.saturating_sub(memory.len());
        let received = match beyond {
            0 => self.endpoint.protocol.receive_buffer(head, memory, in_memory, state.now),
            _ => ReceivedBuffer::Input(memory),
        };
        match received {
            ReceivedBuffer::Message(message) => {
                self.endpoint.on_large_message(message, state);
                self.execute_own(state);
            }
            ReceivedBuffer::Payload => {}
            ReceivedBuffer::Input(mut memory) => {
                memory.truncate(in_memory);
                memory.splice(0..0, head.iter().copied());
                memory.extend_from_slice(behind.get(..beyond).unwrap_or_default());
                self.process_unexpected(memory, began, state);
            }
        }
        Ok(input)
    }

    /// Returns how much of the next message is read into memory of its own before the payload, so that the payload need not be moved. A
    /// record of TLS is not decrypted into several places.
    fn expected_header(&self) -> usize {
        let endpoint = &self.endpoint;
        if endpoint.socket.is_encrypted() { 0 } else { endpoint.protocol.header_len(self.read.expected()) }
    }

    /// Processes input that is not the message that was expected.
    fn process_unexpected(&mut self, mut input: Vec<u8>, began: Option<Instant>, state: &mut LoopState<S>) {
        self.expect_more(&input);
        self.process(&mut input, began, state);
        buffer_pool::give(input);
    }

    /// The socket has returned input.
    #[inline]
    fn note_input(&mut self, input: Input, state: &mut LoopState<S>) {
        if input.has_output {
            let endpoint = &mut self.endpoint;
            state.work.flush_later(endpoint.id.slot, &mut endpoint.listed, 0);
        }
        state.traffic.bytes_received += input.len as u64;
    }

    /// Remembers what arrives, before it is processed.
    #[inline]
    fn expect_more(&mut self, bytes: &[u8]) {
        let is_long = bytes.len() >= EXPECT_FROM;
        self.read.expect(if is_long { self.endpoint.protocol.only_message(bytes) } else { None });
    }
}

impl<H: Handler, S: System> super::endpoint::Endpoint<H, S> {
    /// Receives a part of a payload that was read into its memory.
    fn receive_lent(&mut self, len: usize, state: &mut LoopState<S>) {
        match self.protocol.receive_lent(len, state.now) {
            Ok(Some(Received::Frame(frame))) => self.on_frame(frame, state),
            Ok(_) => {}
            Err(err) => self.handle_violation(err, state),
        }
    }
}
