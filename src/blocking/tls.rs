//! A TLS stream for two threads at a time.
//!
//! OpenSSL reads from memory and writes to memory. No thread holds its lock while the stream blocks, so one thread can wait
//! for the peer while another sends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openssl::ssl::{self, ErrorCode, Ssl, SslConnector, SslStream};
use openssl::x509::{X509, X509VerifyResult};
use url::Url;

use super::timeout::is_timeout;
use super::{Builder, Socket, Stream};
use crate::error::{Error as ReactorError, ErrorKind};
use crate::socket::options::is_secure;
use crate::socket::{Error, Result, TimeoutKind};
use crate::tls::{ServerTls, server_name, session};

/// How much is read at once, and encrypted at once, in bytes: about a record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// How many bytes OpenSSL may want to send by itself before a reader waits for the writer to send them.
const MAX_ANSWERS: usize = 4 * RECORD;

/// A TLS [`Stream`] over another stream.
///
/// If only a part of a record has arrived, a read fails with [`Interrupted`](io::ErrorKind::Interrupted), so that the caller
/// can check the time: each byte of a record may arrive just within the timeout of one read. The reading methods of the
/// standard library, such as [`read_exact`](Read::read_exact), try again.
///
/// # Examples
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use sockeye::ClientTls;
/// use sockeye::blocking::{Builder, Tls};
///
/// let stream = TcpStream::connect("example.com:443")?;
/// let timeout = std::time::Duration::from_secs(10);
/// let tls = Tls::connect(&ClientTls::new()?.into(), "example.com", stream, timeout)?;
/// println!("{}", tls.get_ref().peer_addr()?);
/// let mut socket = Builder::new().client(tls, "wss://example.com/")?.open()?;
/// # sockeye::blocking::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Tls<S> {
    stream: S,
    shared: Arc<Shared>,
    raw: Vec<u8>,
}

struct Shared {
    session: Mutex<SslStream<Memory>>,
    /// Encrypted bytes that are not sent yet. The thread that sends locks this before the session.
    unsent: Mutex<Vec<u8>>,
}

/// What OpenSSL uses as its socket.
#[derive(Debug, Default)]
struct Memory {
    incoming: Vec<u8>,
    taken: usize,
    outgoing: Vec<u8>,
    has_ended: bool,
}

/// The handshake function of one of the two roles.
type Side = fn(&mut SslStream<Memory>) -> std::result::Result<(), ssl::Error>;

/// How the servers of a builder encrypt.
pub(super) type Encryption = Option<ServerTls>;

impl Builder {
    /// Sets the trust roots and the certificate of a client: a [`ClientTls`](crate::ClientTls) or an [`SslConnector`].
    /// Default: the trust roots of the system, no certificate.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientTls;
    /// use sockeye::blocking::Builder;
    ///
    /// let tls = ClientTls::new()?.trust_only("our-roots.pem")?;
    /// let mut socket = Builder::new().client_tls(tls).connect("wss://example.com/")?;
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<SslConnector>) -> Self {
        self.options.set_connector(tls.into());
        self
    }

    /// Sets the certificate of a server, with which [`accept`](Self::accept) encrypts. Default: no TLS.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    ///
    /// use sockeye::ServerTls;
    /// use sockeye::blocking::Builder;
    ///
    /// let builder = Builder::new().server_tls(ServerTls::from_pem_files("chain.pem", "key.pem")?);
    /// let listener = TcpListener::bind("0.0.0.0:443")?;
    /// let mut socket = builder.accept(listener.accept()?.0)?;
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    #[must_use]
    pub fn server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.encryption = Some(tls.into());
        self
    }

    /// Encrypts the stream of a client, if its URL asks for it.
    pub(super) fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        let Socket::Tcp(stream) = stream else { return Ok(stream) };
        if !is_secure(url) {
            return Ok(Socket::Tcp(stream));
        }
        let (connector, timeout) = (self.options.connector()?, self.options.config.handshake_timeout);
        let tls = Tls::connect(&connector, &server_name(url)?, stream, timeout)?;
        Ok(Socket::Tls(Box::new(tls)))
    }

    /// Encrypts the stream of a server, if it has a certificate.
    pub(super) fn encrypt_server(&self, stream: TcpStream) -> Result<Socket> {
        let Some(tls) = &self.encryption else { return Ok(Socket::Tcp(stream)) };
        let tls = Tls::accept(tls, stream, self.options.config.handshake_timeout)?;
        Ok(Socket::Tls(Box::new(tls)))
    }
}

impl<S: Stream> Tls<S> {
    /// Performs the handshake of a server, which may take no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// `Tls` if the handshake fails; `Timeout` with `Handshake`; `ConnectionLost` if the stream fails.
    pub fn accept(tls: &ServerTls, stream: S, timeout: Duration) -> Result<Self> {
        let ssl = Ssl::new(tls.acceptor().context()).map_err(ReactorError::from)?;
        Self::handshake(ssl, stream, SslStream::accept, timeout)
    }

