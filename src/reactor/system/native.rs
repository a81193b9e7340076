//! The operating system, through `mio` and the standard library.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, warn};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use socket2::{SockRef, TcpKeepalive};

use super::resolver::{Name, Resolved, Resolver};
use super::{Addresses, Event, System};
use crate::error::{Error, Result};
use crate::reactor::WAKER;
use crate::reactor::accepting::listener::NativeListener;
use crate::reactor::api::settings::Settings;
use crate::reactor::entries::ConnectionId;
use crate::reactor::queue::AcceptedStream;
use crate::reactor::transport::Socket;

/// The operating system of the program.
pub(in crate::reactor) struct Native {
    poll: Poll,
    waker: Arc<Waker>,
    resolver: Resolver,
    /// The time after which the system probes a TCP connection without traffic.
    keepalive: Option<Duration>,
}

impl Native {
    pub(in crate::reactor) fn new(settings: &Settings) -> Result<Self> {
        let create = || {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            let keepalive = settings.tcp_keepalive;
            Ok(Self { poll, resolver: Resolver::new(Arc::clone(&waker)), waker, keepalive })
        };
        create().map_err(|err| Error::io("cannot create the event queue of the loop", err))
    }

    fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// A connection also works without keepalive, so a system that does not support it is no error.
    fn enable_keepalive(&self, socket: &SockRef<'_>) {
        let Some(time) = self.keepalive else { return };
        if let Err(err) = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)) {
            debug!("cannot enable TCP keepalive: {err}");
        }
    }
}

impl System for Native {
    type Socket = Socket;
    type Listener = NativeListener;
    type Events = Events;

    fn new_events(capacity: usize) -> Events {
        Events::with_capacity(capacity)
    }

    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.poll.poll(events, timeout)
    }

    fn clear(events: &mut Events) {
        events.clear();
    }

    #[inline]
    fn events(events: &Events) -> impl Iterator<Item = Event> + '_ {
        events.iter().map(|event| Event {
            token: event.token(),
            is_readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            is_writable: event.is_writable(),
            is_read_closed: event.is_read_closed(),
        })
    }

    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn clock(&self) -> Box<dyn Fn() -> Instant + Send + Sync> {
        Box::new(Instant::now)
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let waker = Arc::clone(&self.waker);
        Box::new(move || {
            if let Err(err) = waker.wake() {
                warn!("cannot wake the event loop: {err}");
            }
        })
    }

    fn register(&self, socket: &mut Socket, token: Token, interest: Interest) -> io::Result<()> {
        socket.source()?.register(self.registry(), token, interest)
    }

    fn reregister(&self, socket: &mut Socket, token: Token, interest: Interest) -> io::Result<()> {
        socket.source()?.reregister(self.registry(), token, interest)
    }

    fn deregister(&self, socket: &mut Socket) -> io::Result<()> {
        socket.source()?.deregister(self.registry())
    }

    fn listen(&self, listener: &mut NativeListener, token: Token) -> io::Result<()> {
        if let NativeListener::Tcp(listener, _) = listener {
            // Accepted sockets inherit the option.
            self.enable_keepalive(&SockRef::from(&*listener));
        }
        listener.register(self.registry(), token)
    }

    fn accept(&self, listener: &NativeListener) -> io::Result<(Socket, Option<Addresses>)> {
        listener.accept()
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let stream = mio::net::TcpStream::connect(address)?;
        self.enable_keepalive(&SockRef::from(&stream));
        Ok(Socket::Tcp(stream))
    }

    #[cfg(unix)]
    fn connect_unix(&self, path: &str) -> io::Result<Socket> {
        mio::net::UnixStream::connect(path).map(Socket::Unix)
    }

    fn take_over(&self, stream: TcpStream) -> io::Result<Socket> {
        stream.set_nonblocking(true)?;
        Ok(Socket::Tcp(mio::net::TcpStream::from_std(stream)))
    }

    fn release(&self, socket: Socket) -> Option<AcceptedStream> {
        match socket {
            Socket::Tcp(stream) => Some(AcceptedStream::Tcp(stream.into())),
            #[cfg(unix)]
            Socket::Unix(stream) => Some(AcceptedStream::Unix(stream.into())),
            Socket::Tls(_) => None,
        }
    }

    fn take_assigned(&self, stream: AcceptedStream) -> io::Result<Socket> {
        Ok(match stream {
            AcceptedStream::Tcp(stream) => Socket::Tcp(mio::net::TcpStream::from_std(stream)),
            #[cfg(unix)]
            AcceptedStream::Unix(stream) => Socket::Unix(mio::net::UnixStream::from_std(stream)),
        })
    }

    fn resolve(&mut self, id: ConnectionId, name: Name) {
        self.resolver.resolve(id, name);
    }

    fn is_resolving(&self) -> bool {
        self.resolver.is_active()
    }

    fn next_resolved(&mut self) -> Option<Resolved> {
        self.resolver.next()
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w5_keepalive_is_enabled_in_both_roles() -> io::Result<()> {
        for tcp_keepalive in [None, Some(Duration::from_secs(60))] {
            let native = Native::new(&Settings { tcp_keepalive, ..Settings::default() }).unwrap();
            let mut listener = NativeListener::bind(([127, 0, 0, 1], 0).into(), 1)?;
            native.listen(&mut listener, Token(0))?;
            let NativeListener::Tcp(inner, _) = &listener else { unreachable!("it was bound to an address") };
            let client = native.connect(inner.local_addr()?)?;
            let server = loop {
                match native.accept(&listener) {
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                    accepted => break accepted?.0,
                }
            };
            for socket in [client, server] {
                let Socket::Tcp(stream) = socket else { unreachable!("it is not encrypted") };
                assert_eq!(SockRef::from(&stream).keepalive()?, tcp_keepalive.is_some());
            }
        }
        Ok(())
    }
}
