//! Sockets that systemd has opened for this process.

use std::io;
use std::os::fd::AsFd;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listener::NativeListener;

/// Takes the sockets, in the order of the unit file. There is at least one.
pub(in crate::reactor) fn listeners() -> io::Result<Vec<NativeListener>> {
    let mut passed = ListenFd::from_env();
    let listeners = (0..passed.len()).map(|at| take(&mut passed, at)).collect::<io::Result<Vec<_>>>()?;
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "systemd has passed none to this process"));
    }
    Ok(listeners)
}

fn take(passed: &mut ListenFd, at: usize) -> io::Result<NativeListener> {
    if let Ok(Some(listener)) = passed.take_unix_listener(at) {
        check(&listener)?;
        listener.set_nonblocking(true)?;
        return Ok(NativeListener::Unix(mio::net::UnixListener::from_std(listener), None));
    }
    // The error contains the number of the descriptor.
    let listener = passed.take_tcp_listener(at)?.ok_or(io::ErrorKind::NotFound)?;
    check(&listener)?;
    listener.set_nonblocking(true)?;
    Ok(NativeListener::tcp(mio::net::TcpListener::from_std(listener)))
}

/// Rejects a connection, which a unit file with `Accept=yes` passes in place of a listener.
fn check(socket: &impl AsFd) -> io::Result<()> {
    match SockRef::from(socket).peer_addr() {
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a connection was passed: set Accept=no")),
        Err(_) => Ok(()),
    }
}
