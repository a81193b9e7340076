//! Payloads that a front end reads into their own memory, so that they are not copied.

use std::time::Instant;

use super::timeouts::note_input;
use super::{Core, Phase};
use crate::protocol::ProtocolError;
#[cfg(feature = "reactor")]
use crate::protocol::Role;
#[cfg(feature = "reactor")]
use crate::protocol::framing::decoder::ReceivedBuffer;
use crate::protocol::framing::frame::Frame;
#[cfg(feature = "reactor")]
use crate::protocol::framing::frame::len64;
#[cfg(feature = "reactor")]
use crate::protocol::framing::header::{Header, OpCode};

/// Lends the memory of the payload in progress.
pub(super) fn lend(core: &mut Core) -> Option<&mut [u8]> {
    if matches!(core.phase, Phase::Open) { core.receiver.lend() } else { None }
}

/// Receives what was written to the memory that was lent. Returns the frame if it is complete.
pub(super) fn receive_lent(
    core: &mut Core,
    len: usize,
    now: Instant,
) -> Result<Option<Frame>, ProtocolError> {
    if !matches!(core.phase, Phase::Open) {
        return Ok(None);
    }
    note_input(core, now);
    let received = core.receiver.receive_lent(len, core.codec.is_some());
    let frame = received.inspect_err(|_| core.fail_open(now))?;
    core.measure_message(len, false, now);
    Ok(frame)
}

/// Returns the length of the payload if the next input is a message of its own for which
/// [`receive_buffer`] is worthwhile, or the beginning of one.
#[cfg(feature = "reactor")]
pub(super) fn only_message(core: &Core, input: &[u8]) -> Option<usize> {
    matches!(core.phase, Phase::Open)
        .then(|| core.receiver.only_message(input, core.role, &core.config))
        .flatten()
}

/// Returns the length of the header of a message with a payload of this length, as the peer sends it.
#[cfg(feature = "reactor")]
pub(super) fn header_len(core: &Core, len: usize) -> usize {
    let key = (core.role == Role::Server).then_some([0; 4]);
    Header { fin: true, rsv: 0, opcode: OpCode::Binary, key, len: len64(len) }.encoded_len()
}

/// Receives `head` and the beginning of a buffer that may become the memory of a message.
#[cfg(feature = "reactor")]
pub(super) fn receive_buffer(
    core: &mut Core,
    head: &[u8],
    buffer: Vec<u8>,
    len: usize,
    now: Instant,
) -> ReceivedBuffer {
    if !matches!(core.phase, Phase::Open) {
        return ReceivedBuffer::Input(buffer);
    }
    let received = core.receiver.receive_buffer(head, buffer, len, core.role, &core.config);
    if !matches!(received, ReceivedBuffer::Input(_)) {
        note_input(core, now);
    }
    if matches!(received, ReceivedBuffer::Payload) {
        core.measure_message(head.len().saturating_add(len), false, now);
    }
    received
}
