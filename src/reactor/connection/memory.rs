//! The memory that a connection holds: unsent output, an unfinished message, input that waits for the next turn, and a request whose
//! response is deferred.

use super::Connection;
use super::deferring::is_deferring;
use super::endpoint::{Endpoint, Stage};
use super::read_side::ReadSide;
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::protocol::State;
use crate::reactor::api::handler::Handler;
use crate::reactor::entries::index;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{System, Transport as _};

/// Output of at least this length is reported even if the socket may accept it at once, in bytes.
pub(super) const REPORT_FROM: usize = 32 * 1024;

/// Reports how much memory the connection holds alone, if that may be more than an idle one does.
///
/// An echo has no blocked output and no part of a message, so it costs a few comparisons.
#[inline]
pub(super) fn report<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    read: &ReadSide,
    buffered: usize,
    state: &LoopState<S>,
) {
    let protocol = &endpoint.protocol;
    let may_hold = endpoint.write.is_blocked
        || protocol.is_mid_message()
        || read.has_unread()
        || is_deferring(endpoint)
        || protocol.steps().is_compressing();
    if endpoint.reported > 0 || may_hold || buffered >= REPORT_FROM {
        report_held(endpoint, read, state);
    }
}

#[cold]
fn report_held<H: Handler, S: System>(endpoint: &mut Endpoint<H, S>, read: &ReadSide, state: &LoopState<S>) {
    let output = endpoint.write.owned() + endpoint.socket.unsent();
    let request = endpoint.opening.as_ref().map_or(0, |opening| opening.held());
    let held = output + endpoint.protocol.held() + read.unread_len() + request;
    let held = u32::try_from(held).unwrap_or(u32::MAX);
    let before = std::mem::replace(&mut endpoint.reported, held);
    state.memory.report(before, held);
}

/// Returns how much memory a connection holds, including what others hold as well, in bytes.
pub(in crate::reactor) fn held<H, S: System>(connection: &Connection<H, S>) -> usize {
    index(connection.endpoint.reported) + connection.endpoint.write.shared()
}

/// All connections together hold too much memory, and this one holds the most.
pub(in crate::reactor) fn fail_for_memory<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) {
    let details = "all connections together hold too much memory, and this one holds the most";
    state.queue.monitor.connections().failed_for_memory += 1;
    connection.endpoint.report(Error::new(ErrorKind::Capacity, details), state);
    connection.read.take_unread();
    release(&mut connection.endpoint, state);
    connection.update(state);
}

/// Drops what the connection holds, and closes it.
///
/// The peer receives a Close frame with 1013, unless a part of a frame may have been sent before: then only the end of TCP can
/// follow.
fn release<H: Handler, S: System>(endpoint: &mut Endpoint<H, S>, state: &mut LoopState<S>) {
    endpoint.protocol.steps_mut().drop_waiting();
    if endpoint.write.len() == 0 && endpoint.protocol.state() == State::Open {
        if endpoint.stage == Stage::Open {
            endpoint.stage = Stage::Failing;
        }
        let out = endpoint.write.buffer(&mut state.pool);
        if endpoint.protocol.close(CloseCode::Again, "", state.now, out).is_ok() {
            return;
        }
    }
    endpoint.write.discard();
    endpoint.protocol.abandon();
}
