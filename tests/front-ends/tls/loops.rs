//! Loops on threads of their own, and the calls of their handlers.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use openssl::ssl::SslStream;
use sockeye::util::TcpStream;
use sockeye::{
    Builder, ClientTls, CloseCode, Error, ErrorKind, Factory, Handler, Handshake, Message, Result, Sender,
    Settings, TlsEngine, WebSocket,
};
use url::Url;

use sockeye_test_support::authority::common_name;
use sockeye_test_support::listener;
use sockeye_test_support::tls::engine;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = sockeye_test_support::LIMIT;

/// A call of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandlerCall {
    Open {
        version: &'static str,
        peer: Option<String>,
        name: Option<String>,
    },
    Message(Message),
    Close(CloseCode),
    /// The kind, and the whole text.
    Error(&'static str, String),
    /// The handler is back at its factory.
    Lost,
}

impl HandlerCall {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

type Upgrade = dyn Fn(TcpStream) -> Result<SslStream<TcpStream>> + Send + Sync;

/// What the handlers of a loop do.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// Send every message back.
    pub(crate) echoes: bool,
    /// Send these as soon as the connection is open.
    pub(crate) greetings: Vec<Message>,
    /// Pause reading at the first message.
    pub(crate) pauses: bool,
    /// Close when this many messages have come.
    pub(crate) closes_after: Option<usize>,
    /// Encrypt as programs for `ws` do.
    pub(crate) upgrade: Option<std::sync::Arc<Upgrade>>,
}

/// The factory of a loop that records its calls.
pub(crate) struct Recorder {
    manners: Manners,
    received: mpsc::Sender<HandlerCall>,
    opened: mpsc::Sender<Sender>,
}

impl Recorder {
    fn new(manners: Manners) -> (Self, Receiver<HandlerCall>, Receiver<Sender>) {
        let ((received, calls), (opened, senders)) = (mpsc::channel(), mpsc::channel());
        (Self { manners, received, opened }, calls, senders)
    }
}

pub(crate) struct Listener {
    out: Sender,
    manners: Manners,
    received: mpsc::Sender<HandlerCall>,
    opened: mpsc::Sender<Sender>,
    count: usize,
}

impl Factory for Recorder {
    type Handler = Listener;

    fn connection_made(&mut self, out: Sender) -> Listener {
        let (received, opened) = (self.received.clone(), self.opened.clone());
        Listener { out, manners: self.manners.clone(), received, opened, count: 0 }
    }

    fn connection_lost(&mut self, listener: Listener) {
        listener.record(HandlerCall::Lost);
    }
}

impl Listener {
    fn record(&self, received: HandlerCall) {
        // A test that has seen enough no longer listens.
        let _ = self.received.send(received);
    }
}

impl Handler for Listener {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let _ = self.opened.send(self.out.clone());
        self.record(HandlerCall::Open {
            version: shake.tls_version().unwrap_or("none"),
            peer: shake
                .peer_certificate()
                .map(|der| common_name(&openssl::x509::X509::from_der(der).unwrap())),
            name: shake.server_name().map(str::to_owned),
        });
        for greeting in std::mem::take(&mut self.manners.greetings) {
            self.out.send(greeting)?;
        }
        match self.manners.closes_after {
            Some(0) => self.out.close(CloseCode::Normal),
            _ => Ok(()),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.count += 1;
        if self.manners.pauses && self.count == 1 {
            self.out.pause()?;
        }
        if self.manners.echoes {
            self.out.send(msg.clone())?;
        }
        self.record(HandlerCall::Message(msg));
        match self.manners.closes_after {
            Some(count) if count <= self.count => self.out.close(CloseCode::Normal),
            _ => Ok(()),
        }
    }

    fn on_close(&mut self, code: CloseCode, _reason: &str) {
        self.record(HandlerCall::Close(code));
    }

