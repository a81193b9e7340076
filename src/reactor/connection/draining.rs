//! What a drain of the loop does with a connection.

use super::{Connection, Stage};
use crate::protocol::{Role, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::System;

/// How a connection takes part in a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum Part {
    /// It is open, and must be closed.
    Open,
    /// It has been open, and ends already.
    Ending,
    /// It has not been open. The loop does not wait for its end.
    Outside,
}

/// The loop begins to drain. A client that is not open yet is dropped.
pub(in crate::reactor) fn begin<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) -> Part {
    let endpoint = &connection.endpoint;
    if endpoint.is_opening() && endpoint.protocol.role() == Role::Client {
        drop_now(connection, state);
    }
    match (connection.endpoint.protocol.state(), connection.endpoint.stage) {
        (State::Open, _) => Part::Open,
        (_, Stage::Opening) => Part::Outside,
        (_, Stage::Open | Stage::Failing | Stage::Lost | Stage::Ended) => Part::Ending,
    }
}

/// Ends a connection without waiting for its output or its peer.
pub(in crate::reactor) fn drop_now<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) {
    connection.endpoint.protocol.abandon();
    connection.update(state);
}
