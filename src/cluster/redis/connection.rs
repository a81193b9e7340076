//! Moves the bytes of a session between its socket and, for `rediss` URLs, its TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Instant;

use mio::event::Source;

use super::liveness::{Check, Liveness};
use super::session::{Event, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::tls::{self, Received, WRITE, transfer};

/// The most reads of a connection in one turn.
const MAX_READS: usize = 4;

/// A socket of any kind that does not block.
pub(super) trait Socket: Read + Write + Source + Send {
    /// Returns whether it is connected, or the error for a failed attempt.
    fn is_connected(&self) -> io::Result<bool>;
}

/// A connection to the server.
pub(super) struct Connection {
    /// For the log.
    name: &'static str,
    socket: Box<dyn Socket>,
    is_connected: bool,
    tls: Option<tls::Session>,
    session: Session,
    liveness: Liveness,
    /// Whether the socket may have more input, because no read has blocked since the last event.
    is_readable: bool,
}

/// The result of a read.
enum Input {
    Data(usize),
    Blocked,
    End,
}

impl Connection {
    /// Adds a socket whose connection is being established.
    pub(super) fn new(
        name: &'static str,
        socket: Box<dyn Socket>,
        tls: Option<tls::Session>,
        session: Session,
        now: Instant,
    ) -> Self {
        let liveness = Liveness::new(now);
        Self { name, socket, is_connected: false, tls, session, liveness, is_readable: false }
    }

    pub(super) fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the login is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.session.is_ready()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Returns the number of bytes that are not sent.
    pub(super) fn unsent(&self) -> usize {
        self.session.output().len() + self.tls.as_ref().map_or(0, tls::Session::unsent)
    }

    /// Handles an event of the socket.
    pub(super) fn on_event(&mut self) -> Result<()> {
        if !self.is_connected {
            self.is_connected = self.socket.is_connected().map_err(|err| failed(self.name, err))?;
        }
        self.is_readable = self.is_connected;
        Ok(())
    }

    /// Reads for one turn. Appends what has arrived to `events`.
    pub(super) fn read(&mut self, buffer: &mut [u8], now: Instant, events: &mut Vec<Event>) -> Result<()> {
        for _ in 0..MAX_READS {
            if !self.is_readable {
                break;
            }
            match self.read_plaintext(buffer)? {
                Input::Data(len) => {
                    self.liveness.on_alive(now);
                    self.session.receive(buffer.get(..len).unwrap_or_default(), events)?;
                }
                Input::Blocked => self.is_readable = false,
                Input::End => return Err(failed(self.name, io::ErrorKind::UnexpectedEof.into())),
            }
        }
        Ok(())
    }

    /// Sends as much as the socket accepts.
    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.is_connected {
            return Ok(());
        }
        match self.write() {
            Err(Error { kind: ErrorKind::Io(err), .. }) if err.kind() == io::ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }

    /// Sends a PING if nothing has arrived for long.
    ///
    /// # Errors
    ///
    /// `Io` if the last PING was not answered.
    pub(super) fn check(&mut self, now: Instant) -> Result<()> {
        match self.liveness.check(now) {
            Check::Wait => Ok(()),
            Check::Ping => {
                self.session.ping();
                self.flush()
            }
            Check::Lost => Err(failed(self.name, io::ErrorKind::TimedOut.into())),
        }
    }

    /// Reports that nothing is read for now, so that silence means nothing.
    pub(super) fn on_paused(&mut self, now: Instant) {
        self.liveness.on_alive(now);
    }

    /// Returns when [`check`](Self::check) must be called.
    pub(super) fn deadline(&self) -> Instant {
        self.liveness.deadline()
    }

    fn read_plaintext(&mut self, buffer: &mut [u8]) -> Result<Input> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(buffer) {
                Ok(0) => Ok(Input::End),
                Ok(len) => Ok(Input::Data(len)),
                Err(err) => self.blocked(err),
            };
        };
        loop {
            match tls.receive(buffer)? {
                Received::Data(len) => return Ok(Input::Data(len)),
                Received::Closed | Received::Truncated => return Ok(Input::End),
                Received::NeedsInput => {}
                // The next call continues.
                Received::Unfinished => return Ok(Input::Data(0)),
            }
            if let Err(err) = transfer::fill(tls, |room| self.socket.read(room)) {
                return self.blocked(err);
            }
        }
    }

    fn blocked(&self, err: io::Error) -> Result<Input> {
        match err.kind() {
            io::ErrorKind::WouldBlock => Ok(Input::Blocked),
            // The next call reads again.
            io::ErrorKind::Interrupted => Ok(Input::Data(0)),
            _ => Err(failed(self.name, err)),
        }
    }

    /// Writes until the output is empty or the socket blocks, which is an error.
    fn write(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else {
            while !self.session.output().is_empty() {
                match self.socket.write(self.session.output()) {
                    Ok(0) => return Err(failed(self.name, io::ErrorKind::WriteZero.into())),
                    Ok(len) => self.session.consume_output(len),
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(failed(self.name, err)),
                }
            }
            return Ok(());
        };
        loop {
            transfer::drain(tls, |output| self.socket.write(output)).map_err(|err| failed(self.name, err))?;
            let output = self.session.output();
            if output.is_empty() {
                return Ok(());
            }
            let len = output.len().min(WRITE);
            tls.send(output.get(..len).unwrap_or_default())?;
            self.session.consume_output(len);
        }
    }

    /// Sends the alert with the reason why TLS has failed, or the end of TLS. Nothing follows.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close_notify();
            if let Err(err) = transfer::drain(tls, |output| self.socket.write(output)) {
                log::trace!("the end of TLS could not be sent: {err}");
            }
        }
    }
}

fn failed(name: &str, err: io::Error) -> Error {
    let details = match err.kind() {
        io::ErrorKind::UnexpectedEof => format!("the server has closed the {name} connection"),
        io::ErrorKind::TimedOut => format!("the server does not answer on the {name} connection"),
        _ => format!("the {name} connection has failed"),
    };
    Error::io(details, err)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Socket for mio::net::TcpStream {
    fn is_connected(&self) -> io::Result<bool> {
        match self.take_error()? {
            Some(err) => Err(err),
            None => is_connected(self.peer_addr().map(|_| ())),
        }
    }
}

#[cfg(unix)]
impl Socket for mio::net::UnixStream {
    fn is_connected(&self) -> io::Result<bool> {
        match self.take_error()? {
            Some(err) => Err(err),
            None => is_connected(self.peer_addr().map(|_| ())),
        }
    }
}

/// An attempt that is in progress has no peer, and can report an event.
fn is_connected(peer: io::Result<()>) -> io::Result<bool> {
    match peer {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(err) => Err(err),
    }
}
