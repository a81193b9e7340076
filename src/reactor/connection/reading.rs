//! One read of a connection: into which memory, and what becomes of it.
//!
//! All connections are read into one buffer, from which messages are copied. Long messages are read into their own memory: the rest
//! of a payload whose beginning has arrived, and a message of a connection that sends long ones, one at a time.

use std::time::Instant;

use super::Connection;
use crate::error::Result;
use crate::protocol::buffer_pool;
use crate::protocol::manual::{Received, ReceivedBuffer};
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
        let input = endpoint.socket.read_vectored(own, behind)?;
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
        let most = shared.len().saturating_sub(memory.len());
        let behind = shared.get_mut(..most).unwrap_or_default();
        let read = self.endpoint.socket.read_vectored(&mut memory, behind);
        let Ok(input) = read else {
            buffer_pool::give(memory);
            return read;
        };
        self.note_input(input, state);
        let received = match input.len.checked_sub(memory.len()) {
            Some(len @ 1..) => {
                memory.extend_from_slice(behind.get(..len).unwrap_or_default());
                ReceivedBuffer::Input(memory)
            }
            _ => self.endpoint.protocol.receive_buffer(memory, input.len, state.now),
        };
        match received {
            ReceivedBuffer::Message(message) => {
                self.endpoint.on_large_message(message, state);
                self.execute_own(state);
            }
            ReceivedBuffer::Payload => {}
            ReceivedBuffer::Input(mut memory) => {
                let bytes = memory.get_mut(..input.len).unwrap_or_default();
                if !bytes.is_empty() {
                    self.expect_more(bytes);
                    self.process(bytes, began, state);
                }
                buffer_pool::give(memory);
            }
        }
        Ok(input)
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
