//! A handler that sends its calls through a channel, and executes a function in every method.

use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use sockeye::util::{Timeout, Token};
use sockeye::{
    CloseCode, Error, ErrorKind, Factory, Frame, Handler, Handshake, Message, Request, Response, Result,
    Sender, Settings,
};
use url::Url;

use crate::server::Server;
use crate::{LIMIT, wait_until};

/// The size of a message in bytes that exceeds the buffers of the system for a peer that does not read. It is below the
/// limit for the queue of a connection.
pub const TOO_MUCH: usize = 15 << 20;

/// Sends more bytes than the system can buffer.
///
/// # Errors
///
/// Returns an error if the message cannot be queued.
pub fn send_too_much(out: &Sender) -> Result<()> {
    out.send(vec![7; TOO_MUCH])
}

/// Waits until the system has accepted a part of the message from [`send_too_much`], and the rest is blocked.
pub fn wait_until_blocked(out: &Sender) {
    wait_until("the output is blocked", || (1..TOO_MUCH).contains(&out.buffered_amount()));
}

/// The methods of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    Shutdown,
    Open,
    Message,
    Close,
    Error,
    Request,
    Response,
    Rejected,
    Timeout,
    NewTimeout,
    Frame,
    SendFrame,
    Drain,
    BuildRequest,
}

/// A call of a [`Probe`].
#[derive(Debug)]
pub enum HandlerCall {
    Made(Sender),
    Open,
    Message(Message),
    Close(CloseCode, String),
    Error(ErrorKind),
    Rejected(u16),
    Timeout(Token),
    NewTimeout(Timeout),
    Drain,
    Shutdown,
    /// The handler was returned to the factory.
    Lost,
    /// `on_shutdown` of the factory was called.
    End,
}

/// The function that a [`Probe`] executes in every method. The method returns the error of the function, if possible.
pub type Act = Arc<dyn Fn(Hook, &Sender) -> Result<()> + Send + Sync>;

/// A handler that sends its calls through a channel, with the id of its connection, and then executes a function.
pub struct Probe {
    pub out: Sender,
    tx: Channel<(u32, HandlerCall)>,
    act: Act,
}

/// The factory of [`Probe`]s.
pub struct Probes {
    tx: Channel<(u32, HandlerCall)>,
    act: Act,
    first: Arc<OnceLock<Sender>>,
}

/// The calls of the probes of one loop.
pub struct HandlerCalls {
    rx: Mutex<Receiver<(u32, HandlerCall)>>,
    first: Arc<OnceLock<Sender>>,
}

impl Probes {
    pub fn new(act: impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static) -> (Self, HandlerCalls) {
        let (tx, rx) = channel();
        let first = Arc::new(OnceLock::new());
        let calls = HandlerCalls { rx: Mutex::new(rx), first: Arc::clone(&first) };
        (Self { tx, act: Arc::new(act), first }, calls)
    }

    /// Creates probes that only report their calls.
    pub fn quiet() -> (Self, HandlerCalls) {
        Self::new(|_, _| Ok(()))
    }

    /// Starts a server whose handlers are probes.
    pub fn listen(
        settings: Settings,
        act: impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static,
    ) -> (Server, HandlerCalls) {
        let (probes, calls) = Self::new(act);
        (Server::start(settings, probes), calls)
    }
}

impl Factory for Probes {
    type Handler = Probe;

    fn connection_made(&mut self, out: Sender) -> Probe {
        self.first.set(out.clone()).ok();
        self.tx.send((out.connection_id(), HandlerCall::Made(out.clone()))).ok();
        Probe { out, tx: self.tx.clone(), act: Arc::clone(&self.act) }
    }

    fn connection_lost(&mut self, probe: Probe) {
        probe.record(HandlerCall::Lost);
    }

    fn on_shutdown(&mut self) {
        self.tx.send((0, HandlerCall::End)).ok();
    }
}

