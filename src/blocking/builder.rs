//! How a blocking socket is opened: where to, with what request, by which limits.

use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use url::Url;

use super::link::Link;
use super::writer::Patience;
use super::{Socket, Stream, WebSocket};
use crate::error::Result;
use crate::protocol::handshake::{Body, Rejected, Request, Response, unix_target};
use crate::protocol::{Event, ProtocolError};
use crate::socket::options::{Options, parse_url, setters};
use crate::socket::session::{Item, Unit};

/// How much is kept of the body of a response that rejects the opening handshake, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Opens sockets, with headers, limits and time-outs of one's own.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye::blocking::Builder;
/// use sockeye::protocol::Config;
///
/// let config = Config { idle_timeout: Some(Duration::from_secs(60)), max_message_size: 1 << 20, ..Config::default() };
/// let mut socket = Builder::new()
///     .config(config)
///     .add_header("Authorization", "Bearer salmon")?
///     .add_subprotocol("chat.v2")
///     .add_subprotocol("chat.v1")
///     .connect("wss://example.com/chat?room=1")?;
/// println!("we speak {:?}", socket.protocol());
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub(super) options: Options,
}

setters!(Builder);

impl Builder {
    /// Begins with the defaults of [`Config`](crate::protocol::Config).
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to a `ws://`, `wss://` (feature `ssl`) or `ws+unix://` URL.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::connect`].
    pub fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let url = parse_url(url)?;
        let request = self.options.request(&url)?;
        if let Some(stream) = connect_unix(&url)? {
            return self.open(stream, request, Instant::now());
        }
        let stream = self.dial(&url)?;
        stream.set_nodelay(true)?;
        let begun = Instant::now();
        let socket = if matches!(url.scheme(), "wss" | "https") {
            self.encrypt(stream, &url)?
        } else {
            Socket::Tcp(stream)
        };
        self.open(socket, request, begun)
    }

    /// Makes the opening handshake of a client on a stream that is connected already, and encrypted if that is wanted: the
    /// URL only says what to ask for.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::connect`].
    pub fn connect_stream<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>> {
        let request = self.options.request(&parse_url(url)?)?;
        self.open(stream, request, Instant::now())
    }

    /// Makes the opening handshake of a server. The first of the supported subprotocols that the client offers is chosen.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::accept`].
    pub fn accept<S: Stream>(&self, stream: S) -> Result<WebSocket<S>> {
        self.accept_with(stream, Response::from_request)
    }

    /// Makes the opening handshake of a server, with the response that `answer` gives to the request: usually that of
    /// [`Response::from_request`], to which it may add headers, or choose a subprotocol. Any other than status 101 rejects
    /// the client, or serves it a page, if that is what it has asked for.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::accept`]; `Custom` with the [`Rejected`] response if it is not 101; the error of `answer`, which the
    /// client only gets to know as a status.
    pub fn accept_with<S: Stream>(
        &self,
        stream: S,
        answer: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<WebSocket<S>> {
        self.accept_since(Instant::now(), stream, answer)
    }

    /// Makes the opening handshake of a server, whose time has begun before if there was TLS.
    pub(super) fn accept_since<S: Stream>(
        &self,
        begun: Instant,
        mut stream: S,
        answer: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<WebSocket<S>> {
        let link = Link::new(self.options.server(begun), Vec::new(), Vec::new());
        let Some(Event::Request(request)) = opening(&link, &mut stream)? else {
            return Err(ProtocolError::HandshakeCut.into());
        };
        let answered = self.respond(&link, &request, answer);
        let flushed = link.flush(link.lock(), &mut stream, Patience::Wait);
        match answered {
            Ok(response) if response.status() == 101 => {
                flushed?;
                Ok(WebSocket::open(stream, link, *request, response))
            }
            answered => {
                link.reading(|input| link.drain(&mut stream, input));
                Err(answered.map_or_else(|err| err, |response| Rejected::new(response).into()))
            }
        }
    }

    /// Puts the response to a request into the output.
    fn respond(
        &self,
        link: &Link,
        request: &Request,
        answer: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<Response> {
        let answered = answer(request);
        let mut state = link.lock();
        let mut response = match answered {
            Ok(response) => response,
            Err(err) => {
                let is_upgrade = request.is_upgrade();
                let reason =
                    if is_upgrade { ProtocolError::UnsendableHead } else { ProtocolError::NotAnUpgrade };
                state.say(|session, now, out| {
                    session.connection.refuse(reason, now, out);
                    Ok(())
                })?;
                return Err(if is_upgrade { err } else { reason.into() });
            }
        };
        if response.status() == 101 {
            self.options.choose_protocol(request, &mut response)?;
        }
        state.say(|session, now, out| session.respond(request, &mut response, now, out))?;
        Ok(response)
    }

    /// Makes the opening handshake of a client.
    fn open<S: Stream>(&self, mut stream: S, request: Request, begun: Instant) -> Result<WebSocket<S>> {
        let mut out = Vec::new();
        let session = self.options.client(request, begun, &mut out)?;
        let link = Link::new(session, out, Vec::new());
        match opening(&link, &mut stream)? {
            Some(Event::Response { request, response }) => {
                Ok(WebSocket::open(stream, link, *request, *response))
            }
            Some(Event::Rejected(mut response)) => {
                let end = begun + self.options.config.handshake_timeout;
                let mut body = Body::of(&response, MAX_BODY);
                link.reading(|input| input.read_body(&mut stream, &mut body, end));
                response.set_body(body.finish());
                Err(Rejected::new(*response).into())
            }
            _ => Err(ProtocolError::HandshakeCut.into()),
        }
    }

    /// Tries the addresses of a host, one after the other.
    fn dial(&self, url: &Url) -> Result<TcpStream> {
        let (url, (found, addresses)) = (url.clone(), channel());
        // The look-up has no time-out of its own, and cannot be interrupted.
        thread::spawn(move || {
            let _ = found.send(url.socket_addrs(|| None));
        });
        let addresses = match addresses.recv_timeout(self.options.connect_timeout) {
            Ok(addresses) => addresses?,
            Err(RecvTimeoutError::Timeout) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
        };
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.options.connect_timeout) {
                Ok(stream) => return Ok(stream),
                Err(err) => failure = err,
            }
        }
        Err(failure.into())
    }
}

/// What comes of the opening handshake.
fn opening<S: Stream>(link: &Link, stream: &mut S) -> Result<Option<Event>> {
    let item = link.reading(|reading| link.next(stream, reading, Unit::Event))?;
    Ok(item.and_then(Item::into_event))
}

#[cfg(unix)]
fn connect_unix(url: &Url) -> Result<Option<Socket>> {
    let Some((path, _)) = unix_target(url) else { return Ok(None) };
    Ok(Some(Socket::Unix(UnixStream::connect(path)?)))
}

#[cfg(not(unix))]
fn connect_unix(_: &Url) -> Result<Option<Socket>> {
    Ok(None)
}
