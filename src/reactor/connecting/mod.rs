//! New connections of the client's role: dialing, and moving on when the server says so.

pub(super) mod attempt;
pub(super) mod resolver;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use log::error;
use mio::Token;
use url::Url;

use self::attempt::{Dial, Next};
use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::sender::Sender;
use super::connection::{Connection, Moved, Redirect};
use super::loop_state::Name;
use super::timers::Owned;
use super::transport::Socket;
use super::{Entry, Life, Reactor, index};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol;
use crate::protocol::handshake::Request;

impl<F: Factory> Reactor<F> {
    /// Makes a new connection, on a stream if there is one already.
    pub(super) fn connect(&mut self, url: Url, stream: Option<TcpStream>, from: Option<Name>) {
        if self.life != Life::Running {
            return;
        }
        if !self.has_room() {
            return self.no_room(&url, from);
        }
        let slot = self.entries.vacant_entry().key();
        let name = self.take_name(slot);
        let sender = Sender::connection(Arc::clone(&self.cx.hub), name.slot, name.id);
        let handler = self.factory.client_connected(sender);
        let redirect = Redirect { url, left: self.cx.settings.max_redirects, is_due: false };
        let dial = Dial::new(name, handler, redirect, Vec::new(), Owned::default());
        self.entries.insert(Entry::Dialing(Box::new(dial)));
        self.dial(name, stream);
    }

    /// The connection that has asked for another one hears that there is no room; it goes on.
    fn no_room(&mut self, url: &Url, from: Option<Name>) {
        let err = Error::new(ErrorKind::Capacity, format!("no room for a connection to {url}"));
        assert!(!self.cx.settings.panic_on_new_connection, "{err}");
        let asker = from.and_then(|name| {
            self.entries.get_mut(index(name.slot)).filter(|entry| entry.name() == Some(name))
        });
        match asker {
            Some(Entry::Connected(connection)) => {
                connection.call(&mut self.cx, |handler| handler.on_error(err));
            }
            Some(Entry::Dialing(dial)) => {
                dial.call(&mut self.cx, |handler| handler.on_error(err));
            }
            Some(Entry::Changing) | None => {
                error!("{err}");
                // A loop that was asked for nothing else has nothing left to do.
                self.has_lost = true;
            }
        }
    }

