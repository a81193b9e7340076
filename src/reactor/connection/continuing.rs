//! The end of a connection that continues with another attempt to connect.

use super::Connection;
use super::endpoint::{Endpoint, Stage};
use crate::close::{CloseCode, Closed};
use crate::connecting::reconnect::Lost;
use crate::connecting::redirect::Redirect;
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::Command;
use crate::reactor::system::{System, Transport as _};
use crate::reactor::timers::TimerList;

/// The parts of a connection that has ended and continues with another connection attempt.
#[derive(Debug)]
pub(in crate::reactor) struct Continued<H> {
    pub(in crate::reactor) handler: H,
    pub(in crate::reactor) commands: Vec<Command>,
    pub(in crate::reactor) is_paused: bool,
    pub(in crate::reactor) timers: TimerList,
}

/// Returns where a connection is redirected to.
pub(in crate::reactor) fn take_redirect<H, S: System>(connection: &mut Connection<H, S>) -> Option<Redirect> {
    connection.endpoint.opening.as_mut()?.redirect.take()
}

/// The connection of a client that connects again has ended, or its opening handshake has failed. The handler can change what
/// happens next. `None` if there is no such client, or the handler has panicked.
pub(in crate::reactor) fn on_lost<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) -> Option<Lost> {
    let endpoint = &mut connection.endpoint;
    endpoint.end(CloseCode::Abnormal, "", state);
    let is_lost = endpoint.stage == Stage::Lost;
    let unsent = if is_lost { endpoint.write.len() + endpoint.socket.unsent() } else { 0 };
    let mut lost = state.reconnecting.on_lost(endpoint.id.slot, unsent, state.now, rand::random())?;
    endpoint.call(state, |handler| handler.on_lost(&mut lost))?;
    Some(lost)
}

/// Calls `on_close` for a client that does not connect again, if its last connection has ended earlier.
pub(in crate::reactor) fn report_end<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    closed: &Closed,
    state: &mut LoopState<S>,
) {
    connection.endpoint.stage = Stage::Ended;
    connection.endpoint.call(state, |handler| handler.on_close(closed.code, &closed.reason));
}

/// Ends a connection, and returns what continues with another attempt.
pub(in crate::reactor) fn into_continued<H: Handler, S: System>(
    connection: Connection<H, S>,
    state: &mut LoopState<S>,
) -> Option<Continued<H>> {
    state.deadlines.cancel_deadline(connection.endpoint.id.slot);
    state.memory.report(connection.endpoint.reported, 0);
    let Endpoint { handler, write, opening, id, .. } = connection.endpoint;
    write.unpublish(state.queue.status(id.slot));
    Some(Continued {
        handler: handler?,
        commands: opening.map(|opening| opening.commands).unwrap_or_default(),
        is_paused: connection.read.is_paused,
        timers: connection.timers.map(|timers| *timers).unwrap_or_default(),
    })
}
