//! A client on its way: its name is looked up, and its addresses are tried one after the other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Token};
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Request, unsupported_scheme, without_credentials};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::util::Timeout;
use crate::reactor::connection::Redirect;
use crate::reactor::loop_state::{ConnectionId, LoopState, TimerEvent, TimerKind};
use crate::reactor::queue::{Command, Phase};
use crate::reactor::timers::{Key, TimerList};
use crate::reactor::tls;
use crate::reactor::transport::Socket;

/// A client whose TCP is not made.
#[derive(Debug)]
pub(crate) struct ConnectAttempt<H> {
    pub(crate) id: ConnectionId,
    /// `None` after it has panicked.
    pub(crate) handler: Option<H>,
    pub(crate) redirect: Redirect,
    /// What waits for the connection to open.
    pub(crate) early: Vec<Command>,
    pub(crate) timers: TimerList,
    request: Option<Request>,
    addresses: VecDeque<SocketAddr>,
    socket: Option<Socket>,
    /// The alarm of the attempt, or of the look-up.
    deadline: Option<Key>,
    /// Why the last attempt failed.
    failure: Option<io::Error>,
    /// Whether it has come to nothing, and only waits to be removed.
    is_over: bool,
}

/// What is next for a dial.
#[derive(Debug)]
pub(crate) enum Next {
    Wait,
    /// The name of this host is to be looked up.
    LookUp(String, u16),
    /// TCP is made.
    Connected(Socket, Request),
    Failed(Error),
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Address(SocketAddr),
    Host(String, u16),
    #[cfg(unix)]
    Path(String),
}

impl<H: Handler> ConnectAttempt<H> {
    pub(crate) fn new(
        id: ConnectionId,
        handler: H,
        redirect: Redirect,
        early: Vec<Command>,
        timers: TimerList,
    ) -> Self {
        Self {
            id,
            handler: Some(handler),
            redirect,
            early,
            timers,
            request: None,
            addresses: VecDeque::new(),
            socket: None,
            deadline: None,
            failure: None,
            is_over: false,
        }
    }

    /// Builds the request, and goes to where the URL leads.
    pub(crate) fn start(&mut self, stream: Option<std::net::TcpStream>, state: &mut LoopState) -> Next {
        match self.prepare(stream, state) {
            Ok(next) => next,
            Err(err) => Next::Failed(err),
        }
    }

    fn prepare(&mut self, stream: Option<std::net::TcpStream>, state: &mut LoopState) -> Result<Next> {
        let url = self.redirect.url.clone();
        let Some(request) = self.call(state, |handler| handler.build_request(&url)) else {
            return Ok(Next::Wait);
        };
        self.request = Some(request?);
        if let Some(stream) = stream {
            let mut socket = Socket::from_std(stream).map_err(|err| self.connect_error(err))?;
            self.register(&mut socket, state).map_err(|err| self.connect_error(err))?;
            return Ok(self.connected(socket));
        }
        match place(&self.redirect.url)? {
            Place::Address(address) => {
                self.addresses.push_back(address);
                Ok(self.try_next(state))
            }
            Place::Host(host, port) => {
                self.rearm_deadline(state);
                Ok(Next::LookUp(host, port))
            }
            #[cfg(unix)]
            Place::Path(path) => {
                let begun = mio::net::UnixStream::connect(path)
                    .and_then(|stream| self.watch(Socket::Unix(stream), state));
                begun.map(|()| Next::Wait).map_err(|err| self.connect_error(err))
            }
        }
    }

    /// Calls a method of the handler; one that panics, and is let, ends the dial, and is not called again.
    pub(crate) fn call<R>(&mut self, state: &mut LoopState, method: impl FnOnce(&mut H) -> R) -> Option<R> {
        let handler = self.handler.as_mut()?;
        let called = state.guard(|| method(handler));
        if called.is_none() {
            self.handler = None;
            self.abandon(state);
            state.to_close.push(self.id.slot);
        }
        called
    }

    /// Ends all that is under way.
    pub(crate) fn abandon(&mut self, state: &mut LoopState) {
        self.is_over = true;
        if let Some(status) = state.queue.status(self.id.slot) {
            status.advance(Phase::Closed);
        }
        self.socket = None;
        self.cancel_deadline(state);
    }

    /// Sets a time-out of the handler.
    pub(crate) fn set_timeout(
        &mut self,
        at: Option<Instant>,
        token: crate::reactor::api::util::Token,
        state: &mut LoopState,
    ) -> Option<Timeout> {
        let event = TimerEvent { id: self.id, kind: TimerKind::User(token) };
        state.schedule_timeout(at, &mut self.timers, event)
    }

