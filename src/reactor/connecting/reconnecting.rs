//! The clients of the loop that connect again. A client keeps its slot, its handler and its timeouts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use url::Url;

use crate::close::{CloseCode, Closed};
use crate::connecting::reconnect::{End, Lost, Reconnect, Reconnector};
use crate::protocol::handshake::Response;

/// The clients that connect again, by their slots. Other connections cost nothing: most loops have no entry.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Reconnecting {
    clients: HashMap<u32, Client>,
}

/// A client that connects again until it is stopped.
#[derive(Debug)]
struct Client {
    url: Url,
    reconnector: Reconnector,
    /// Why the current connection or attempt ends.
    end: Option<End>,
    /// How the last connection has ended, if `on_open` was called for it and `on_close` must be called when the client stops.
    unreported: Option<Closed>,
    is_stopped: bool,
}

impl Reconnecting {
    pub(in crate::reactor) fn insert(&mut self, slot: u32, url: Url, settings: Reconnect) {
        let reconnector = Reconnector::new(settings);
        let client = Client { url, reconnector, end: None, unreported: None, is_stopped: false };
        self.clients.insert(slot, client);
    }

    /// Returns the end of the last connection, if `on_close` has not been called for it.
    pub(in crate::reactor) fn remove(&mut self, slot: u32) -> Option<Closed> {
        if self.clients.is_empty() { None } else { self.clients.remove(&slot)?.unreported }
    }

    /// Whether the connection in a slot is that of a client that connects again.
    pub(in crate::reactor) fn continues(&self, slot: u32) -> bool {
        !self.clients.is_empty() && self.clients.get(&slot).is_some_and(|client| !client.is_stopped)
    }

    /// The program has closed the connection. It does not connect again.
    pub(in crate::reactor) fn stop(&mut self, slot: u32) {
        if let Some(client) = self.active(slot) {
            client.is_stopped = true;
        }
    }

    pub(in crate::reactor) fn on_open(&mut self, slot: u32, now: Instant) {
        if !self.clients.is_empty()
            && let Some(client) = self.clients.get_mut(&slot)
        {
            client.unreported = None;
            client.reconnector.on_open(now);
        }
    }

    /// An open connection has ended. Returns whether the client may connect again.
    pub(in crate::reactor) fn on_close(&mut self, slot: u32, code: CloseCode, reason: &str) -> bool {
        let Some(client) = self.active(slot) else { return false };
        let closed = Closed::new(code, reason);
        client.end = Some(End::Closed(closed.clone()));
        client.unreported = Some(closed);
        true
    }

    /// The server has rejected the opening handshake.
    pub(in crate::reactor) fn on_rejected(&mut self, slot: u32, response: &Response) {
        if let Some(client) = self.active(slot) {
            client.end = Some(End::rejected(response));
        }
    }

    /// Another attempt would fail in the same way.
    pub(in crate::reactor) fn on_permanent_failure(&mut self, slot: u32) {
        if let Some(client) = self.active(slot) {
            client.end = Some(End::Permanent);
        }
    }

    /// The connection or attempt has ended. `random` is in `0.0..1.0`.
    pub(in crate::reactor) fn on_lost(
        &mut self,
        slot: u32,
        unsent: usize,
        now: Instant,
        random: f64,
    ) -> Option<Lost> {
        let client = self.active(slot)?;
        let end = client.end.take().unwrap_or(End::Failed);
        Some(client.reconnector.on_lost(end, unsent, now, random))
    }

    /// Returns how long to wait before the next attempt, and its URL. Without a wait, the client stops.
    pub(in crate::reactor) fn begin_attempt(&mut self, slot: u32, lost: &Lost) -> Option<(Duration, Url)> {
        let client = self.active(slot)?;
        let wait = client.reconnector.begin_attempt(lost);
        client.is_stopped = wait.is_none();
        Some((wait?, client.url.clone()))
    }

    fn active(&mut self, slot: u32) -> Option<&mut Client> {
        if self.clients.is_empty() {
            return None;
        }
        self.clients.get_mut(&slot).filter(|client| !client.is_stopped)
    }
}
