//! Connecting with tokio to the host of a URL, or to a proxy.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Sleep, sleep_until, timeout, timeout_at};
use url::{Host, Url};

use super::Builder;
use crate::connecting::addresses::Addresses;
use crate::connecting::proxy::Handshake;
use crate::socket::options::{authority, connecting_setters};
use crate::socket::{Error, Result, TimeoutKind};

connecting_setters!(Builder);

/// How much of a proxy's response is examined at once, in bytes.
const PROXY_BUFFER: usize = 1024;

/// A stream that is connected to one address, and when the time for that is over.
type Connected = (TcpStream, Option<Instant>);

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Builder {
    /// Connects a TCP stream to the host of a URL, if necessary through a proxy.
    pub(super) async fn connect_tcp(&self, url: &Url) -> Result<TcpStream> {
        let limit = self.options.connect_timeout;
        let Some(proxy) = self.options.proxy_for(url) else {
            let (host, port) = (url.host().map(|host| host.to_owned()), url.port_or_known_default());
            return connect(host, port.unwrap_or(80), &authority(url), limit).await.map(|(stream, _)| stream);
        };
        let name = format!("the proxy {}", proxy.address());
        let (stream, end) = connect(Some(proxy.host().clone()), proxy.port(), &name, limit).await?;
        let handshake = Handshake::new(proxy, url, &self.options.config)?;
        let opening = open_tunnel(&stream, handshake, &name);
        match end {
            Some(end) => timeout_at(end.into(), opening).await.map_err(|_| late())??,
            None => opening.await?,
        }
        Ok(stream)
    }
}

/// Resolves a host, and connects to one of its addresses. `name` is for error texts.
async fn connect(host: Option<Host>, port: u16, name: &str, limit: Duration) -> Result<Connected> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::TimedOut => late(),
        _ => Error::Connect { target: name.to_owned(), source },
    };
    let resolved = timeout(limit, resolve(host, port)).await.map_err(|_| late())?.map_err(failed)?;
    let mut race = Race::new(Addresses::new(resolved, limit));
    poll_fn(|cx| race.poll(cx)).await.map_err(failed)
}

/// Looks up the addresses of a host.
async fn resolve(host: Option<Host>, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        Some(Host::Domain(name)) => Ok(lookup_host((name, port)).await?.collect()),
        Some(Host::Ipv4(address)) => Ok(vec![(address, port).into()]),
        Some(Host::Ipv6(address)) => Ok(vec![(address, port).into()]),
        None => Ok(Vec::new()),
    }
}

/// The attempts to connect to the addresses of a host (RFC 8305 §5).
struct Race {
    addresses: Addresses,
    attempts: Vec<(SocketAddr, Attempt)>,
    sleep: Option<Pin<Box<Sleep>>>,
    failure: io::Error,
}

impl Race {
    fn new(addresses: Addresses) -> Self {
        let failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        Self { addresses, attempts: Vec::new(), sleep: None, failure }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Connected>> {
        loop {
            if let Some((address, stream)) = self.poll_attempts(cx) {
                return Poll::Ready(Ok((stream, self.addresses.end_of(address))));
            }
            let now = Instant::now();
            while let Some(late) = self.addresses.expire(now) {
                self.attempts.retain(|(address, _)| *address != late);
                self.failure = io::ErrorKind::TimedOut.into();
            }
            let before = self.attempts.len();
            while let Some(address) = self.addresses.next(now) {
                self.attempts.push((address, Box::pin(TcpStream::connect(address))));
            }
            if self.attempts.len() > before {
                continue;
            }
            if self.addresses.is_over() {
                let failure = std::mem::replace(&mut self.failure, io::ErrorKind::NotFound.into());
                return Poll::Ready(Err(failure));
            }
            ready!(self.poll_deadline(cx));
        }
    }

    /// Returns a stream that is connected. Attempts that have failed are removed.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<(SocketAddr, TcpStream)> {
        let mut at = 0;
        while let Some((address, attempt)) = self.attempts.get_mut(at) {
            let address = *address;
            match attempt.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => return Some((address, stream)),
                Poll::Ready(Err(err)) => {
                    drop(self.attempts.remove(at));
                    self.addresses.failed(address);
                    self.failure = err;
                }
            }
        }
        None
    }

    /// Waits until the next attempt begins, or one of them has taken too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.addresses.deadline() else { return Poll::Pending };
        let mut sleep = Box::pin(sleep_until(deadline.into()));
        let polled = sleep.as_mut().poll(cx);
        self.sleep = Some(sleep);
        polled
    }
}

/// Performs the handshake with a proxy. The bytes that follow it stay in the socket.
async fn open_tunnel(stream: &TcpStream, mut handshake: Handshake, name: &str) -> Result<()> {
    let failed = |source| Error::Connect { target: name.to_owned(), source };
    let mut buffer = [0; PROXY_BUFFER];
    loop {
        while !handshake.output().is_empty() {
            stream.writable().await.map_err(failed)?;
            handshake.sent(or_zero(stream.try_write(handshake.output())).map_err(failed)?);
        }
        if handshake.is_done() {
            return Ok(());
        }
        let len = stream.peek(&mut buffer).await.map_err(failed)?;
        if len == 0 {
            return Err(handshake.cut_off().into());
        }
        let taken = handshake.receive(buffer.get(..len).unwrap_or_default())?;
        discard(stream, buffer.get_mut(..taken).unwrap_or_default()).await.map_err(failed)?;
    }
}

/// Reads bytes that have arrived, and that are known already.
async fn discard(stream: &TcpStream, mut known: &mut [u8]) -> io::Result<()> {
    while !known.is_empty() {
        stream.readable().await?;
        let len = or_zero(stream.try_read(known))?;
        known = known.get_mut(len..).unwrap_or_default();
    }
    Ok(())
}

/// Returns 0 if the stream was not ready.
fn or_zero(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(0),
        moved => moved,
    }
}

fn late() -> Error {
    Error::Timeout(TimeoutKind::Connect)
}
