//! A peer of the loop, as a test uses it.

use std::cell::RefMut;
use std::fmt;
use std::rc::Rc;

use super::Shared;
use super::world::World;
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Event, Frame, Role};

/// A client of the loop, or a server to which the loop connects.
///
/// It answers Pings and Close frames by itself. What it sends arrives when the loop runs the next time. It reads everything at once
/// unless [`stop_reading`](Self::stop_reading) or [`fall_silent`](Self::fall_silent) was called. When it is dropped, the connection
/// stays open.
///
/// See the [example](crate::testing#examples) of the module.
pub struct Peer<'f> {
    shared: Rc<Shared<'f>>,
    index: usize,
}

impl<'f> Peer<'f> {
    pub(super) fn new(shared: Rc<Shared<'f>>, index: usize) -> Self {
        Self { shared, index }
    }

    /// Sends a message.
    ///
    /// # Panics
    ///
    /// If the connection is not open.
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn send(&self, message: impl Into<Message>) {
        self.send_frame(message.into());
    }

    /// Sends a frame. The test is responsible for the order of fragments.
    ///
    /// # Panics
    ///
    /// If the connection is not open, or the RFC forbids the frame. [`send_bytes`](Self::send_bytes) can send it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::Event;
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{Frame, Message, OpCode, Sender};
    ///
    /// let kit = TestLoop::new(|out: Sender| move |msg: Message| out.send(msg));
    /// let client = kit.connect("/");
    /// client.send_frame(Frame::message("salmon".into(), OpCode::Text, true));
    /// client.send_frame(Frame::ping(b"still there?".to_vec()));
    /// assert!(matches!(client.receive_event(), Event::Message(echo) if echo == "salmon".into()));
    /// assert!(matches!(client.receive_event(), Event::Pong(payload) if payload == b"still there?"));
    /// ```
    #[track_caller]
    pub fn send_frame(&self, frame: impl Into<Frame>) {
        let mut world = self.shared.lock();
        let (now, mut out) = (world.now(), Vec::new());
        let remote = world.remote(self.index);
        match remote.core.send_frame(frame.into(), now, &mut out) {
            Ok(()) => remote.send(out, now),
            Err(err) => {
                drop(world);
                panic!("{}", self.explain(&format!("cannot send ({err})")));
            }
        }
    }

