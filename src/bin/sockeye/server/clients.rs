//! The clients of a server, for the thread that reads the input.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sockeye::{CloseCode, Frame, Message, Sender};

use crate::commands;
use crate::escape;
use crate::exit::Failure;
use crate::output::Output;
use crate::pings::Pings;
use crate::target::{Ended, Target, retry, send_when_possible};

pub(super) struct Clients {
    state: Mutex<State>,
    changed: Condvar,
    /// A sender of the event loop, which shuts it down.
    server: OnceLock<Sender>,
    output: Output,
    /// Whether somebody types, and can so be told that there is no client.
    is_interactive: bool,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<u32, Client>,
    has_ended: bool,
    failure: Option<Failure>,
}

struct Client {
    peer: String,
    out: Sender,
    pings: Pings,
}

impl Clients {
    pub(super) fn new(output: Output, is_interactive: bool) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            server: OnceLock::new(),
            output,
            is_interactive,
        }
    }

    pub(super) fn listening(&self, server: Sender) {
        // It is called once.
        let _ = self.server.set(server);
    }

    pub(super) fn add(&self, number: u32, peer: &str, out: Sender) {
        self.lock().clients.insert(number, Client { peer: peer.to_owned(), out, pings: Pings::default() });
        self.changed.notify_all();
    }

    pub(super) fn remove(&self, number: u32) {
        self.lock().clients.remove(&number);
    }

    /// A Ping is sent to a client.
    pub(super) fn pinged(&self, number: u32, frame: &Frame) {
        if let Some(client) = self.lock().clients.get_mut(&number) {
            client.pings.sent(frame.payload(), Instant::now());
        }
    }

    /// A client has sent a Pong. Returns the time since its Ping.
    pub(super) fn returned(&self, number: u32, frame: &Frame) -> Option<Duration> {
        self.lock().clients.get_mut(&number)?.pings.returned(frame.payload(), Instant::now())
    }

    /// Ends the server. Clients receive a Close frame with 1001.
    pub(super) fn shutdown(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
        if let Some(server) = self.server.get() {
            // An error means that the loop has ended already.
            let _ = server.shutdown();
        }
    }

    /// Returns why the input could not be read.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.lock().failure.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the senders of all clients. Messages of a pipe wait for the first client.
    fn senders(&self) -> Result<Vec<Sender>, Ended> {
        let is_waiting =
            |state: &mut State| !self.is_interactive && state.clients.is_empty() && !state.has_ended;
        let state = self.changed.wait_while(self.lock(), is_waiting).unwrap_or_else(PoisonError::into_inner);
        if state.has_ended {
            return Err(Ended);
        }
        if state.clients.is_empty() {
            self.output.notice("no client is connected");
        }
        Ok(state.clients.values().map(|client| client.out.clone()).collect())
    }
}

impl Target for Clients {
    /// A client that disconnects meanwhile misses the message.
    fn send(&self, message: Message) -> Result<(), Ended> {
        self.senders()?.iter().for_each(|out| drop(send_when_possible(out, &message)));
        Ok(())
    }

    fn send_to(&self, client: u32, message: Message) -> Result<(), String> {
        let out = self.lock().clients.get(&client).map(|client| client.out.clone());
        let unknown = || format!("there is no client {client}; /clients lists them");
        send_when_possible(&out.ok_or_else(unknown)?, &message).map_err(|Ended| unknown())
    }

    fn ping(&self, payload: Vec<u8>) -> Result<(), Ended> {
        self.senders()?.iter().for_each(|out| drop(retry(|| out.ping(payload.clone()))));
        Ok(())
    }

    fn pong(&self, payload: Vec<u8>) -> Result<(), Ended> {
        self.senders()?.iter().for_each(|out| drop(retry(|| out.pong(payload.clone()))));
        Ok(())
    }

    /// Closes the connections. The server accepts further ones.
    fn close(&self, code: CloseCode, reason: &str) -> bool {
        let senders: Vec<Sender> = self.lock().clients.values().map(|client| client.out.clone()).collect();
        // An error means that the connection is closed already.
        senders.iter().for_each(|out| drop(out.close_with_reason(code, reason.to_owned())));
        false
    }

    fn quit(&self) {
        self.shutdown();
    }

    /// The server continues without input, as one that runs in the background.
    fn input_ended(&self) {}

    fn input_failed(&self, failure: Failure) {
        self.lock().failure = Some(failure);
        self.shutdown();
    }

    fn clients(&self) -> Vec<String> {
        let state = self.lock();
        let described = state.clients.iter().map(|(number, client)| {
            format!(
                "[{number}] {}, {} bytes unsent",
                escape::line(&client.peer),
                client.out.buffered_amount()
            )
        });
        if state.clients.is_empty() { vec!["no client is connected".to_owned()] } else { described.collect() }
    }

    fn help(&self) -> String {
        format!("{}\n{}", commands::HELP, commands::SERVER_HELP)
    }
}