    fn dial(&mut self, name: Name, stream: Option<TcpStream>) {
        if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) {
            let next = dial.start(stream, &mut self.cx);
            self.go_on(name, next);
        }
    }

    /// The sockets of some dials have something to tell.
    pub(super) fn go_on_dialing(&mut self) {
        for slot in std::mem::take(&mut self.dialing) {
            if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(slot)) {
                let (name, next) = (dial.name, dial.on_event(&mut self.cx));
                self.go_on(name, next);
            }
        }
    }

    pub(super) fn dial_alarm(&mut self, name: Name) {
        if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) {
            let next = dial.on_alarm(&mut self.cx);
            self.go_on(name, next);
        }
    }

    /// A name has been looked up.
    pub(super) fn found(&mut self, name: Name, found: io::Result<Vec<SocketAddr>>) {
        let entry = self.entries.get_mut(index(name.slot)).filter(|entry| entry.name() == Some(name));
        if let Some(Entry::Dialing(dial)) = entry {
            let next = dial.on_found(found, &mut self.cx);
            self.go_on(name, next);
        }
    }

    fn go_on(&mut self, name: Name, next: Next) {
        match next {
            Next::Wait => {}
            Next::LookUp(host, port) => self.resolver.look_up(name, host, port),
            Next::Connected(socket, request) => self.connected(name, socket, request),
            Next::Failed(err) => self.fail_dial(name, err),
        }
    }

    /// TCP is made: the opening handshake begins, that of TLS first if the URL asks for it.
    fn connected(&mut self, name: Name, socket: Socket, request: Request) {
        let socket = match self.encrypt_client(name, socket) {
            Some(Ok(socket)) => socket,
            Some(Err(err)) => return self.fail_dial(name, err),
            None => return,
        };
        let mut output = self.cx.take_output();
        let out = protocol::Output::buffer(&mut *output);
        let config = Arc::clone(&self.cx.config);
        let protocol = match protocol::Connection::client(config, request, self.cx.now, out) {
            Ok(protocol) => protocol,
            Err(err) => return self.fail_dial(name, err.into()),
        };
        let Some(entry) = self.entries.get_mut(index(name.slot)) else { return };
        let Entry::Dialing(dial) = std::mem::replace(entry, Entry::Changing) else { return };
        let dial = *dial;
        let mut connection = Connection::new(name, socket, protocol, dial.handler, Some(output), dial.timers);
        connection.hears_writable();
        connection.begin_as_client(dial.early, dial.redirect, &mut self.cx);
        *entry = Entry::Connected(connection);
    }

    /// Encrypts a socket if the URL asks for that; `None` if the handler has panicked meanwhile.
    ///
    /// While the handler has the stream the loop does not watch it: it may give back another one.
    fn encrypt_client(&mut self, name: Name, mut socket: Socket) -> Option<Result<Socket>> {
        let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) else { return None };
        if dial.redirect.url.scheme() != "wss" {
            return Some(Ok(socket));
        }
        if let Err(err) = socket.deregister(&self.cx.registry) {
            return Some(Err(err.into()));
        }
        let Socket::Tcp(stream) = socket else { return Some(Ok(socket)) };
        let (url, keys) = (dial.redirect.url.clone(), self.cx.keys.clone());
        let begun = dial.call(&mut self.cx, |handler| keys.connect(stream, handler, &url))?;
        Some(begun.and_then(|tls| {
            let mut socket = Socket::Tls(Box::new(tls));
            socket.register(&self.cx.registry, Token(index(name.slot)), socket.interest())?;
            Ok(socket)
        }))
    }

    /// The attempt has come to nothing: the handler hears why, and goes back to the factory.
    pub(super) fn fail_dial(&mut self, name: Name, err: Error) {
        self.cx.note_failure(name, &err);
        assert!(!self.cx.settings.panic_on_new_connection, "a connection could not be made: {err}");
        if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) {
            dial.give_up(&mut self.cx);
            dial.call(&mut self.cx, |handler| handler.on_error(err));
            self.cx.dead.push(name.slot);
        }
    }

    /// A callback of a handler that is still dialing has returned.
    pub(super) fn after_dial_callback(&mut self, name: Name, result: Result<()>) {
        match result {
            Ok(()) => {}
            Err(err) if matches!(err.kind, ErrorKind::Queue(_) | ErrorKind::Custom(_)) => {
                if let Some(Entry::Dialing(dial)) = self.entries.get_mut(index(name.slot)) {
                    dial.call(&mut self.cx, |handler| handler.on_error(err));
                }
            }
            Err(err) => self.fail_dial(name, err),
        }
    }

    pub(super) fn bury_dial(&mut self, mut dial: Dial<F::Handler>) {
        self.cx.timers.cancel_all(&mut dial.timers);
        self.cx.hub.vacate(dial.name.slot);
        self.lose(dial.handler);
    }

    /// The server has sent the client elsewhere: it dials again, with the same handler, in the same slot. Returns whether
    /// that is so.
    pub(super) fn move_on(&mut self, slot: u32) -> bool {
        let Some(entry) = self.entries.get_mut(index(slot)) else { return false };
        if self.life != Life::Running || !matches!(entry, Entry::Connected(it) if it.has_moved()) {
            return false;
        }
        let Entry::Connected(connection) = std::mem::replace(entry, Entry::Changing) else { return false };
        let name = connection.name();
        let Some(Moved { handler, redirect, early, timers }) = connection.into_moved(&mut self.cx) else {
            return false;
        };
        let redirect = Redirect { is_due: false, ..redirect };
        *entry = Entry::Dialing(Box::new(Dial::new(name, handler, redirect, early, timers)));
        self.dial(name, None);
        true
    }
}
