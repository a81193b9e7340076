//! Connecting to the host of a URL.

use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use url::Url;

use super::{Builder, Socket};
#[cfg(unix)]
use crate::protocol::handshake::unix_target;
use crate::socket::options::authority;
use crate::socket::{Error, Result, TimeoutKind};

impl Builder {
    /// Connects the stream for a URL, without TLS.
    pub(super) fn connect_stream(&self, url: &Url) -> Result<Socket> {
        if let Some(stream) = connect_unix(url)? {
            return Ok(stream);
        }
        let stream = self.connect_tcp(url)?;
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(stream))
    }

    /// Tries the addresses of a host, one after the other.
    fn connect_tcp(&self, url: &Url) -> Result<TcpStream> {
        let (host, (found, addresses)) = (url.clone(), channel());
        // The lookup has no timeout of its own, and cannot be interrupted.
        thread::spawn(move || {
            let _ = found.send(host.socket_addrs(|| None));
        });
        let failed = |source| Error::Connect { target: authority(url), source };
        let addresses = match addresses.recv_timeout(self.options.connect_timeout) {
            Ok(addresses) => addresses.map_err(failed)?,
            Err(RecvTimeoutError::Timeout) => return Err(Error::Timeout(TimeoutKind::Connect)),
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
        };
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.options.connect_timeout) {
                Ok(stream) => return Ok(stream),
                Err(err) => failure = err,
            }
        }
        match failure.kind() {
            io::ErrorKind::TimedOut => Err(Error::Timeout(TimeoutKind::Connect)),
            _ => Err(failed(failure)),
        }
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
