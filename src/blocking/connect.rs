//! Connecting to the host of a URL, or to a proxy.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::timeout::{TICK, is_timeout};
use super::{Builder, Socket};
use crate::connecting::addresses::Addresses;
use crate::connecting::proxy::{Handshake, ProxyServer};
#[cfg(unix)]
use crate::protocol::handshake::unix_target;
use crate::socket::options::{authority, connecting_setters};
use crate::socket::{Error, Result, TimeoutKind};

connecting_setters!(Builder);

/// How much of a proxy's response is examined at once, in bytes.
const PROXY_BUFFER: usize = 1024;

/// A host and port.
struct Destination {
    host: Host,
    port: u16,
    /// For error texts.
    name: String,
}

/// A stream that is connected to one address, and when the time for that is over.
type Connected = (TcpStream, Option<Instant>);

impl Builder {
    /// Connects the stream for a URL, without TLS.
    pub(super) fn connect_stream(&self, url: &Url) -> Result<Socket> {
        if let Some(stream) = connect_unix(url)? {
            return Ok(stream);
        }
        let proxy = self.options.proxy_for(url);
        let destination =
            proxy.map_or_else(|| Destination::of_url(url), |proxy| Ok(Destination::of(proxy)))?;
        let (mut stream, end) = self.connect_tcp(&destination)?;
        stream.set_nodelay(true)?;
        if let Some(proxy) = proxy {
            let handshake = Handshake::new(proxy, url, &self.options.config)?;
            open_tunnel(&mut stream, handshake, end, destination)?;
        }
        Ok(Socket::Tcp(stream))
    }

    /// Resolves a host, and connects to one of its addresses.
    fn connect_tcp(&self, destination: &Destination) -> Result<Connected> {
        let limit = self.options.connect_timeout;
        let failed = |source: io::Error| destination.failed(source);
        let connected = race(Addresses::new(destination.resolve(limit)?, limit), limit);
        connected.map_err(failed)
    }
}

impl Destination {
    fn of(proxy: &ProxyServer) -> Self {
        let name = format!("the proxy {}", proxy.address());
        Self { host: proxy.host().clone(), port: proxy.port(), name }
    }

    fn of_url(url: &Url) -> Result<Self> {
        let (name, port) = (authority(url), url.port_or_known_default().unwrap_or(80));
        let none = || io::Error::new(io::ErrorKind::NotFound, "the URL has no host");
        match url.host() {
            Some(host) => Ok(Self { host: host.to_owned(), port, name }),
            None => Err(Error::Connect { target: name, source: none() }),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::TimedOut => Error::Timeout(TimeoutKind::Connect),
            _ => Error::Connect { target: self.name.clone(), source },
        }
    }

    fn resolve(&self, limit: Duration) -> Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Ipv4(address) => return Ok(vec![(*address, self.port).into()]),
            Host::Ipv6(address) => return Ok(vec![(*address, self.port).into()]),
            Host::Domain(name) => name.clone(),
        };
        let (port, (found, addresses)) = (self.port, channel());
        // The lookup has no timeout of its own, and cannot be interrupted.
        thread::spawn(move || {
            let resolved = (&*name, port).to_socket_addrs();
            let _ = found.send(resolved.map(Iterator::collect));
        });
        let failed = |source| Error::Connect { target: self.name.clone(), source };
        match addresses.recv_timeout(limit) {
            Ok(addresses) => addresses.map_err(failed),
            Err(RecvTimeoutError::Timeout) => Err(Error::Timeout(TimeoutKind::Connect)),
            Err(RecvTimeoutError::Disconnected) => Ok(Vec::new()),
        }
    }
}

