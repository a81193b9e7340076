//! The stream that `tiny_http` and `rouille` hand over for a WebSocket, with the timeouts and the second handle that it lacks.
//!
//! These servers return one object that reads and writes. It has no timeouts, and a read that blocks borrows all of it, so that
//! nothing can be written meanwhile. On Linux, the socket below is found among the open files of this process by the address of the
//! client, and `pidfd_getfd` returns a second descriptor of it. Everything then happens on a [`TcpStream`]; the object of the server is
//! kept until the last handle is dropped, because dropping it shuts the socket down.
//!
//! Where that is not possible, the stream has the abilities of a [`Bare`](crate::blocking::Bare) one.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::blocking;

/// More than the servers read ahead: their buffer has 1 KiB.
const READ_AHEAD: usize = 8 * 1024;

/// What a server hands over.
pub(super) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// The stream of a blocking socket on a connection of `tiny_http` or `rouille`.
///
/// On Linux and over TCP without TLS, it has timeouts and any number of [handles](blocking::WebSocket::try_clone) for other threads, like
/// a [`TcpStream`]. [`is_complete`](Self::is_complete) returns whether it does. Otherwise it is like a [`Bare`](blocking::Bare) stream:
/// the time is checked only when a read returns, and `try_clone` fails with `Unsupported`. This is so on other systems, with TLS or a
/// Unix domain socket, and where the system call `pidfd_getfd` is forbidden, such as by the default profile of Docker.
///
/// # Examples
///
/// ```no_run
/// use std::thread;
///
/// # #[cfg(feature = "tiny_http")]
/// use sockeye::tiny_http::Stream;
/// # #[cfg(not(feature = "tiny_http"))]
/// # use sockeye::rouille::Stream;
/// use sockeye::blocking::{Result, WebSocket};
///
/// /// Sends news while another thread receives, if both is possible at the same time.
/// fn serve(mut socket: WebSocket<Stream>) -> Result<()> {
///     if socket.get_ref().is_some_and(Stream::is_complete) {
///         let mut receiver = socket.try_clone()?;
///         thread::spawn(move || while let Ok(Some(_)) = receiver.receive() {});
///     }
///     socket.send("news")
/// }
/// ```
pub struct Stream(Kind);

enum Kind {
    /// A second descriptor of the socket, and the object of the server, which ends the connection when it is dropped.
    Complete {
        socket: TcpStream,
        server: Arc<Mutex<Box<dyn ReadWrite + Send>>>,
    },
    Bare(Box<dyn ReadWrite + Send>),
}

impl Stream {
    /// Takes over the stream of a server, and returns it with the bytes that the server has read ahead. `client` is the address of the
    /// peer of the TCP connection, unless it is encrypted.
    pub(super) fn take(
        mut server: Box<dyn ReadWrite + Send>,
        client: Option<SocketAddr>,
    ) -> io::Result<(Self, Vec<u8>)> {
        let Some(socket) = client.and_then(find_socket) else {
            return Ok((Self(Kind::Bare(server)), Vec::new()));
        };
        let read_ahead = take_read_ahead(server.as_mut(), &socket)?;
        let server = Arc::new(Mutex::new(server));
        Ok((Self(Kind::Complete { socket, server }), read_ahead))
    }

    /// Returns whether the stream has timeouts, and handles for other threads.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn is_complete(&self) -> bool {
        matches!(self.0, Kind::Complete { .. })
    }
}

/// Takes out what the server has read after the request, without waiting for more. A single read returns all of it.
fn take_read_ahead(server: &mut dyn ReadWrite, socket: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; READ_AHEAD];
    // The mode belongs to the socket, and so to both descriptors.
    socket.set_nonblocking(true)?;
    let read = server.read(&mut bytes);
    socket.set_nonblocking(false)?;
    match read {
        Ok(len) => bytes.truncate(len),
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => bytes.clear(),
        Err(err) => return Err(err),
    }
    Ok(bytes)
}

/// Returns another descriptor of the only TCP connection of this process with this peer.
///
/// A client can use one port for connections to several listeners of the process. Nothing is returned then, because the server does not
/// know the local address.
#[cfg(target_os = "linux")]
fn find_socket(client: SocketAddr) -> Option<TcpStream> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let mut found: Option<TcpStream> = None;
    for entry in std::fs::read_dir("/proc/self/fd").ok()?.flatten() {
        let name = entry.file_name();
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket) else {
            continue;
        };
        // The number may be that of another file by now. What counts is the descriptor that is returned.
        let Ok(descriptor) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let socket = TcpStream::from(descriptor);
        if socket.peer_addr().ok() != Some(client) {
            continue;
        }
        match &found {
            Some(other) if other.local_addr().ok() != socket.local_addr().ok() => return None,
            _ => found = Some(socket),
        }
    }
    found
}

