//! Connections whose handler has deferred the response to the request.

use super::Connection;
use super::endpoint::Endpoint;
use super::opening::respond;
use super::work::work_later;
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::System;

/// Whether the response is deferred. Nothing is read meanwhile.
#[inline]
pub(super) fn is_deferring<H, S: System>(endpoint: &Endpoint<H, S>) -> bool {
    endpoint.opening.as_ref().is_some_and(|opening| opening.deferred.is_some())
}

/// The socket may have input, which waits. The end of the client is noticed, so that the program can stop to prepare its response.
#[cold]
pub(super) fn on_readable<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    has_ended: bool,
    state: &mut LoopState<S>,
) {
    if has_ended {
        connection.on_end(state);
        connection.update(state);
    }
}

/// Keeps input that is not processed now: because the message before it is being decompressed, or the response is deferred.
#[inline]
pub(super) fn process_later<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    input: &[u8],
    state: &mut LoopState<S>,
) {
    let endpoint = &mut connection.endpoint;
    let is_decompressing = endpoint.protocol.steps().is_decompressing();
    if !input.is_empty() && (is_decompressing || is_deferring(endpoint)) {
        connection.read.keep(input);
    }
    if is_decompressing {
        work_later(endpoint, state);
    }
}

/// The program has determined the response. What was read behind the request comes next.
pub(super) fn answer<H: Handler, S: System>(connection: &mut Connection<H, S>, state: &mut LoopState<S>) {
    let endpoint = &mut connection.endpoint;
    let deferred = endpoint.opening.as_mut().and_then(|opening| opening.deferred.take());
    if let Some((request, deferral)) = deferred
        && let Some(response) = deferral.take_response()
    {
        respond(endpoint, request, Ok(response), state);
        connection.read_later(state);
    }
}

/// The opening handshake has failed, so the response is not needed any more. The client may have sent more, which is read so that closing
/// the socket does not reset the connection.
#[inline]
pub(super) fn cancel<H: Handler, S: System>(connection: &mut Connection<H, S>, state: &mut LoopState<S>) {
    let opening = connection.endpoint.opening.as_mut();
    if opening.and_then(|opening| opening.deferred.take()).is_some() {
        connection.read_later(state);
    }
}
