//! A TLS stream for two threads at a time.
//!
//! No thread holds the lock of the session while the stream blocks, so one thread can wait for the peer while another sends.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use super::timeout::is_timeout;
use super::{Builder, Socket, Stream};
use crate::byte_queue::ByteQueue;
use crate::socket::options::is_secure;
use crate::socket::{Error, Result, TimeoutKind};
use crate::tls::buffer;
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::{ClientTls, ServerTls};
use crate::tls::{RECORD, Received, Session, WRITE, handshake_failed, into_io, server_name, transfer};

/// How many bytes of replies may be unsent before a reader waits for the writer to send them.
const MAX_REPLIES: usize = 4 * RECORD;

/// A TLS [`Stream`] over another stream.
///
/// If only a part of a record has arrived, a read fails with [`Interrupted`](io::ErrorKind::Interrupted), so that the caller
/// can check the time: each byte of a record may arrive just within the timeout of one read. The reading methods of the
/// standard library, such as [`read_exact`](Read::read_exact), try again.
#[derive(Debug)]
pub struct Tls<S> {
    stream: S,
    shared: Arc<Shared>,
    /// Memory for a read of the stream below, which may block. Empty between reads.
    raw: ByteQueue,
}

#[derive(Debug)]
struct Shared {
    session: Mutex<Session>,
    /// Ciphertext that is not sent yet. The thread that sends locks this before the session.
    unsent: Mutex<ByteQueue>,
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl Builder {
    /// Sets the TLS configuration of a client. Default: the trust roots of the system, no certificate.
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.options.set_client_tls(tls.into());
        self
    }

    /// Sets the certificate of a server, with which [`accept`](Self::accept) encrypts. Default: no TLS.
    #[must_use]
    pub fn server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.server_tls = Some(tls.into());
        self
    }
}

impl Builder {
    /// Encrypts the stream of a client, if its URL asks for it.
    pub(super) fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        let Socket::Tcp(stream) = stream else { return Ok(stream) };
        if !is_secure(url) {
            return Ok(Socket::Tcp(stream));
        }
        let session = Session::client(&self.options.client_tls(url)?, &server_name(url)?)?;
        Ok(Socket::Tls(Box::new(Tls::handshake(session, stream, self.options.config.handshake_timeout)?)))
    }

    /// Encrypts the stream of a server, if it has a certificate.
    pub(super) fn encrypt_server(&self, stream: TcpStream) -> Result<Socket> {
        let Some(tls) = &self.server_tls else { return Ok(Socket::Tcp(stream)) };
        let session = Session::server(tls)?;
        Ok(Socket::Tls(Box::new(Tls::handshake(session, stream, self.options.config.handshake_timeout)?)))
    }
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl<S: Stream> Tls<S> {
    /// Performs the handshake of a server, which may take no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// `Tls` if the handshake fails; `Timeout` with `Handshake`; `ConnectionLost` if the stream fails.
    pub fn accept(tls: &ServerTls, stream: S, timeout: Duration) -> Result<Self> {
        Self::handshake(Session::server(tls)?, stream, timeout)
    }

    /// Performs the handshake of a client with a server whose certificate must be valid for `host`, a name or an IP address.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn connect(tls: &ClientTls, host: &str, stream: S, timeout: Duration) -> Result<Self> {
        Self::handshake(Session::client(tls, host)?, stream, timeout)
    }
}