    /// Sends bytes as they are, for example a frame that breaks the protocol.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::CloseCode;
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.connect("/");
    /// // A reserved opcode.
    /// client.send_bytes(&[0x83, 0x80, 0, 0, 0, 0]);
    /// assert_eq!(client.closed().code, CloseCode::Protocol);
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.shared.lock().remote(self.index).wire.send(bytes);
    }

    /// Runs the loop until it is idle, and returns the next message. Pings and Pongs before it are dropped.
    ///
    /// # Panics
    ///
    /// If there is none. The text describes what the peer and the loop are doing, and when the next timer fires.
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn receive(&self) -> Message {
        // A panic in a closure would name this file, and not the line of the test.
        match self.try_receive() {
            Some(message) => message,
            None => panic!("{}", self.explain("received no message")),
        }
    }

    /// Runs the loop until it is idle, and returns the next message. `None` if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.connect("/");
    /// client.send("Is anyone there?");
    /// assert_eq!(client.try_receive(), None);
    /// ```
    #[track_caller]
    pub fn try_receive(&self) -> Option<Message> {
        self.after_run().remote(self.index).next_message()
    }

    /// Runs the loop until it is idle, and returns the next message, Ping or Pong.
    ///
    /// # Panics
    ///
    /// If there is none, as [`receive`](Self::receive).
    ///
    /// See the example of [`send_frame`](Self::send_frame).
    #[track_caller]
    pub fn receive_event(&self) -> Event {
        let event = self.after_run().remote(self.index).next_event();
        match event {
            Some(event) => event,
            None => panic!("{}", self.explain("received no message, Ping or Pong")),
        }
    }

    /// Runs the loop until it is idle, and returns the response to the request: as a client has received it, or as a server has
    /// sent it. A client also receives the body of a response that does not open the connection.
    ///
    /// # Panics
    ///
    /// If there is none.
    ///
    /// See the example of [`ClientOptions`](super::ClientOptions).
    #[track_caller]
    pub fn response(&self) -> Response {
        let response = self.after_run().remote(self.index).response();
        match response {
            Some(response) => response,
            None => panic!("{}", self.explain("has no response")),
        }
    }

    /// Runs the loop until it is idle, and returns the request: as a client has sent it, or as a server has received it.
    ///
    /// # Panics
    ///
    /// If the loop has not connected to the server.
    ///
    /// See the example of [`TestLoop::serve`](super::TestLoop::serve).
    #[track_caller]
    pub fn request(&self) -> Request {
        let request = self.after_run().remote(self.index).request().cloned();
        match request {
            Some(request) => request,
            None => panic!("{}", self.explain("received no request")),
        }
    }

    /// Sends a Close with a code and no reason. The loop replies to it, and [`closed`](Self::closed) returns the reply.
    ///
    /// # Panics
    ///
    /// If the connection is not open, or the code must not be sent (§7.4).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// use sockeye::testing::TestLoop;
    /// use sockeye::{CloseCode, Handler};
    ///
    /// struct Diary<'t>(&'t Cell<Option<CloseCode>>);
    ///
    /// impl Handler for Diary<'_> {
    ///     fn on_close(&mut self, code: CloseCode, _: &str) {
    ///         self.0.set(Some(code));
    ///     }
    /// }
    ///
    /// let last = Cell::new(None);
    /// let kit = TestLoop::new(|_| Diary(&last));
    /// let client = kit.connect("/");
    /// client.close(CloseCode::Normal);
    /// assert_eq!(client.closed().code, CloseCode::Normal);
    /// assert_eq!(last.get(), Some(CloseCode::Normal));
    ///
    /// // A client that is lost.
    /// kit.connect("/").abort();
    /// kit.run_until_idle();
    /// assert_eq!(last.get(), Some(CloseCode::Abnormal));
    /// ```
    #[track_caller]
    pub fn close(&self, code: CloseCode) {
        self.close_with_reason(code, "");
    }

    /// Sends a Close with a code and a reason of up to 123 bytes.
    ///
    /// # Panics
    ///
    /// As [`close`](Self::close), and if the reason is too long.
    #[track_caller]
    pub fn close_with_reason(&self, code: CloseCode, reason: &str) {
        let mut world = self.shared.lock();
        let (now, mut out) = (world.now(), Vec::new());
        let remote = world.remote(self.index);
        match remote.core.close(code, reason, now, &mut out) {
            Ok(()) => remote.send(out, now),
            Err(err) => {
                drop(world);
                panic!("{}", self.explain(&format!("cannot close ({err})")));
            }
        }
    }

    /// Resets the connection: what the peer has sent and the loop has not read is lost, and nothing more arrives.
    ///
    /// See the example of [`close`](Self::close).
    pub fn abort(&self) {
        self.shared.lock().remote(self.index).abort();
    }

    /// Ends the peer's side of the connection without a Close, as a program that is killed. What it has sent arrives before.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.connect("/");
    /// client.disconnect();
    /// kit.run_until_idle();
    /// assert_eq!(kit.sender().stats().connections_open, 0);
    /// ```
    pub fn disconnect(&self) {
        self.shared.lock().remote(self.index).wire.end();
    }

    /// Stops reading: from now on, the loop can write nothing to this peer, and its output waits.
    ///
    /// [`Settings::max_buffered`](crate::Settings::max_buffered) limits how much waits, and
    /// [`Settings::write_timeout`](crate::Settings::write_timeout) how long. A real system also has buffers, which this one does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::testing::TestLoop;
    ///
    /// let kit = TestLoop::new(|_| |_| Ok(()));
    /// let client = kit.connect("/");
    /// client.stop_reading();
    /// kit.sender().broadcast("news")?;
    /// assert_eq!(client.try_receive(), None);
    /// client.read(3);
    /// assert_eq!(client.try_receive(), None);
    /// client.resume();
    /// assert_eq!(client.receive(), "news".into());
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn stop_reading(&self) {
        self.shared.lock().remote(self.index).set_room(Some(0));
    }

    /// Reads up to this number of bytes, and then stops reading.
    ///
    /// See the example of [`stop_reading`](Self::stop_reading).
    pub fn read(&self, bytes: usize) {
        self.shared.lock().remote(self.index).set_room(Some(bytes));
    }

    /// Falls silent: from now on, the peer does not reply to anything, as if its machine had been disconnected. What the loop writes is
    /// accepted and not answered.
    ///
    /// See the [example](crate::testing#examples) of the module.
    pub fn fall_silent(&self) {
        self.shared.lock().remote(self.index).set_silent(true);
    }

    /// Reads and replies again, also to what has arrived meanwhile.
    ///
    /// See the example of [`stop_reading`](Self::stop_reading).
    pub fn resume(&self) {
        let mut world = self.shared.lock();
        let remote = world.remote(self.index);
        remote.set_room(None);
        remote.set_silent(false);
    }

    /// Runs the loop until it is idle, and returns whether the connection is open.
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn is_open(&self) -> bool {
        self.after_run().remote(self.index).is_open()
    }

    /// Runs the loop until it is idle, and returns how it has closed the connection: the code and the reason of its Close.
    /// [`CloseCode::Abnormal`] means that the connection has ended without a Close.
    ///
    /// A silent peer does not read the Close of the loop.
    ///
    /// # Panics
    ///
    /// If the connection was not closed.
    ///
    /// See the [example](crate::testing#examples) of the module.
    #[track_caller]
    pub fn closed(&self) -> Closed {
        let closed = self.after_run().remote(self.index).closed();
        match closed {
            Some(closed) => closed,
            None => panic!("{}", self.explain("was not closed")),
        }
    }

    /// Runs the loop until it is idle.
    #[track_caller]
    fn after_run(&self) -> RefMut<'_, World<'f>> {
        let mut world = self.shared.lock();
        world.run_until_idle();
        world
    }

    /// Describes why the peer does not do what the test demands.
    pub(super) fn explain(&self, problem: &str) -> String {
        let mut world = self.shared.lock();
        let activity = world.activity();
        let remote = world.remote(self.index);
        let name = match remote.core.role() {
            Role::Client => "client",
            Role::Server => "server",
        };
        let path = remote.request().map_or("no request", Request::resource);
        format!("the {name} ({path}) {problem}: {}; {activity}", remote.status())
    }
}

impl fmt::Debug for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("index", &self.index).finish_non_exhaustive()
    }
}