    /// The name has been looked up.
    pub(crate) fn on_resolved(&mut self, found: io::Result<Vec<SocketAddr>>, state: &mut LoopState) -> Next {
        match found {
            _ if self.is_over => Next::Wait,
            Ok(addresses) => {
                self.addresses = addresses.into();
                self.try_next(state)
            }
            Err(err) => {
                let host = self.redirect.url.host_str().unwrap_or_default();
                Next::Failed(Error::io(format!("cannot resolve the host {host}"), err))
            }
        }
    }

    /// The socket of the attempt has something to tell.
    pub(crate) fn on_event(&mut self, state: &mut LoopState) -> Next {
        match self.socket.as_ref().and_then(Socket::connected) {
            None => Next::Wait,
            Some(Ok(())) => match self.socket.take() {
                Some(socket) => {
                    self.cancel_deadline(state);
                    self.connected(socket)
                }
                None => Next::Wait,
            },
            Some(Err(err)) => {
                self.failure = Some(err);
                self.try_next(state)
            }
        }
    }

    /// The attempt, or the look-up, has taken too long.
    pub(crate) fn on_deadline(&mut self, state: &mut LoopState) -> Next {
        if self.is_over {
            return Next::Wait;
        }
        self.deadline = None;
        self.failure = Some(io::ErrorKind::TimedOut.into());
        self.try_next(state)
    }

    /// Tries the next address, in the order of the resolver.
    fn try_next(&mut self, state: &mut LoopState) -> Next {
        self.socket = None;
        self.cancel_deadline(state);
        while let Some(address) = self.addresses.pop_front() {
            let begun = TcpStream::connect(address).and_then(|stream| self.watch(Socket::Tcp(stream), state));
            match begun {
                Ok(()) => return Next::Wait,
                Err(err) => self.failure = Some(err),
            }
        }
        let failure = self.failure.take().unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Next::Failed(self.connect_error(failure))
    }

    /// Names the URL in an error of the operating system.
    fn connect_error(&self, err: io::Error) -> Error {
        Error::io(format!("cannot connect to {}", without_credentials(&self.redirect.url)), err)
    }

    fn watch(&mut self, mut socket: Socket, state: &mut LoopState) -> io::Result<()> {
        self.register(&mut socket, state)?;
        self.socket = Some(socket);
        self.rearm_deadline(state);
        Ok(())
    }

