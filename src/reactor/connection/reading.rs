//! One read of a connection: into which memory, and what becomes of it.
//!
//! All connections are read into one buffer, from which messages are copied. Long messages are read into their own memory: the rest
//! of a payload whose beginning has arrived, and a message of a connection that sends long ones, one at a time.

use std::io::IoSliceMut;
use std::time::Instant;

use super::Connection;
use super::endpoint::Endpoint;
use crate::error::Result;
use crate::protocol::buffer_pool;
use crate::protocol::manual::{self, MAX_HEADER, Received, ReceivedBuffer};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{Input, System, Transport as _};

/// Messages of at least this length are expected to be followed by others of the same length, in bytes. It costs less to copy shorter
/// ones than to look for memory that may not be needed.
const EXPECT_FROM: usize = 8 * 1024;

/// Reads once, and processes what was read. What has no memory of its own is read into `shared`.
#[inline]
pub(super) fn read_once<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    shared: &mut [u8],
    began: Option<Instant>,
    state: &mut LoopState<S>,
) -> Result<Input> {
    if connection.endpoint.protocol.missing() > 0 {
        return read_payload(connection, shared, began, state);
    }
    match connection.read.expected() {
        0 => read_shared(connection, shared, began, state),
        len => match buffer_pool::take_for_frame(len) {
            Some(memory) => read_message(connection, memory, shared, began, state),
            None => read_shared(connection, shared, began, state),
        },
    }
}

/// Reads into memory that all connections share.
#[inline]
fn read_shared<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    shared: &mut [u8],
    began: Option<Instant>,
    state: &mut LoopState<S>,
) -> Result<Input> {
    let input = connection.endpoint.socket.read(shared)?;
    note_input(connection, input, state);
    if input.len > 0 {
        let bytes = shared.get_mut(..input.len).unwrap_or_default();
        expect_more(connection, bytes);
        connection.process(bytes, began, state);
    }
    Ok(input)
}

/// Reads the rest of a payload into its own memory, and what follows it into `shared`.
fn read_payload<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    shared: &mut [u8],
    began: Option<Instant>,
    state: &mut LoopState<S>,
) -> Result<Input> {
    let endpoint = &mut connection.endpoint;
    let Some(own) = manual::lend(&mut endpoint.protocol) else {
        return read_shared(connection, shared, began, state);
    };
    let most = own.len().min(shared.len());
    let own = own.get_mut(..most).unwrap_or_default();
    let behind = shared.get_mut(most..).unwrap_or_default();
    let mut buffers = [&mut *own, &mut *behind].map(IoSliceMut::new);
    let input = endpoint.socket.read_vectored(&mut buffers)?;
    note_input(connection, input, state);
    if input.len > 0 {
        receive_lent(&mut connection.endpoint, input.len.min(most), state);
        connection.execute_own(state);
        connection.process(
            behind.get_mut(..input.len.saturating_sub(most)).unwrap_or_default(),
            began,
            state,
        );
    }
    Ok(input)
}

/// Reads into memory that becomes that of the next message, if this is what arrives. What does not fit is read into `shared`.
fn read_message<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    mut memory: Vec<u8>,
    shared: &mut [u8],
    began: Option<Instant>,
    state: &mut LoopState<S>,
) -> Result<Input> {
    let mut head = [0; MAX_HEADER];
    let head = head.get_mut(..expected_header(connection)).unwrap_or_default();
    let most = shared.len().saturating_sub(memory.len());
    let behind = shared.get_mut(..most).unwrap_or_default();
    let input = {
        let mut buffers = [&mut *head, &mut memory, &mut *behind].map(IoSliceMut::new);
        connection.endpoint.socket.read_vectored(&mut buffers)
    };
    let Ok(input) = input else {
        buffer_pool::give(memory);
        return input;
    };
    note_input(connection, input, state);
    if input.len == 0 {
        buffer_pool::give(memory);
        return Ok(input);
    }
    let head = head.get(..input.len).unwrap_or(head);
    let in_memory = input.len - head.len();
    let beyond = in_memory.saturating_sub(memory.len());
    let received = match beyond {
        0 => manual::receive_buffer(&mut connection.endpoint.protocol, head, memory, in_memory, state.now),
        _ => ReceivedBuffer::Input(memory),
    };
    match received {
        ReceivedBuffer::Message(message) => {
            connection.endpoint.on_large_message(message, state);
            connection.execute_own(state);
        }
        ReceivedBuffer::Payload => {}
        ReceivedBuffer::Input(mut memory) => {
            memory.truncate(in_memory);
            memory.splice(0..0, head.iter().copied());
            memory.extend_from_slice(behind.get(..beyond).unwrap_or_default());
            process_unexpected(connection, memory, began, state);
        }
    }
    Ok(input)
}

/// Returns how much of the next message is read into memory of its own before the payload, so that the payload need not be moved. A
/// record of TLS is not decrypted into several places.
fn expected_header<H, S: System>(connection: &Connection<H, S>) -> usize {
    let endpoint = &connection.endpoint;
    if endpoint.socket.is_encrypted() {
        0
    } else {
        manual::header_len(&endpoint.protocol, connection.read.expected())
    }
}

/// Processes input that is not the message that was expected.
fn process_unexpected<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    mut input: Vec<u8>,
    began: Option<Instant>,
    state: &mut LoopState<S>,
) {
    expect_more(connection, &input);
    connection.process(&mut input, began, state);
    buffer_pool::give(input);
}

/// The socket has returned input.
#[inline]
fn note_input<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    input: Input,
    state: &mut LoopState<S>,
) {
    if input.has_output {
        let endpoint = &mut connection.endpoint;
        state.work.flush_later(endpoint.id.slot, &mut endpoint.listed, 0);
    }
    state.traffic.bytes_received += input.len as u64;
}

/// Remembers what arrives, before it is processed.
#[inline]
fn expect_more<H: Handler, S: System>(connection: &mut Connection<H, S>, bytes: &[u8]) {
    let is_long = bytes.len() >= EXPECT_FROM;
    connection.read.expect(if is_long {
        manual::only_message(&connection.endpoint.protocol, bytes)
    } else {
        None
    });
}

/// Receives a part of a payload that was read into its memory.
fn receive_lent<H: Handler, S: System>(endpoint: &mut Endpoint<H, S>, len: usize, state: &mut LoopState<S>) {
    match manual::receive_lent(&mut endpoint.protocol, len, state.now) {
        Ok(Some(Received::Frame(frame))) => endpoint.on_frame(frame, state),
        Ok(_) => {}
        Err(err) => endpoint.handle_violation(err, state),
    }
}
