//! Long messages, which are compressed and decompressed in steps.

use super::Connection;
use super::endpoint::{Endpoint, Stage};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::System;

/// Compresses and decompresses the next parts of the messages of a connection.
pub(in crate::reactor) fn work<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    state: &mut LoopState<S>,
) {
    let endpoint = &mut connection.endpoint;
    endpoint.listed.begin_work();
    if endpoint.protocol.steps().is_decompressing() {
        decompress(endpoint, state);
    }
    if endpoint.protocol.steps().is_compressing() {
        let out = endpoint.write.queue(&mut state.pool);
        endpoint.protocol.steps_mut().compress(state.now, out);
    }
    let steps = endpoint.protocol.steps();
    let is_decompressing = steps.is_decompressing();
    if is_decompressing || steps.is_compressing() {
        work_later(endpoint, state);
    }
    if !is_decompressing {
        connection.read_later(state);
    }
    connection.update(state);
}

fn decompress<H: Handler, S: System>(endpoint: &mut Endpoint<H, S>, state: &mut LoopState<S>) {
    match endpoint.protocol.steps_mut().decompress(state.now) {
        Ok(Some(message)) if endpoint.stage != Stage::Failing => endpoint.on_message(message, state),
        Ok(_) => {}
        Err(err) => endpoint.handle_violation(err, state),
    }
}

/// Whether a long message is being compressed.
pub(in crate::reactor) fn is_compressing<H, S: System>(connection: &Connection<H, S>) -> bool {
    connection.endpoint.protocol.steps().is_compressing()
}

/// Continues after everything else.
#[cold]
pub(super) fn work_later<H, S: System>(endpoint: &mut Endpoint<H, S>, state: &mut LoopState<S>) {
    state.work.work_later(endpoint.id.slot, &mut endpoint.listed);
}
