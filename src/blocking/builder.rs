//! How a blocking socket is opened: where to, with what request, by which limits.

use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "ssl")]
use openssl::ssl::SslConnector;
use url::Url;

#[cfg(feature = "ssl")]
use super::Tls;
use super::link::{Link, Patience, event};
use super::{Socket, Stream, WebSocket};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Body, Rejected, Request, Response, unix_target};
use crate::protocol::{Config, Connection, Event, ProtocolError};
#[cfg(feature = "ssl")]
use crate::tls::{self, ServerTls};

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
///     .header("Authorization", "Bearer salmon")
///     .protocol("chat.v2")
///     .protocol("chat.v1")
///     .connect("wss://example.com/chat?room=1")?;
/// println!("we speak {:?}", socket.protocol());
/// # sockeye::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Builder {
    config: Arc<Config>,
    connect_timeout: Duration,
    headers: Vec<(String, Vec<u8>)>,
    protocols: Vec<String>,
    connector: Connector,
}

/// Whom a client trusts, where that was said.
#[cfg(feature = "ssl")]
type Connector = Option<SslConnector>;
#[cfg(not(feature = "ssl"))]
type Connector = ();

impl Builder {
    /// Begins with the defaults of [`Config`].
    pub fn new() -> Self {
        Self {
            config: Arc::default(),
            connect_timeout: Duration::from_secs(10),
            headers: Vec::new(),
            protocols: Vec::new(),
            connector: Connector::default(),
        }
    }

    /// Sets all limits, time-outs and rules.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Sets how long to wait for the look-up of the name, and then for each address. Default 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets a header of a client's request, in place of one that is there; what cannot be sent is refused on connecting.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Has a client offer one more subprotocol, or a server support one: the first is the best.
    #[must_use]
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.to_owned());
        self
    }

    /// Sets whom a client trusts, and what certificate it shows: a [`ClientTls`](crate::ClientTls), or a connector.
    #[cfg(feature = "ssl")]
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<SslConnector>) -> Self {
        self.connector = Some(tls.into());
        self
    }

    /// Connects to a `ws://`, `wss://` (feature `ssl`) or `ws+unix://` URL.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::connect`].
    pub fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let url = parse(url)?;
        let request = self.request(&url)?;
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
        let request = self.request(&parse(url)?)?;
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

    /// Makes the opening handshake of a server, with the response that `answer` gives to the request: usually one
    /// [`of the request`](Response::from_request), to which it may add headers, or choose a subprotocol. Any other than
    /// status 101 rejects the client, or serves it a page, if that is what it has asked for.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::accept`]; `Custom` with the [`Rejected`] response if it is not 101; the error of `answer`, which the
    /// client only gets to know as a status.
    pub fn accept_with<S: Stream>(
        &self,
        mut stream: S,
        answer: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<WebSocket<S>> {
        let connection = Connection::server(Arc::clone(&self.config), Instant::now());
        let link = Link::new(connection, Vec::new(), Vec::new());
        let Some(Event::Request(request)) = link.reading(|input| link.next(&mut stream, input, event))?
        else {
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

    /// Encrypts the stream of a client that has connected, and makes the opening handshake of a server.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::accept`], and `Ssl` if TLS fails.
    #[cfg(feature = "ssl")]
    pub fn accept_tls<S: Stream>(&self, tls: &ServerTls, stream: S) -> Result<WebSocket<Tls<S>>> {
        self.accept(Tls::accept(tls, stream, self.config.handshake_timeout)?)
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
                state.say(|connection, now, out| {
                    connection.refuse(reason, now, out);
                    Ok(())
                })?;
                return Err(if is_upgrade { err } else { reason.into() });
            }
        };
        if response.status() == 101 && response.protocol()?.is_none() {
            let supported: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
            response.choose_protocol(request, &supported);
        }
        state.say(|connection, now, out| connection.respond(request, &mut response, now, out))?;
        Ok(response)
    }

    /// Makes the opening handshake of a client.
    fn open<S: Stream>(&self, mut stream: S, request: Request, begun: Instant) -> Result<WebSocket<S>> {
        let mut out = Vec::new();
        let connection = Connection::client(Arc::clone(&self.config), request, begun, &mut out)?;
        let link = Link::new(connection, out, Vec::new());
        match link.reading(|input| link.next(&mut stream, input, event))? {
            Some(Event::Response { request, response }) => {
                Ok(WebSocket::open(stream, link, *request, *response))
            }
            Some(Event::Rejected(mut response)) => {
                let end = begun + self.config.handshake_timeout;
                let mut body = Body::of(&response, MAX_BODY);
                link.reading(|input| input.read_body(&mut stream, &mut body, end));
                response.set_body(body.finish());
                Err(Rejected::new(*response).into())
            }
            _ => Err(ProtocolError::HandshakeCut.into()),
        }
    }

    fn request(&self, url: &Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        for (name, value) in &self.headers {
            request.set_header(name, value)?;
        }
        for protocol in &self.protocols {
            request.add_protocol(protocol);
        }
        Ok(request)
    }

    /// Tries the addresses of a host, one after the other.
    fn dial(&self, url: &Url) -> Result<TcpStream> {
        let (url, (found, addresses)) = (url.clone(), channel());
        // The look-up has no time-out of its own, and cannot be interrupted.
        thread::spawn(move || {
            let _ = found.send(url.socket_addrs(|| None));
        });
        let addresses = match addresses.recv_timeout(self.connect_timeout) {
            Ok(addresses) => addresses?,
            Err(RecvTimeoutError::Timeout) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
        };
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.connect_timeout) {
                Ok(stream) => return Ok(stream),
                Err(err) => failure = err,
            }
        }
        Err(failure.into())
    }

    #[cfg(feature = "ssl")]
    fn encrypt(&self, stream: TcpStream, url: &Url) -> Result<Socket> {
        let connector = self.connector.clone().map_or_else(tls::default_connector, Ok)?;
        let host = tls::server_name(url)?;
        Ok(Socket::Tls(Tls::connect(&connector, &host, stream, self.config.handshake_timeout)?))
    }

    #[cfg(not(feature = "ssl"))]
    fn encrypt(&self, _: TcpStream, _: &Url) -> Result<Socket> {
        let () = self.connector;
        Err(Error::new(ErrorKind::Protocol, "wss URLs need the feature `ssl`"))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers may hold secrets.
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("connect_timeout", &self.connect_timeout)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url)
        .map_err(|err| Error::new(ErrorKind::Internal, format!("the URL {url:?} cannot be read: {err}")))
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