impl HandlerCalls {
    /// Waits for the next call, and returns it.
    pub fn next(&self) -> (u32, HandlerCall) {
        self.rx.lock().unwrap().recv_timeout(LIMIT).unwrap()
    }

    /// Waits until `choose` returns a value for a call, and returns that value. Other calls are skipped.
    pub fn find<T>(&self, mut choose: impl FnMut(u32, HandlerCall) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < end, "the expected call was not received");
            let (id, received) = self.next();
            if let Some(found) = choose(id, received) {
                return found;
            }
        }
    }

    /// Returns the sender of the first connection, without skipping any calls.
    pub fn first(&self) -> &Sender {
        wait_until("the first connection", || self.first.get().is_some());
        self.first.get().unwrap()
    }

    /// Waits for the next new connection, and returns its sender.
    pub fn made(&self) -> Sender {
        self.find(|_, call| match call {
            HandlerCall::Made(out) => Some(out),
            _ => None,
        })
    }

    /// Waits until the next new connection opens, and returns its sender.
    pub fn opened(&self) -> Sender {
        let out = self.made();
        self.find(|id, call| (id == out.connection_id() && matches!(call, HandlerCall::Open)).then_some(()));
        out
    }

    /// Waits for the next text message, and returns its text.
    pub fn message(&self) -> String {
        self.find(|_, call| match call {
            HandlerCall::Message(message) => message.into_text().ok(),
            _ => None,
        })
    }

    /// Waits for the next `on_close`, and returns its code.
    pub fn close(&self) -> CloseCode {
        self.find(|_, call| match call {
            HandlerCall::Close(code, _) => Some(code),
            _ => None,
        })
    }

    /// Waits for the next error, and returns its kind.
    pub fn error(&self) -> ErrorKind {
        self.find(|_, call| match call {
            HandlerCall::Error(kind) => Some(kind),
            _ => None,
        })
    }

    /// Waits until a handler has been returned to the factory, and returns the id of its connection.
    pub fn lost(&self) -> u32 {
        self.find(|id, call| matches!(call, HandlerCall::Lost).then_some(id))
    }

    /// Returns all calls that have been received so far.
    pub fn rest(&self) -> Vec<(u32, HandlerCall)> {
        self.rx.lock().unwrap().try_iter().collect()
    }
}

impl Probe {
    fn record(&self, received: HandlerCall) {
        self.tx.send((self.out.connection_id(), received)).ok();
    }

    fn act(&self, hook: Hook) -> Result<()> {
        (self.act)(hook, &self.out)
    }
}

impl Handler for Probe {
    fn on_shutdown(&mut self) {
        self.record(HandlerCall::Shutdown);
        self.act(Hook::Shutdown).ok();
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.record(HandlerCall::Open);
        self.act(Hook::Open)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.record(HandlerCall::Message(msg));
        self.act(Hook::Message)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.record(HandlerCall::Close(code, reason.to_owned()));
        self.act(Hook::Close).ok();
    }

    fn on_error(&mut self, err: Error) {
        self.record(HandlerCall::Error(err.kind));
        self.act(Hook::Error).ok();
    }

    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.act(Hook::Request)?;
        Response::from_request(req)
    }

    fn on_response(&mut self, _: &Response) -> Result<()> {
        self.act(Hook::Response)
    }

    fn on_rejected(&mut self, res: &Response) {
        self.record(HandlerCall::Rejected(res.status()));
        self.act(Hook::Rejected).ok();
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.record(HandlerCall::Timeout(event));
        self.act(Hook::Timeout)
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        self.record(HandlerCall::NewTimeout(timeout));
        self.act(Hook::NewTimeout)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.act(Hook::Frame)?;
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.act(Hook::SendFrame)?;
        Ok(Some(frame))
    }

    fn on_drain(&mut self) -> Result<()> {
        self.record(HandlerCall::Drain);
        self.act(Hook::Drain)
    }

    fn build_request(&mut self, url: &Url) -> Result<Request> {
        self.act(Hook::BuildRequest)?;
        Request::from_url(url)
    }
}