#[cfg(not(target_os = "linux"))]
fn find_socket(_: SocketAddr) -> Option<TcpStream> {
    None
}

impl blocking::Stream for Stream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.0 {
            Kind::Complete { socket, .. } => socket.set_read_timeout(timeout),
            Kind::Bare(_) => Ok(()),
        }
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.0 {
            Kind::Complete { socket, .. } => socket.set_write_timeout(timeout),
            Kind::Bare(_) => Ok(()),
        }
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        match &self.0 {
            Kind::Complete { socket, .. } => socket.shutdown(how),
            Kind::Bare(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match &self.0 {
            Kind::Complete { socket, server } => {
                Ok(Self(Kind::Complete { socket: socket.try_clone()?, server: Arc::clone(server) }))
            }
            Kind::Bare(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Complete { socket, .. } => socket.read(buffer),
            Kind::Bare(server) => server.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Complete { socket, .. } => socket.write(bytes),
            Kind::Bare(server) => server.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Complete { socket, .. } => socket.write_vectored(slices),
            Kind::Bare(server) => server.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Complete { socket, .. } => socket.flush(),
            Kind::Bare(server) => server.flush(),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("is_complete", &self.is_complete()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::blocking::Stream as _;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn without_a_socket_the_stream_is_bare() {
        for client in [None, Some("192.0.2.1:1".parse().unwrap())] {
            let (mut near, far) = pair();
            let (mut stream, read_ahead) = Stream::take(Box::new(far), client).unwrap();
            assert!(!stream.is_complete() && read_ahead.is_empty());
            assert_eq!(stream.try_clone().unwrap_err().kind(), io::ErrorKind::Unsupported);
            assert!(stream.shutdown(Shutdown::Both).is_err());
            near.write_all(b"salmon").unwrap();
            let mut read = [0; 6];
            stream.read_exact(&mut read).unwrap();
            assert_eq!(&read, b"salmon");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_socket_is_found_by_the_address_of_the_client() {
        let (mut near, far) = pair();
        near.write_all(b"read ahead").unwrap();
        // What the server has read, and what the system has received, are one stream.
        let mut buffered = io::BufReader::with_capacity(1024, far);
        assert_eq!(io::BufRead::fill_buf(&mut buffered).unwrap(), b"read ahead");
        let server = Joined(buffered);
        let (stream, read_ahead) = Stream::take(Box::new(server), near.local_addr().ok()).unwrap();
        assert_eq!((stream.is_complete(), read_ahead.as_slice()), (true, &b"read ahead"[..]));
        let mut second = stream.try_clone().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let err = second.read(&mut [0]).unwrap_err();
        assert!(matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        drop(stream);
        second.write_all(b"x").unwrap();
        drop(second);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"x");
    }

    /// A client may use one port for two listeners of the process.
    #[test]
    #[cfg(all(target_os = "linux", feature = "reactor"))]
    fn two_sockets_with_the_same_client_are_not_confused() {
        let listeners =
            [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let mut from = "127.0.0.1:0".parse::<SocketAddr>().unwrap();
        let mut connect = |to: &TcpListener| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&from.into()).unwrap();
            socket.connect(&to.local_addr().unwrap().into()).unwrap();
            let client = TcpStream::from(socket);
            from = client.local_addr().unwrap();
            (client, to.accept().unwrap().0)
        };
        let first = connect(&listeners[0]);
        assert!(find_socket(first.0.local_addr().unwrap()).is_some());
        let second = connect(&listeners[1]);
        assert_eq!(first.0.local_addr().unwrap(), second.0.local_addr().unwrap());
        assert!(find_socket(second.0.local_addr().unwrap()).is_none());
    }

    /// The halves of a server: a reader with a buffer, and the same socket for writing.
    #[cfg(target_os = "linux")]
    struct Joined(io::BufReader<TcpStream>);

    #[cfg(target_os = "linux")]
    impl Read for Joined {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    #[cfg(target_os = "linux")]
    impl Write for Joined {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.get_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
