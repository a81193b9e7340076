//! The options of a client.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use url::Url;

use super::remote_end::RemoteEnd;
use super::{Peer, Shared};
use crate::error::Result;
use crate::protocol::Config;
use crate::protocol::handshake::Request;

/// The request and the options of a client, which [`TestLoop::client`](super::TestLoop::client) creates.
///
/// # Examples
///
/// A server that accepts a client only with a cookie:
///
/// ```
/// use sockeye::testing::TestLoop;
/// use sockeye::{Handler, Request, Response, Result};
///
/// struct Members;
///
/// impl Handler for Members {
///     fn on_request(&mut self, req: &Request) -> Result<Response> {
///         match req.header("Cookie") {
///             Some(cookie) if cookie == b"session=7" => Response::from_request(req),
///             _ => Ok(Response::new(401, "Unauthorized", Vec::new())),
///         }
///     }
/// }
///
/// let kit = TestLoop::new(|_| Members);
/// let member = kit.client("/chat").header("Cookie", "session=7").connect();
/// assert!(member.is_open());
/// let stranger = kit.client("/chat").open();
/// assert_eq!(stranger.response().status(), 401);
/// ```
#[must_use = "the client connects with `connect` or `open`"]
pub struct ClientOptions<'f> {
    shared: Rc<Shared<'f>>,
    request: Request,
    config: Config,
    address: Option<SocketAddr>,
}

impl<'f> ClientOptions<'f> {
    #[track_caller]
    pub(super) fn new(shared: Rc<Shared<'f>>, path: &str) -> Self {
        assert!(path.starts_with('/'), "the path {path:?} does not begin with a slash");
        let url = Url::parse("ws://localhost").and_then(|root| root.join(path));
        let Ok(Ok(request)) = url.map(|url| Request::from_url(&url)) else {
            panic!("{path:?} is not a path");
        };
        Self { shared, request, config: Config::without_timeouts(), address: None }
    }

    /// Adds a header to the request.
    ///
    /// # Panics
    ///
    /// If the name or the value contains invalid bytes.
    ///
    /// See the [example](Self#examples) of this type.
    #[track_caller]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.change_request(|request| request.add_header(name, value))
    }

    /// Offers another subprotocol, as the least preferred one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Settings;
    /// use sockeye::testing::TestLoop;
    ///
    /// let settings = Settings { subprotocols: &["chat.v2", "chat.v1"], ..Settings::default() };
    /// let kit = TestLoop::with_settings(settings, |_| |_| Ok(()));
    /// let client = kit.client("/").subprotocol("chat.v1").connect();
    /// assert_eq!(client.response().protocol()?, Some("chat.v1"));
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.request.add_protocol(name);
        self
    }

    /// Changes the request in any other way.
    ///
    /// # Panics
    ///
    /// If the function returns an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.client("/").change_request(|request| request.set_header("Host", "example.com")).connect();
    /// assert_eq!(client.request().header("Host"), Some(&b"example.com".to_vec()));
    /// ```
    #[track_caller]
    pub fn change_request(mut self, change: impl FnOnce(&mut Request) -> Result<()>) -> Self {
        if let Err(err) = change(&mut self.request) {
            panic!("the request of the client cannot be changed: {err}");
        }
        self
    }

    /// Sets the address of the client. Default: 127.0.0.1, with another port for each client.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Handler, Handshake, Result};
    ///
    /// struct Watchman<'t>(&'t Cell<Option<String>>);
    ///
    /// impl Handler for Watchman<'_> {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         self.0.set(shake.remote_addr()?);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let last = Cell::default();
    /// let kit = TestLoop::new(|_| Watchman(&last));
    /// kit.client("/").address("192.0.2.7:50000".parse()?).connect();
    /// assert_eq!(last.take().as_deref(), Some("192.0.2.7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets the limits and rules of the client, such as its compression. Default: [`Config::without_timeouts`]. The timeouts of a
    /// client never pass.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::Config;
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Message, Sender};
    ///
    /// let kit = TestLoop::new(|out: Sender| move |msg: Message| out.send(msg));
    /// // It sends long messages in fragments.
    /// let config = Config { fragment_size: 100, ..Config::without_timeouts() };
    /// let client = kit.client("/").config(config).connect();
    /// client.send(vec![7; 1000]);
    /// assert_eq!(client.receive().len(), 1000);
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Connects, and sends the request. The loop does not run yet: [`Peer::response`] runs it and returns the response.
    ///
    /// # Panics
    ///
    /// If the request breaks a rule of RFC 6455 §4.1 ([`TestLoop::send_raw`](super::TestLoop::send_raw) can send it), and if the
    /// loop has ended.
    ///
    /// See the [example](Self#examples) of this type.
    #[track_caller]
    pub fn open(self) -> Peer<'f> {
        let mut world = self.shared.lock();
        let (wire, now) = (world.connect_wire(self.address), world.now());
        let index = match RemoteEnd::client(wire, self.config, self.request, now) {
            Ok(end) => world.add_remote(end),
            Err(err) => panic!("the client cannot send its request: {err}"),
        };
        drop(world);
        Peer::new(self.shared, index)
    }

    /// Connects, and runs the loop until the connection is open.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open), and if the loop does not accept the client.
    ///
    /// See the [example](Self#examples) of this type.
    #[track_caller]
    pub fn connect(self) -> Peer<'f> {
        let client = self.open();
        let is_accepted = client.response().status() == 101;
        assert!(is_accepted, "{}", client.explain("is not accepted"));
        client
    }
}

impl fmt::Debug for ClientOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions").field("request", &self.request).finish_non_exhaustive()
    }
}