    /// Performs the handshake of a client with a server whose certificate must be valid for `host`, a name or an IP address.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn connect(connector: &SslConnector, host: &str, stream: S, timeout: Duration) -> Result<Self> {
        let ssl = session(connector, host).map_err(ReactorError::from)?;
        Self::handshake(ssl, stream, SslStream::connect, timeout)
    }

    /// Returns the stream below.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the certificate of the peer.
    pub fn peer_certificate(&self) -> Option<X509> {
        self.shared.session().ssl().peer_certificate()
    }

    fn handshake(ssl: Ssl, stream: S, side: Side, timeout: Duration) -> Result<Self> {
        let session = SslStream::new(ssl, Memory::default()).map_err(ReactorError::from)?;
        let shared = Shared { session: Mutex::new(session), unsent: Mutex::default() };
        let mut tls = Self { stream, shared: Arc::new(shared), raw: Vec::new() };
        let before = tls.stream.read_timeout()?;
        tls.perform_handshake(side, timeout)?;
        tls.stream.set_read_timeout(before)?;
        Ok(tls)
    }

    fn perform_handshake(&mut self, side: Side, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let done = side(&mut self.shared.session());
            // An alert is sent as well.
            let sent = self.send_answers().map_err(Error::ConnectionLost);
            match done {
                Ok(()) => return sent,
                Err(err) if err.code() == ErrorCode::WANT_READ => sent?,
                Err(err) => return Err(self.handshake_failed(err)),
            }
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

    fn handshake_failed(&self, err: ssl::Error) -> Error {
        let details = match self.shared.session().ssl().verify_result() {
            X509VerifyResult::OK => String::new(),
            refusal => refusal.to_string(),
        };
        Error::Tls(Box::new(ReactorError::new(ErrorKind::Ssl(err), details)))
    }

    /// Reads from the records that have arrived; `None` if more input is needed.
    fn read_record(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = self.shared.session().ssl_read(buffer);
        self.send_answers()?;
        match read {
            Ok(len) => Ok(Some(len)),
            Err(err) if err.code() == ErrorCode::WANT_READ => Ok(None),
            Err(err) if err.code() == ErrorCode::ZERO_RETURN => Ok(Some(0)),
            Err(err) => Err(into_io(err)),
        }
    }

    /// Reads once from the stream below.
    fn read_raw(&mut self) -> io::Result<()> {
        self.raw.resize(RECORD, 0);
        let len = match self.stream.read(&mut self.raw) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        let mut session = self.shared.session();
        let memory = session.get_mut();
        memory.has_ended |= len == 0;
        memory.incoming.extend_from_slice(self.raw.get(..len).unwrap_or_default());
        Ok(())
    }

    /// Sends what OpenSSL wants to send by itself, unless another thread is sending and will send it as well.
    fn send_answers(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let waiting = shared.session().get_ref().outgoing.len();
        if waiting == 0 {
            return Ok(());
        }
        let unsent =
            if waiting > MAX_ANSWERS { Some(shared.unsent()) } else { shared.unsent.try_lock().ok() };
        let Some(mut unsent) = unsent else { return Ok(()) };
        unsent.append(&mut shared.session().get_mut().outgoing);
        send(&mut self.stream, &mut unsent)
    }
}

impl<S: Stream> Read for Tls<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(len) = self.read_record(buffer)? {
            return Ok(len);
        }
        self.read_raw()?;
        self.read_record(buffer)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }
}

impl<S: Stream> Write for Tls<S> {
    /// Encrypts up to a record. If the system does not accept all of it in time, the rest is sent with the next write or
    /// flush.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut unsent = self.shared.unsent();
        send(&mut self.stream, &mut unsent)?;
        let record = bytes.get(..RECORD).unwrap_or(bytes);
        let mut session = self.shared.session();
        let len = session.ssl_write(record).map_err(into_io)?;
        unsent.append(&mut session.get_mut().outgoing);
        drop(session);
        match send(&mut self.stream, &mut unsent) {
            Err(err) if !is_timeout(&err) => Err(err),
            _ => Ok(len),
        }
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
            // The result only shows whether the peer has ended its side.
            let _ = self.shared.session().shutdown();
            self.send_answers()?;
        }
        self.stream.shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, shared: Arc::clone(&self.shared), raw: Vec::new() })
    }
}

impl Shared {
    fn session(&self) -> MutexGuard<'_, SslStream<Memory>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsent(&self) -> MutexGuard<'_, Vec<u8>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.incoming.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += len;
        if self.taken == self.incoming.len() {
            self.incoming.clear();
            self.taken = 0;
        }
        if len == 0 && !self.has_ended { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(len) }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends as much as the stream accepts. The rest stays in the buffer.
fn send(stream: &mut impl Write, unsent: &mut Vec<u8>) -> io::Result<()> {
    let mut sent = 0;
    let result = loop {
        let rest = unsent.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            break Ok(());
        }
        match stream.write(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => sent += len,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => break Err(err),
        }
    };
    unsent.drain(..sent);
    result
}

fn into_io(err: ssl::Error) -> io::Error {
    err.into_io_error().unwrap_or_else(io::Error::other)
}
