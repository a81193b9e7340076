//! Loops on threads of their own, and the calls of their handlers.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslStream};
use sockeye::util::TcpStream;
use sockeye::{
    Builder, CloseCode, Error, ErrorKind, Factory, Handler, Handshake, Message, Result, Sender, Settings,
    WebSocket,
};
use url::Url;

use sockeye_test_support::authority::common_name;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = sockeye_test_support::LIMIT;

/// A call of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
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

impl Heard {
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
    /// Close when this many messages have come.
    pub(crate) closes_after: Option<usize>,
    /// Encrypt as programs for `ws` do.
    pub(crate) upgrade: Option<std::sync::Arc<Upgrade>>,
}

/// The factory of a loop that records its calls.
pub(crate) struct Recorder {
    manners: Manners,
    heard: mpsc::Sender<Heard>,
}

pub(crate) struct Listener {
    out: Sender,
    manners: Manners,
    heard: mpsc::Sender<Heard>,
    count: usize,
}

impl Factory for Recorder {
    type Handler = Listener;

    fn connection_made(&mut self, out: Sender) -> Listener {
        Listener { out, manners: self.manners.clone(), heard: self.heard.clone(), count: 0 }
    }

    fn connection_lost(&mut self, listener: Listener) {
        listener.tell(Heard::Lost);
    }
}

impl Listener {
    fn tell(&self, heard: Heard) {
        // A test that has seen enough no longer listens.
        let _ = self.heard.send(heard);
    }
}

impl Handler for Listener {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.tell(Heard::Open {
            version: shake.tls_version().unwrap_or("none"),
            peer: shake.peer_certificate().map(common_name),
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
        if self.manners.echoes {
            self.out.send(msg.clone())?;
        }
        self.tell(Heard::Message(msg));
        match self.manners.closes_after {
            Some(count) if count <= self.count => self.out.close(CloseCode::Normal),
            _ => Ok(()),
        }
    }

    fn on_close(&mut self, code: CloseCode, _reason: &str) {
        self.tell(Heard::Close(code));
    }

    fn on_error(&mut self, err: Error) {
        let kind = match err.kind {
            ErrorKind::Ssl(_) => "Ssl",
            ErrorKind::SslHandshake(_) => "SslHandshake",
            ErrorKind::Io(_) => "Io",
            ErrorKind::Protocol => "Protocol",
            ErrorKind::Internal => "Internal",
            ErrorKind::Capacity => "Capacity",
            _ => "another",
        };
        self.tell(Heard::Error(kind, err.to_string()));
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

/// Makes a loop, and the channel with the calls of its handlers.
pub(crate) fn build(manners: Manners, settings: Settings) -> (WebSocket<Recorder>, Receiver<Heard>) {
    let (heard, listen) = mpsc::channel();
    (Builder::new().with_settings(settings).build(Recorder { manners, heard }).unwrap(), listen)
}

/// A server on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Receiver<Heard>,
    /// Where the system counts what the loop does.
    pub(crate) thread: std::path::PathBuf,
    everyone: Sender,
    running: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        manners: Manners,
        settings: Settings,
        encrypt: impl FnOnce(WebSocket<Recorder>) -> WebSocket<Recorder>,
    ) -> Self {
        let (socket, heard) = build(manners, settings);
        let socket = encrypt(socket).bind("127.0.0.1:0").unwrap();
        let (address, everyone) = (socket.local_addr().unwrap(), socket.broadcaster());
        let (tell, told) = mpsc::channel();
        let running = thread::spawn(move || {
            let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            tell.send(std::path::Path::new("/proc").join(thread)).unwrap();
            socket.run().unwrap();
        });
        let thread = told.recv().unwrap();
        Self { address, heard, thread, everyone, running: Some(running) }
    }

    pub(crate) fn everyone(&self) -> &Sender {
        &self.everyone
    }

    /// Waits for what is next.
    pub(crate) fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a handler is called")
    }

    /// Waits for something, whatever else comes before.
    pub(crate) fn wait_for(&self, what: &Heard) {
        while self.next() != *what {}
    }

    /// How much processor time the loop has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(self.thread.join("stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// The loop, which has nothing to do, must do nothing.
    pub(crate) fn assert_idle(&self) {
        if cfg!(target_os = "linux") {
            sockeye_test_support::wait_until("the loop comes to rest", || {
                let before = self.processor_time();
                thread::sleep(Duration::from_millis(300));
                self.processor_time() - before <= Duration::from_millis(50)
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.everyone.shutdown();
        if let Some(running) = self.running.take()
            && sockeye_test_support::join(running).is_err()
            && !thread::panicking()
        {
            panic!("the server has panicked");
        }
    }
}

/// Runs a client to its end, and returns all calls of its handler.
pub(crate) fn visit(url: &str, manners: Manners, tls: Option<SslConnector>) -> Vec<Heard> {
    let settings = Settings { handshake_timeout: PATIENCE, ..Settings::default() };
    let (mut socket, heard) = build(manners, settings);
    if let Some(tls) = tls {
        socket = socket.with_client_tls(tls);
    }
    socket.connect(url.parse().unwrap()).unwrap();
    drop(socket.run().unwrap());
    heard.iter().collect()
}

/// Closes as soon as it is open.
pub(crate) fn polite() -> Manners {
    Manners { closes_after: Some(0), ..Manners::default() }
}

pub(crate) fn echo() -> Manners {
    Manners { echoes: true, ..Manners::default() }
}
