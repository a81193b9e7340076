//! The clients of all front ends: each connects, sends a message and returns the echo.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sockeye::protocol::handshake::Request;
use sockeye::url::Url;
use sockeye::{
    ClientTls, CloseCode, ErrorKind, Handler, Handshake, Message, Proxy, ProxyError, ProxyFailure, Result,
    Sender, Settings, blocking, futures, socket,
};
use sockeye_test_support::LIMIT;

/// How a client connects.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_redirects: u8,
    pub(crate) crosses_origins: bool,
    pub(crate) sends_credentials: bool,
}

/// Why a client has not received its echo.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// The reason of the proxy.
    pub(crate) proxy: Option<ProxyFailure>,
    pub(crate) is_timeout: bool,
}

/// The client of a front end.
pub(crate) type Client = fn(&Plan) -> std::result::Result<String, Failure>;

/// The clients, with the names of their front ends.
pub(crate) const CLIENTS: [(&str, Client); 3] =
    [("reactor", reactor), ("blocking", blocking), ("futures", futures)];

impl Plan {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            proxy: None,
            tls: None,
            connect_timeout: LIMIT,
            max_redirects: 0,
            crosses_origins: false,
            sends_credentials: true,
        }
    }

    pub(crate) fn through(self, proxy: &str) -> Self {
        Self { proxy: Some(Proxy::new(proxy).unwrap()), ..self }
    }
}

fn blocking(plan: &Plan) -> std::result::Result<String, Failure> {
    let mut builder = blocking::Builder::new()
        .connect_timeout(plan.connect_timeout)
        .max_redirects(plan.max_redirects)
        .cross_origin_redirects(plan.crosses_origins)
        .url_credentials(plan.sends_credentials)
        .add_header("Cookie", "session=1")?;
    if let Some(proxy) = &plan.proxy {
        builder = builder.proxy(proxy.clone());
    }
    if let Some(tls) = &plan.tls {
        builder = builder.client_tls(tls.clone());
    }
    let mut socket = builder.connect(&plan.url)?;
    socket.send("hello")?;
    let echo = socket.receive()?.map(|message| message.to_string());
    // The server may have ended already.
    let _ = socket.close(CloseCode::Normal, "");
    Ok(echo.unwrap_or_default())
}

fn futures(plan: &Plan) -> std::result::Result<String, Failure> {
    let mut builder = futures::Builder::new()
        .connect_timeout(plan.connect_timeout)
        .max_redirects(plan.max_redirects)
        .cross_origin_redirects(plan.crosses_origins)
        .url_credentials(plan.sends_credentials)
        .add_header("Cookie", "session=1")?;
    if let Some(proxy) = &plan.proxy {
        builder = builder.proxy(proxy.clone());
    }
    if let Some(tls) = &plan.tls {
        builder = builder.client_tls(tls.clone());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut socket = builder.connect(&plan.url).await?;
        socket.send("hello").await?;
        let echo = socket.receive().await?.map(|message| message.to_string());
        let _ = socket.close(CloseCode::Normal, "").await;
        Ok(echo.unwrap_or_default())
    })
}

/// What a handler has received.
type Outcome = Rc<RefCell<Option<std::result::Result<String, Failure>>>>;

struct Echoed {
    out: Sender,
    outcome: Outcome,
}

impl Handler for Echoed {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        request.set_header("Cookie", "session=1")?;
        Ok(request)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.send("hello")
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        *self.outcome.borrow_mut() = Some(Ok(message.to_string()));
        self.out.close(CloseCode::Normal)
    }

    fn on_error(&mut self, err: sockeye::Error) {
        self.outcome.borrow_mut().get_or_insert_with(|| Err(err.into()));
    }
}

fn reactor(plan: &Plan) -> std::result::Result<String, Failure> {
    let settings = Settings {
        connect_timeout: plan.connect_timeout,
        max_redirects: plan.max_redirects,
        cross_origin_redirects: plan.crosses_origins,
        url_credentials: plan.sends_credentials,
        ..Settings::default()
    };
    let outcome = Outcome::default();
    let factory = |out| Echoed { out, outcome: Rc::clone(&outcome) };
    let mut socket = sockeye::Builder::new().with_settings(settings).build(factory)?;
    if let Some(proxy) = &plan.proxy {
        socket = socket.with_proxy(proxy.clone());
    }
    if let Some(tls) = &plan.tls {
        socket = socket.with_client_tls(tls.clone());
    }
    socket.connect(plan.url.parse().unwrap())?;
    drop(socket.run()?);
    outcome.take().unwrap()
}

impl From<socket::Error> for Failure {
    fn from(err: socket::Error) -> Self {
        let proxy = match &err {
            socket::Error::Proxy(err) => Some(err.failure()),
            _ => None,
        };
        let is_timeout = matches!(err, socket::Error::Timeout(socket::TimeoutKind::Connect));
        Self { text: err.to_string(), proxy, is_timeout }
    }
}

impl From<sockeye::Error> for Failure {
    fn from(err: sockeye::Error) -> Self {
        let is_timeout =
            matches!(&err.kind, ErrorKind::Io(err) if err.kind() == std::io::ErrorKind::TimedOut);
        Self { text: err.to_string(), proxy: ProxyError::of(&err).map(ProxyError::failure), is_timeout }
    }
}