    fn register(&self, socket: &mut Socket, state: &LoopState) -> io::Result<()> {
        if state.settings.tcp_nodelay {
            // Not every system takes it before the connection is made; then it is set again after.
            let _ = socket.set_nodelay();
        }
        let token = Token(usize::try_from(self.id.slot).unwrap_or(usize::MAX));
        socket.register(&state.registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn connected(&mut self, socket: Socket) -> Next {
        match self.request.take() {
            Some(request) => Next::Connected(socket, request),
            None => Next::Wait,
        }
    }

    fn rearm_deadline(&mut self, state: &mut LoopState) {
        let event = TimerEvent { id: self.id, kind: TimerKind::Connection };
        self.deadline = state.schedule_in(state.settings.connect_timeout, &mut self.timers, event);
    }

    fn cancel_deadline(&mut self, state: &mut LoopState) {
        if let Some(key) = self.deadline.take() {
            state.timers.cancel(key);
        }
    }
}

/// Finds out where a URL leads.
fn place(url: &Url) -> Result<Place> {
    let port = match url.scheme() {
        "ws" => url.port().unwrap_or(80),
        #[cfg(unix)]
        "ws+unix" => return unix_place(url),
        "wss" if tls::IS_SUPPORTED => url.port().unwrap_or(443),
        "wss" => return Err(invalid_url("this build of sockeye does not have the feature `ssl`", url)),
        _ => return Err(unsupported_scheme(url)),
    };
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(Place::Address((address, port).into())),
        Some(Host::Ipv6(address)) => Ok(Place::Address((address, port).into())),
        Some(Host::Domain(host)) if !host.is_empty() => Ok(Place::Host(host.to_owned(), port)),
        _ => Err(invalid_url("the URL has no host", url)),
    }
}

#[cfg(unix)]
fn unix_place(url: &Url) -> Result<Place> {
    let target = crate::protocol::handshake::unix_target(url);
    target
        .map(|(path, _)| Place::Path(path))
        .ok_or_else(|| invalid_url("the URL does not contain the path of a socket", url))
}

fn invalid_url(why: &str, url: &Url) -> Error {
    Error::new(ErrorKind::Protocol, format!("cannot connect to {}: {why}", without_credentials(url)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn place_of(url: &str) -> Option<Place> {
        place(&Url::parse(url).unwrap()).ok()
    }

    #[test]
    fn a_url_leads_to_an_address_or_a_name() {
        assert_eq!(place_of("ws://127.0.0.1/x"), Some(Place::Address("127.0.0.1:80".parse().unwrap())));
        assert_eq!(place_of("ws://[::1]:3012/x"), Some(Place::Address("[::1]:3012".parse().unwrap())));
        assert_eq!(place_of("ws://example.com"), Some(Place::Host("example.com".to_owned(), 80)));
        assert_eq!(place_of("http://example.com"), None);
        let encrypted = place_of("wss://example.com");
        assert_eq!(encrypted, tls::IS_SUPPORTED.then(|| Place::Host("example.com".to_owned(), 443)));
    }

    /// Tries the addresses that a name has been resolved to, until a connection is established or all have failed.
    fn connect_through(addresses: Vec<SocketAddr>) -> Next {
        dial_through_silence(addresses, 0)
    }

    /// As `dial_through`. The first `silent` addresses never answer: the events of their sockets are not delivered.
    fn dial_through_silence(addresses: Vec<SocketAddr>, silent: usize) -> Next {
        let mut poll = mio::Poll::new().unwrap();
        let settings = crate::Settings { connect_timeout: Duration::from_millis(200), ..Default::default() };
        let queue = crate::reactor::queue::CommandQueue::new(&settings, Box::new(|| {}));
        let mut state = LoopState::new(settings, Arc::new(queue), poll.registry().try_clone().unwrap());
        let redirect = Redirect { url: "ws://example.com/".parse().unwrap(), left: 0, is_due: false };
        let handler = |_: crate::Message| Ok(());
        let mut attempt = ConnectAttempt::new(
            ConnectionId { slot: 0, serial: 0 },
            handler,
            redirect,
            Vec::new(),
            TimerList::default(),
        );
        assert!(matches!(attempt.start(None, &mut state), Next::LookUp(..)));
        let mut events = mio::Events::with_capacity(8);
        let mut next = attempt.on_resolved(Ok(addresses), &mut state);
        let mut timeouts = 0;
        while matches!(next, Next::Wait) {
            poll.poll(&mut events, state.until_next_timer()).unwrap();
            state.now = Instant::now();
            next = match state.pop_due() {
                Some(_) => {
                    timeouts += 1;
                    attempt.on_deadline(&mut state)
                }
                None if events.is_empty() || timeouts < silent => Next::Wait,
                None => attempt.on_event(&mut state),
            };
        }
        next
    }

    /// Returns an address that refuses connections. No other socket can listen there while the stream is open.
    fn closed_port() -> (std::net::TcpStream, SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = stream.local_addr().unwrap();
        (stream, address)
    }

    #[test]
    fn k7_addresses_are_tried_one_after_the_other() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (open, (_stream, closed)) = (listener.local_addr().unwrap(), closed_port());
        for addresses in [vec![open], vec![closed, open], vec![closed, closed, open, closed]] {
            match connect_through(addresses) {
                Next::Connected(socket, _) => assert_eq!(socket.addresses().0, Some(open)),
                next => panic!("{next:?}"),
            }
        }
    }

    #[test]
    fn k7_an_address_that_does_not_answer_costs_one_timeout() {
        let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [silent, open] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        match dial_through_silence(vec![silent, open], 1) {
            Next::Connected(socket, _) => assert_eq!(socket.addresses().0, Some(open)),
            next => panic!("{next:?}"),
        }
        match dial_through_silence(vec![silent], 1) {
            Next::Failed(Error { kind: ErrorKind::Io(err), .. }) => {
                assert_eq!(err.kind(), io::ErrorKind::TimedOut);
            }
            next => panic!("{next:?}"),
        }
    }

    #[test]
    fn k8_when_no_address_answers_the_last_failure_is_the_reason() {
        let (_stream, closed) = closed_port();
        for addresses in [vec![closed], vec![closed, closed], vec![]] {
            let expected =
                if addresses.is_empty() { io::ErrorKind::NotFound } else { io::ErrorKind::ConnectionRefused };
            match connect_through(addresses) {
                Next::Failed(Error { kind: ErrorKind::Io(err), .. }) => assert_eq!(err.kind(), expected),
                next => panic!("{next:?}"),
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_url_leads_to_a_unix_socket() {
        assert_eq!(place_of("ws+unix:///run/a.sock:/chat"), Some(Place::Path("/run/a.sock".to_owned())));
    }
}
