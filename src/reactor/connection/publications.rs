//! What a connection receives together with others.

use super::Connection;
use super::endpoint::Endpoint;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Overflow;
use crate::reactor::loop_state::LoopState;
use crate::reactor::monitoring::Monitor;
use crate::reactor::publishing::{Content, Run, SharedFrame};
use crate::reactor::queue::Command;
use crate::reactor::system::System;

/// Executes the commands of a run. Frames are sent if there is room for them. [`finish_runs`] must follow.
pub(in crate::reactor) fn receive_run<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    run: &Run,
    state: &mut LoopState<S>,
) {
    let endpoint = &mut connection.endpoint;
    let fits = !endpoint.is_opening() && state.queue.has_room_for_all(endpoint.id.slot, run.len());
    if fits
        && endpoint.protocol.is_plain_server()
        && !endpoint.wants_frames(state.hooks.on_send_frame)
        && let Some(joined) = run.joined(endpoint.id, state)
    {
        joined.append_to(endpoint.write.queue(&mut state.pool));
        state.traffic.messages_sent += run.messages();
        return;
    }
    if endpoint.write.is_blocked {
        Monitor::add(&state.queue.monitor.left_out, run.left_out(endpoint.id));
    }
    for content in run.commands_for(endpoint.id, endpoint.write.is_blocked) {
        match content {
            Content::Frame(one) if fits => send(&mut connection.endpoint, one, state),
            Content::Frame(one) => send_if_room(connection, one, state),
            Content::Other(command) => {
                let command = command.for_another();
                command.into_iter().for_each(|command| connection.on_command(command, state));
            }
        }
    }
}

/// All runs have been executed. With `flushes` the output is written at once.
pub(in crate::reactor) fn finish_runs<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    flushes: bool,
    state: &mut LoopState<S>,
) {
    let write = &connection.endpoint.write;
    if flushes && write.len() > 0 && !write.is_blocked {
        connection.flush(state);
    } else {
        connection.update(state);
    }
}

/// Sends or keeps one frame, if there is room for it.
fn send_if_room<H: Handler, S: System>(
    connection: &mut Connection<H, S>,
    one: &SharedFrame,
    state: &mut LoopState<S>,
) {
    let endpoint = &mut connection.endpoint;
    let frame = &one.frame;
    let len = frame.as_slice().len();
    if !state.queue.has_room(endpoint.id.slot, len) {
        match state.queue.overflow() {
            Overflow::Fail => connection.overflow(state),
            Overflow::Drop => Monitor::add(&state.queue.monitor.dropped, 1),
        }
        return;
    }
    if let Some(status) = endpoint.status(state) {
        status.add_local(len);
    }
    if endpoint.is_opening() {
        let command = Command::Frame(Box::new(frame.clone()));
        endpoint.opening.get_or_insert_default().commands.push(command);
    } else {
        endpoint.write.add_published(len);
        send(endpoint, one, state);
    }
}

fn send<H: Handler, S: System>(endpoint: &mut Endpoint<H, S>, one: &SharedFrame, state: &mut LoopState<S>) {
    endpoint.send_shared(&one.frame, |state| Some(one.encoded(state)), state);
}
