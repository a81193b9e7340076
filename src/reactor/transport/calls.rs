//! The calls that most messages need: reading into one buffer, and writing one slice.
//!
//! On Linux they do not use the C library. There, a thread can be cancelled in these calls, and as soon as a program has a second
//! thread, this takes 48 instructions more per call (callgrind, glibc 2.36).

use std::io;
#[cfg(not(target_os = "linux"))]
use std::io::{Read as _, Write as _};

use mio::net::TcpStream;
#[cfg(target_os = "linux")]
use rustix::io::retry_on_intr;
#[cfg(target_os = "linux")]
use rustix::net::{RecvFlags, SendFlags};

/// Reads from a socket. Repeats interrupted calls.
#[cfg(target_os = "linux")]
#[inline]
pub(super) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (len, _) = retry_on_intr(|| rustix::net::recv(stream, &mut *buffer, RecvFlags::empty()))?;
    Ok(len)
}

/// Writes to a socket. Repeats interrupted calls, and never raises SIGPIPE.
#[cfg(target_os = "linux")]
#[inline]
pub(super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::net::send(stream, bytes, SendFlags::NOSIGNAL))?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    retry(|| stream.read(buffer))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    retry(|| stream.write(bytes))
}

/// Repeats a call that a signal has interrupted.
#[cfg(not(target_os = "linux"))]
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