impl<S: Stream> Tls<S> {
    /// Returns the stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the certificate of the peer, in DER.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.shared.session().negotiated().peer_certificate
    }

    fn handshake(session: Session, stream: S, timeout: Duration) -> Result<Self> {
        let shared = Shared { session: Mutex::new(session), unsent: Mutex::default() };
        let mut tls = Self { stream, shared: Arc::new(shared), raw: ByteQueue::default() };
        let before = tls.stream.read_timeout()?;
        tls.perform_handshake(Instant::now() + timeout)?;
        tls.stream.set_read_timeout(before)?;
        Ok(tls)
    }

    fn perform_handshake(&mut self, end: Instant) -> Result<()> {
        loop {
            let is_complete = self.shared.session().handshake();
            // An alert is sent as well.
            let sent = self.send_replies().map_err(Error::ConnectionLost);
            if is_complete.map_err(handshake_failed)? {
                return sent;
            }
            sent?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout(TimeoutKind::Handshake));
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.read_raw() {
                Err(err) if is_timeout(&err) => {}
                read => read.map_err(Error::ConnectionLost)?,
            }
        }
    }

    /// Reads from the records that have arrived; `None` if more input is needed. `Interrupted` means that the next call continues.
    fn read_record(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let received = self.shared.session().receive(buffer);
        self.send_replies()?;
        match received.map_err(into_io)? {
            Received::Data(len) => Ok(Some(len)),
            Received::NeedsInput => Ok(None),
            Received::Unfinished => Err(io::ErrorKind::Interrupted.into()),
            Received::Closed => Ok(Some(0)),
            Received::Truncated => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads once from the stream below.
    fn read_raw(&mut self) -> io::Result<()> {
        // No thread holds the session while it waits for the peer, so the bytes are copied into it.
        let read = self.stream.read(self.raw.room(RECORD));
        if let Ok(len) = read {
            self.raw.add(len);
            let mut session = self.shared.session();
            match self.raw.bytes() {
                [] => session.end_input(),
                bytes => session.append_input(bytes),
            }
            self.raw.consume(len);
        }
        match read {
            Err(err) if err.kind() != io::ErrorKind::Interrupted => Err(err),
            _ => Ok(()),
        }
    }

    /// Sends what the session wants to send by itself, unless another thread is sending and will send it as well.
    fn send_replies(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let waiting = shared.session().output().len();
        if waiting == 0 {
            return Ok(());
        }
        let unsent =
            if waiting > MAX_REPLIES { Some(shared.unsent()) } else { shared.unsent.try_lock().ok() };
        let Some(mut unsent) = unsent else { return Ok(()) };
        shared.session().move_output(&mut unsent);
        send(&mut self.stream, &mut unsent)
    }
}

impl<S: Stream> Read for Tls<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(len) = self.read_record(buffer)? {
            return Ok(len);
        }
        self.read_raw()?;
        self.read_record(buffer)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }
}

impl<S: Stream> Write for Tls<S> {
    /// Encrypts up to 64 KiB. If the system does not accept all of it in time, the rest is sent with the next write or
    /// flush.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut unsent = self.shared.unsent();
        send(&mut self.stream, &mut unsent)?;
        let plain = bytes.get(..WRITE).unwrap_or(bytes);
        let mut session = self.shared.session();
        session.send(plain).map_err(into_io)?;
        session.move_output(&mut unsent);
        drop(session);
        match send(&mut self.stream, &mut unsent) {
            Err(err) if !is_timeout(&err) => Err(err),
            _ => Ok(plain.len()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&transfer::join(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        send(&mut self.stream, &mut self.shared.unsent())?;
        self.stream.flush()
    }
}

impl<S: Stream> Stream for Tls<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.stream.read_timeout()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.stream.write_timeout()
    }

    /// Ends TLS first, so that the peer can detect truncation. If both sides are shut down, TLS is not ended.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write {
            self.shared.session().close_notify();
            self.send_replies()?;
        }
        self.stream.shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            shared: Arc::clone(&self.shared),
            raw: ByteQueue::default(),
        })
    }
}

impl Shared {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsent(&self) -> MutexGuard<'_, ByteQueue> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends as much as the stream accepts. The rest stays in the buffer.
fn send(stream: &mut impl Write, unsent: &mut ByteQueue) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent.bytes()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => unsent.consume(len),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    buffer::release(unsent);
    Ok(())
}
