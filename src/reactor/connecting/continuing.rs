//! Connections that have ended and continue with another attempt, in the same slot and with the same handler: redirects, and clients that
//! connect again.

use super::attempt::ConnectAttempt;
use crate::connecting::redirect::Redirect;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::connection::continuing::{self, Continued};
use crate::reactor::entries::Entry;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::System;
use crate::reactor::{Reactor, RunState};

/// Continues a connection that has ended, if it is redirected or its client connects again. Returns whether it is.
pub(in crate::reactor) fn continue_client<F: Factory, S: System>(
    reactor: &mut Reactor<F, S>,
    slot: u32,
) -> bool {
    reactor.run_state == RunState::Running && (follow_redirect(reactor, slot) || connect_again(reactor, slot))
}

/// Follows a redirect. Returns whether there was one.
fn follow_redirect<F: Factory, S: System>(reactor: &mut Reactor<F, S>, slot: u32) -> bool {
    let Some(entry) = reactor.entries.in_slot(slot) else { return false };
    let Entry::Connected(connection) = entry else { return false };
    if !connection.is_redirecting() {
        return false;
    }
    let id = connection.id();
    let Some(redirect) = continuing::take_redirect(connection) else { return false };
    if !replace_by_attempt(entry, Redirect { is_due: false, ..redirect }, &mut reactor.state) {
        return false;
    }
    reactor.advance(id, |attempt, state| attempt.start(None, state));
    true
}

/// Makes a client that has lost its connection wait for its next attempt. Returns whether there is one.
fn connect_again<F: Factory, S: System>(reactor: &mut Reactor<F, S>, slot: u32) -> bool {
    let state = &mut reactor.state;
    if !state.reconnecting.continues(slot) {
        return false;
    }
    let Some(entry) = reactor.entries.in_slot(slot) else { return false };
    let Entry::Connected(connection) = entry else { return false };
    let Some(lost) = continuing::on_lost(connection, state) else { return false };
    let Some((wait, url)) = state.begin_attempt(connection.id(), &lost) else { return false };
    let is_replaced = replace_by_attempt(entry, Redirect::new(url.clone(), 0), state);
    if let Entry::Connecting(attempt) = entry {
        attempt.wait(wait, url, state);
    }
    is_replaced
}

/// Replaces a connection that has ended by an attempt with the same handler. Returns whether there is a handler.
fn replace_by_attempt<H: Handler, S: System>(
    entry: &mut Entry<H, S>,
    redirect: Redirect,
    state: &mut LoopState<S>,
) -> bool {
    let Entry::Connected(connection) = std::mem::replace(entry, Entry::Vacating) else { return false };
    let id = connection.id();
    let Some(continued) = continuing::into_continued(connection, state) else { return false };
    let Continued { handler, commands, is_paused, timers } = continued;
    let mut attempt = ConnectAttempt::new(id, handler, redirect);
    attempt.commands = commands;
    attempt.is_paused = is_paused;
    attempt.timers = timers;
    *entry = Entry::Connecting(Box::new(attempt));
    true
}
