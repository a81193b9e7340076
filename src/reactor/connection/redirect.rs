//! A client that the server sends elsewhere (RFC 9110 §15.4), if the program allows it.

use url::Url;

use super::{Connection, Early, Stage};
use crate::protocol::State;
use crate::protocol::handshake::Response;
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::Command;
use crate::reactor::timers::TimerList;

/// What a client that is not yet open may still do.
#[derive(Debug)]
pub(in crate::reactor) struct Redirect {
    /// Where it has asked, or is to ask next.
    pub(in crate::reactor) url: Url,
    /// How many redirects it may follow.
    pub(in crate::reactor) left: u8,
    /// Whether `url` is where to ask next.
    pub(in crate::reactor) is_due: bool,
}

/// What is left of a connection that begins again elsewhere.
#[derive(Debug)]
pub(in crate::reactor) struct Redirected<H> {
    pub(in crate::reactor) handler: H,
    pub(in crate::reactor) redirect: Redirect,
    pub(in crate::reactor) early: Vec<Command>,
    pub(in crate::reactor) timers: TimerList,
}

impl<H: Handler> Connection<H> {
    /// Follows a redirect if that is allowed: to the same scheme, host and port only, so that neither credentials nor
    /// encryption can be lured away (K5).
    pub(super) fn begin_redirect(&mut self, response: &Response) -> bool {
        let Some(Early { redirect: Some(redirect), .. }) = self.early.as_deref_mut() else { return false };
        if redirect.left == 0 {
            return false;
        }
        if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
            return false;
        }
        let location = response.header("Location").and_then(|value| std::str::from_utf8(value).ok());
        let Some(url) = location.and_then(|location| redirect.url.join(location).ok()) else { return false };
        let is_same_origin = url.scheme() == redirect.url.scheme()
            && url.host() == redirect.url.host()
            && url.port_or_known_default() == redirect.url.port_or_known_default();
        if is_same_origin {
            redirect.url = url;
            redirect.left -= 1;
            redirect.is_due = true;
        }
        is_same_origin
    }

    /// Whether the connection is about to open, here or where a redirect leads.
    pub(super) fn is_opening(&self) -> bool {
        self.protocol.state() == State::Connecting || self.is_redirecting()
    }

    /// Whether the connection, which has ended, begins again elsewhere.
    pub(in crate::reactor) fn is_redirecting(&self) -> bool {
        let redirect = self.early.as_ref().and_then(|early| early.redirect.as_ref());
        self.stage == Stage::Opening && redirect.is_some_and(|redirect| redirect.is_due)
    }

    /// Ends this connection for one to another place.
    pub(in crate::reactor) fn into_redirected(mut self, state: &mut LoopState) -> Option<Redirected<H>> {
        if let Some(key) = self.deadline.take() {
            state.timers.cancel(key);
        }
        if let Some(status) = state.queue.status(self.id.slot) {
            status.sub_local(self.reported_len);
        }
        let early = self.early?;
        Some(Redirected {
            handler: self.handler?,
            redirect: early.redirect?,
            early: early.commands,
            timers: self.timers,
        })
    }
}
