//! A kit to test handlers: an event loop in memory, with a clock that only the test moves.
//!
//! A [`TestLoop`] runs the event loop of this crate on a system without sockets, threads and waiting. The test creates the peers
//! of the loop: clients that connect to it, and servers that it connects to. A [`Peer`] speaks WebSocket with the protocol core
//! of this crate, so that a test sends and receives messages.
//!
//! The loop runs while the test waits for something: in [`Peer::receive`], [`TestLoop::advance`], [`TestLoop::run_until_idle`] and
//! the other methods whose description says so. They run it until only the passing of time or a peer could cause more work. The
//! clock moves in [`TestLoop::advance`] alone, so that a test of a timeout of one hour takes no longer than any other, and each run
//! of a test has the same order of events.
//!
//! What the test itself does with a [`Sender`] has the effect of another thread. Threads that the program starts also
//! work, but the kit does not wait for them: join them first, and then run the loop.
//!
//! # Panics
//!
//! All methods panic if they cannot do what the test demands, and say what the peer and the loop are doing instead. A panic of a
//! handler is a panic of the method that runs the loop, unless [`Settings::catch_panics`] is set. Handlers must not use the kit.
//!
//! # What is not simulated
//!
//! Names of servers are not resolved: each has the address 127.0.0.1, except those that end in `.invalid`, which do not exist.
//! Nothing is encrypted, and certificates are not used. There are no Unix domain sockets, no pools of loops, and no clusters.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use sockeye::testing::TestLoop;
//! use sockeye::{CloseCode, Message, Sender, Settings};
//!
//! // A message is echoed.
//! let echo = |out: Sender| move |msg: Message| out.send(msg);
//! let kit = TestLoop::new(echo);
//! let client = kit.connect("/");
//! client.send("hello");
//! assert_eq!(client.receive(), "hello".into());
//!
//! // A client that falls silent is disconnected after a minute.
//! let idle_timeout = Some(Duration::from_secs(60));
//! let kit = TestLoop::with_settings(Settings { idle_timeout, ..Settings::default() }, echo);
//! let client = kit.connect("/");
//! client.fall_silent();
//! kit.advance(Duration::from_secs(59));
//! assert!(client.is_open());
//! kit.advance(Duration::from_secs(1));
//! assert!(!client.is_open());
//! assert_eq!(client.closed().code, CloseCode::Abnormal);
//! ```

mod client_options;
mod peer;
mod remote_end;
mod world;

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

pub use self::client_options::ClientOptions;
pub use self::peer::Peer;
use self::remote_end::{Answer, RemoteEnd};
use self::world::World;
use super::api::factory::Factory;
use super::api::sender::Sender;
use super::api::settings::Settings;
use crate::protocol::handshake::{Body, Request, Response};

/// An event loop in memory, whose clock only the test moves.
///
/// It listens, so that it only ends after [`Sender::shutdown`] or [`Sender::drain`]. It is dropped together with the last of its
/// [`Peer`]s.
///
/// See the [example](crate::testing#examples) of the module.
pub struct TestLoop<'f> {
    shared: Rc<Shared<'f>>,
}

/// The loop and its peers. Nothing may be borrowed while a method runs that is called by the test.
struct Shared<'f>(RefCell<World<'f>>);

impl<'f> TestLoop<'f> {
    /// Creates a loop with the default [`Settings`].
    ///
    /// See the [example](crate::testing#examples) of the module.
    pub fn new(factory: impl Factory + 'f) -> Self {
        Self::with_settings(Settings::default(), factory)
    }

    /// Creates a loop.
    ///
    /// # Panics
    ///
    /// If a setting is invalid, as in [`Builder::build`](crate::Builder::build).
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn with_settings(settings: Settings, factory: impl Factory + 'f) -> Self {
        if let Err(err) = settings.check() {
            panic!("{err}");
        }
        Self { shared: Rc::new(Shared(RefCell::new(World::new(settings, factory)))) }
    }