/// Connects to the first address that accepts (RFC 8305 §5). The last attempt runs on this thread, and those before it each on one
/// of their own, which ends after `limit` at the latest.
fn race(mut addresses: Addresses, limit: Duration) -> io::Result<Connected> {
    let (sender, results) = channel();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        while let Some(address) = addresses.next(Instant::now()) {
            if addresses.is_last() {
                return Ok((TcpStream::connect_timeout(&address, limit)?, addresses.end_of(address)));
            }
            let sender = sender.clone();
            let connect = move || {
                // This fails after another attempt has succeeded.
                let _ = sender.send((address, TcpStream::connect_timeout(&address, limit)));
            };
            if let Err(err) = thread::Builder::new().name("sockeye-connect".to_owned()).spawn(connect) {
                addresses.failed(address);
                failure = err;
            }
        }
        if addresses.is_over() {
            return Err(failure);
        }
        // Without a deadline, the attempts themselves have none.
        let left =
            addresses.deadline().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        match results.recv_timeout(left) {
            Ok((address, Ok(stream))) => return Ok((stream, addresses.end_of(address))),
            Ok((address, Err(err))) => {
                addresses.failed(address);
                failure = err;
            }
            Err(_) => {
                while addresses.expire(Instant::now()).is_some() {
                    failure = io::ErrorKind::TimedOut.into();
                }
            }
        }
    }
}

/// Performs the handshake with a proxy. The bytes that follow it stay in the socket.
fn open_tunnel(
    stream: &mut TcpStream,
    mut handshake: Handshake,
    end: Option<Instant>,
    proxy: Destination,
) -> Result<()> {
    let mut buffer = [0; PROXY_BUFFER];
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::Timeout(TimeoutKind::Connect));
        }
        let timeout = left.map(|left| left.max(TICK));
        stream.set_write_timeout(timeout)?;
        stream.set_read_timeout(timeout)?;
        match step(stream, &mut handshake, &mut buffer) {
            Ok(received) => received?,
            // The time is checked again.
            Err(err) if is_timeout(&err) || err.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Connect { target: proxy.name, source }),
        }
        if handshake.is_done() {
            stream.set_write_timeout(None)?;
            return Ok(stream.set_read_timeout(None)?);
        }
    }
}

/// Sends what the handshake has to send, or else receives once. The inner error is that of the proxy.
fn step(stream: &mut TcpStream, handshake: &mut Handshake, buffer: &mut [u8]) -> io::Result<Result<()>> {
    use std::io::{Read as _, Write as _};
    if !handshake.output().is_empty() {
        let len = stream.write(handshake.output())?;
        handshake.sent(len);
        return Ok(Ok(()));
    }
    let len = stream.peek(buffer)?;
    if len == 0 {
        return Ok(Err(handshake.cut_off().into()));
    }
    match handshake.receive(buffer.get(..len).unwrap_or_default()) {
        // These bytes have arrived, so that this does not block.
        Ok(taken) => stream.read_exact(buffer.get_mut(..taken).unwrap_or_default()).map(Ok),
        Err(err) => Ok(Err(err.into())),
    }
}

#[cfg(unix)]
fn connect_unix(url: &Url) -> Result<Option<Socket>> {
    let Some((path, _)) = unix_target(url) else { return Ok(None) };
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Some(Socket::Unix(stream))),
        Err(source) => Err(Error::Connect { target: path, source }),
    }
}

#[cfg(not(unix))]
fn connect_unix(_: &Url) -> Result<Option<Socket>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn connect(addresses: &[SocketAddr]) -> io::Result<Option<SocketAddr>> {
        race(Addresses::new(addresses.to_vec(), LIMIT), LIMIT).map(|(stream, _)| stream.peer_addr().ok())
    }

    #[test]
    fn s5_addresses_that_refuse_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // No other socket can listen on the ports of these streams.
        let streams = [(); 2].map(|()| TcpStream::connect(open).unwrap());
        let [one, two] = streams.each_ref().map(|stream| stream.local_addr().unwrap());
        for addresses in [&[open][..], &[one, open], &[one, two, open], &[open, one], &[one, open, two]] {
            assert_eq!(connect(addresses).unwrap(), Some(open), "{addresses:?}");
        }
        for addresses in [&[one][..], &[one, two]] {
            assert_eq!(connect(addresses).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
        assert_eq!(connect(&[]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