    fn on_error(&mut self, err: Error) {
        let kind = match err.kind {
            ErrorKind::Ssl(_) => "Ssl",
            ErrorKind::SslHandshake(_) => "SslHandshake",
            ErrorKind::Custom(_) => "Custom",
            ErrorKind::Io(_) => "Io",
            ErrorKind::Protocol => "Protocol",
            ErrorKind::Internal => "Internal",
            ErrorKind::Capacity => "Capacity",
            _ => "another",
        };
        self.record(HandlerCall::Error(kind, err.to_string()));
    }

    fn upgrade_ssl_server(&mut self, stream: TcpStream) -> Result<SslStream<TcpStream>> {
        match &self.manners.upgrade {
            Some(upgrade) => upgrade(stream),
            None => Err(Error::new(ErrorKind::Internal, "no certificate")),
        }
    }

    fn upgrade_ssl_client(&mut self, stream: TcpStream, _url: &Url) -> Result<SslStream<TcpStream>> {
        match &self.manners.upgrade {
            Some(upgrade) => upgrade(stream),
            None => Err(Error::new(ErrorKind::Internal, "no connector")),
        }
    }
}

/// Creates a loop, and the channel with the calls of its handlers.
pub(crate) fn build(manners: Manners, settings: Settings) -> (WebSocket<Recorder>, Receiver<HandlerCall>) {
    let (recorder, received, _) = Recorder::new(manners);
    (new_loop(recorder, settings), received)
}

/// Creates a loop. Unless the test sets a handshake timeout, a busy machine does not reach it.
fn new_loop(recorder: Recorder, mut settings: Settings) -> WebSocket<Recorder> {
    if settings.handshake_timeout == Settings::default().handshake_timeout {
        settings.handshake_timeout = PATIENCE;
    }
    Builder::new().with_settings(settings).build(recorder).unwrap()
}

/// A server on a thread of its own, which records the calls of its handlers.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) received: Receiver<HandlerCall>,
    opened: Receiver<Sender>,
    server: sockeye_test_support::server::Server,
}

impl Server {
    pub(crate) fn start(
        manners: Manners,
        settings: Settings,
        encrypt: impl FnOnce(WebSocket<Recorder>) -> WebSocket<Recorder>,
    ) -> Self {
        let (recorder, received, opened) = Recorder::new(manners);
        let socket = encrypt(new_loop(recorder, settings));
        let server = sockeye_test_support::server::Server::spawn(move || socket.bind_listener(listener()));
        Self { address: server.addr, received, opened, server }
    }

    pub(crate) fn everyone(&self) -> &Sender {
        &self.server.all
    }

    /// Waits for what is next.
    pub(crate) fn next(&self) -> HandlerCall {
        self.received.recv_timeout(PATIENCE).expect("a handler is called")
    }

    /// Waits for something, whatever else comes before.
    pub(crate) fn wait_for(&self, what: &HandlerCall) {
        while self.next() != *what {}
    }

    /// Waits for the next connection that opens, and returns its sender.
    pub(crate) fn opened(&self) -> Sender {
        assert!(self.next().is_open());
        self.opened.recv_timeout(PATIENCE).expect("a connection opens")
    }

    pub(crate) fn assert_idle(&self) {
        self.server.assert_idle();
    }
}

/// Runs a client to its end, and returns all calls of its handler.
pub(crate) fn visit(url: &str, manners: Manners, tls: Option<ClientTls>) -> Vec<HandlerCall> {
    let (mut socket, received) = build(manners, Settings::default());
    if let Some(tls) = tls {
        socket = socket.with_client_tls(tls);
    }
    socket.connect(url.parse().unwrap()).unwrap();
    drop(socket.run().unwrap());
    received.iter().collect()
}

/// Whether an error of this kind is a failed TLS handshake of the engine under test.
pub(crate) fn is_handshake_error(kind: &str) -> bool {
    kind == if engine() == TlsEngine::OpenSsl { "SslHandshake" } else { "Custom" }
}

/// Closes as soon as it is open.
pub(crate) fn polite() -> Manners {
    Manners { closes_after: Some(0), ..Manners::default() }
}

pub(crate) fn echo() -> Manners {
    Manners { echoes: true, ..Manners::default() }
}