    /// Connects a client that requests a path, and runs the loop until the connection is open.
    ///
    /// # Panics
    ///
    /// If the loop does not accept the client. A test of that uses [`client`](Self::client).
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn connect(&self, path: &str) -> Peer<'f> {
        self.client(path).connect()
    }

    /// Prepares a client that requests a path, which can have a query, with further headers and options.
    ///
    /// # Panics
    ///
    /// If the path does not begin with a slash.
    ///
    /// See the example of [`ClientOptions`].
    #[track_caller]
    pub fn client(&self, path: &str) -> ClientOptions<'f> {
        ClientOptions::new(Rc::clone(&self.shared), path)
    }

    /// Requests a page, runs the loop until it is idle, and returns the response with its body.
    ///
    /// # Panics
    ///
    /// If there is no response.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Handler, Request, Response, Result};
    ///
    /// struct Page;
    ///
    /// impl Handler for Page {
    ///     fn on_request(&mut self, req: &Request) -> Result<Response> {
    ///         match req.resource() {
    ///             "/health" => Ok(Response::new(200, "OK", b"ok".to_vec())),
    ///             _ => Response::from_request(req),
    ///         }
    ///     }
    /// }
    ///
    /// let kit = TestLoop::new(|_| Page);
    /// let response = kit.get("/health");
    /// assert_eq!((response.status(), response.body()), (200, &b"ok"[..]));
    /// ```
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        let bytes = self.send_raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let Ok(Some(mut response)) = Response::parse(&bytes) else {
            panic!("the request for {path} has no response: {}", self.shared.lock().activity());
        };
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let mut body = Body::of(&response, usize::MAX);
        body.push(bytes.get(head..).unwrap_or_default());
        response.set_body(body.finish());
        response
    }

    /// Connects a client that sends these bytes and nothing else. Runs the loop until it is idle, and returns the bytes that the
    /// client has received. The client then ends the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let response = kit.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n");
    /// assert!(response.starts_with(b"HTTP/1.1 426 "));
    /// ```
    #[track_caller]
    pub fn send_raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut world = self.shared.lock();
        let wire = world.connect_wire(None);
        wire.send(bytes);
        world.run_until_idle();
        let received = wire.take_received();
        wire.end();
        world.run_until_idle();
        received
    }

    /// Adds a server, which the next connection attempt of the loop reaches, and which accepts its request.
    ///
    /// Attempts that find no server are refused. [`Peer::request`] returns the request that the server has received.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Handler, Handshake, Message, Result, Sender};
    ///
    /// struct Reporter(Sender);
    ///
    /// impl Handler for Reporter {
    ///     fn on_open(&mut self, _: Handshake) -> Result<()> {
    ///         self.0.send("here I am")
    ///     }
    /// }
    ///
    /// let kit = TestLoop::new(Reporter);
    /// let server = kit.serve();
    /// kit.sender().connect("ws://reports.example/today".parse()?)?;
    /// assert_eq!(server.receive(), "here I am".into());
    /// assert_eq!(server.request().resource(), "/today");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serve(&self) -> Peer<'f> {
        self.add_server(None)
    }

    /// Adds a server as [`serve`](Self::serve) does, which answers the request as the function decides.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::RefCell;
    ///
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Error, Handler, Response, Sender};
    ///
    /// struct Client<'t>(&'t RefCell<Vec<String>>);
    ///
    /// impl Handler for Client<'_> {
    ///     fn on_error(&mut self, err: Error) {
    ///         self.0.borrow_mut().push(err.to_string());
    ///     }
    /// }
    ///
    /// let errors = RefCell::default();
    /// let kit = TestLoop::new(|_: Sender| Client(&errors));
    /// kit.serve_with(|_| Response::new(403, "Forbidden", Vec::new()));
    /// kit.sender().connect("ws://closed.example/".parse()?)?;
    /// kit.run_until_idle();
    /// assert!(errors.borrow()[0].contains("403"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serve_with(&self, answer: impl Fn(&Request) -> Response + 'f) -> Peer<'f> {
        self.add_server(Some(Box::new(answer)))
    }

    fn add_server(&self, answer: Option<Answer<'f>>) -> Peer<'f> {
        let mut world = self.shared.lock();
        let end = RemoteEnd::server(world.add_server(), answer, world.now());
        let index = world.add_remote(end);
        Peer::new(Rc::clone(&self.shared), index)
    }

    /// Returns a sender for all connections. What the test does with a sender has the effect of another thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let clients = [kit.connect("/"), kit.connect("/")];
    /// kit.sender().broadcast("to all")?;
    /// assert!(clients.iter().all(|client| client.receive() == "to all".into()));
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn sender(&self) -> Sender {
        self.shared.lock().sender()
    }

    /// Runs the loop and the peers until only the passing of time or an action of the test could cause more work.
    ///
    /// # Panics
    ///
    /// If the loop is still busy after 10,000 turns, because a handler causes new work each time it is called.
    ///
    /// See the example of [`serve_with`](Self::serve_with).
    #[track_caller]
    pub fn run_until_idle(&self) {
        self.shared.lock().run_until_idle();
    }

    /// Runs the loop until it is idle, moves the clock, and fires all timers on the way, each at its time.
    ///
    /// The loop rounds the times of timers up to the next millisecond, so that none fires early. If one is due in the millisecond
    /// after the end, the clock also moves by this millisecond: a timer of one minute has fired after `advance` of one minute.
    ///
    /// # Panics
    ///
    /// As [`run_until_idle`](Self::run_until_idle).
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn advance(&self, time: Duration) {
        self.shared.lock().advance(time);
    }

    /// Returns the time that has passed since the loop was created.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// kit.advance(Duration::from_secs(3600));
    /// assert_eq!((kit.elapsed(), kit.next_timer()), (Duration::from_secs(3600), None));
    /// ```
    pub fn elapsed(&self) -> Duration {
        self.shared.lock().elapsed()
    }

    /// Returns how long it takes until the next timer fires. `None` if there is none.
    ///
    /// The timers are those of [`Sender::timeout`], the timeouts of [`Settings`], and the schedule of [`Sender::drain`].
    ///
    /// See the example of [`elapsed`](Self::elapsed).
    pub fn next_timer(&self) -> Option<Duration> {
        self.shared.lock().until_next_timer()
    }

    /// Returns whether the loop has ended, after [`Sender::shutdown`] or [`Sender::drain`]. Runs the loop until it is idle.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::CloseCode;
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.connect("/");
    /// kit.sender().shutdown()?;
    /// assert!(kit.has_ended());
    /// assert_eq!(client.closed().code, CloseCode::Away);
    /// # sockeye::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn has_ended(&self) -> bool {
        let mut world = self.shared.lock();
        world.run_until_idle();
        world.has_ended()
    }
}

impl<'f> Shared<'f> {
    /// Borrows the loop and its peers.
    #[track_caller]
    fn lock(&self) -> RefMut<'_, World<'f>> {
        match self.0.try_borrow_mut() {
            Ok(world) => world,
            Err(_) => panic!("the test kit cannot be used inside of a handler, because the loop is running"),
        }
    }
}

impl fmt::Debug for TestLoop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestLoop").finish_non_exhaustive()
    }
}
