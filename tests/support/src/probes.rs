//! A handler that sends what it receives through a channel, and acts in every method.

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

/// The size of a message that the system does not buffer for a peer that does not read, and that a connection may queue,
/// in bytes.
pub const TOO_MUCH: usize = 15 << 20;

/// Sends more than the system buffers.
///
/// # Errors
///
/// Those of the queue.
pub fn send_too_much(out: &Sender) -> Result<()> {
    out.send(vec![7; TOO_MUCH])
}

/// Waits until the system has taken what it buffers of that.
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
pub enum Heard {
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
    /// The factory has the handler back.
    Lost,
    /// The factory was called at the end of the loop.
    End,
}

/// What is done within every method of a [`Probe`]; the error is what the method returns, if it can.
pub type Act = Arc<dyn Fn(Hook, &Sender) -> Result<()> + Send + Sync>;

/// A handler that sends its calls through a channel, with the id of its connection, and then acts.
pub struct Probe {
    pub out: Sender,
    tell: Channel<(u32, Heard)>,
    act: Act,
}

/// The factory of [`Probe`]s.
pub struct Probes {
    tell: Channel<(u32, Heard)>,
    act: Act,
    first: Arc<OnceLock<Sender>>,
}

/// The calls of the probes of one loop.
pub struct Ear {
    told: Mutex<Receiver<(u32, Heard)>>,
    first: Arc<OnceLock<Sender>>,
}

impl Probes {
    pub fn new(act: impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static) -> (Self, Ear) {
        let (tell, told) = channel();
        let first = Arc::new(OnceLock::new());
        let ear = Ear { told: Mutex::new(told), first: Arc::clone(&first) };
        (Self { tell, act: Arc::new(act), first }, ear)
    }

    /// Probes that only listen.
    pub fn quiet() -> (Self, Ear) {
        Self::new(|_, _| Ok(()))
    }

    /// A loop of probes.
    pub fn listen(
        settings: Settings,
        act: impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static,
    ) -> (Server, Ear) {
        let (probes, ear) = Self::new(act);
        (Server::start(settings, probes), ear)
    }
}

impl Factory for Probes {
    type Handler = Probe;

    fn connection_made(&mut self, out: Sender) -> Probe {
        self.first.set(out.clone()).ok();
        self.tell.send((out.connection_id(), Heard::Made(out.clone()))).ok();
        Probe { out, tell: self.tell.clone(), act: Arc::clone(&self.act) }
    }

    fn connection_lost(&mut self, probe: Probe) {
        probe.tell(Heard::Lost);
    }

    fn on_shutdown(&mut self) {
        self.tell.send((0, Heard::End)).ok();
    }
}

impl Ear {
    /// The next call.
    pub fn next(&self) -> (u32, Heard) {
        self.told.lock().unwrap().recv_timeout(LIMIT).unwrap()
    }

    /// The next thing of which `choose` makes something; others are passed over.
    pub fn find<T>(&self, mut choose: impl FnMut(u32, Heard) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < end, "that call never came");
            let (id, heard) = self.next();
            if let Some(found) = choose(id, heard) {
                return found;
            }
        }
    }

    /// The sender of the first connection, without passing anything over.
    pub fn first(&self) -> &Sender {
        wait_until("the first connection", || self.first.get().is_some());
        self.first.get().unwrap()
    }

    /// The sender of the next connection that is made.
    pub fn made(&self) -> Sender {
        self.find(|_, heard| match heard {
            Heard::Made(out) => Some(out),
            _ => None,
        })
    }

    /// The sender of the next connection that opens.
    pub fn opened(&self) -> Sender {
        let out = self.made();
        self.find(|id, heard| (id == out.connection_id() && matches!(heard, Heard::Open)).then_some(()));
        out
    }

    /// The text of the next message.
    pub fn message(&self) -> String {
        self.find(|_, heard| match heard {
            Heard::Message(message) => message.into_text().ok(),
            _ => None,
        })
    }

    /// The code of the next `on_close`.
    pub fn close(&self) -> CloseCode {
        self.find(|_, heard| match heard {
            Heard::Close(code, _) => Some(code),
            _ => None,
        })
    }

    /// The kind of the next error.
    pub fn error(&self) -> ErrorKind {
        self.find(|_, heard| match heard {
            Heard::Error(kind) => Some(kind),
            _ => None,
        })
    }

    /// Waits until a connection has been given back to the factory.
    pub fn lost(&self) -> u32 {
        self.find(|id, heard| matches!(heard, Heard::Lost).then_some(id))
    }

    /// All calls so far.
    pub fn rest(&self) -> Vec<(u32, Heard)> {
        self.told.lock().unwrap().try_iter().collect()
    }
}

impl Probe {
    fn tell(&self, heard: Heard) {
        self.tell.send((self.out.connection_id(), heard)).ok();
    }

    fn act(&self, hook: Hook) -> Result<()> {
        (self.act)(hook, &self.out)
    }
}

impl Handler for Probe {
    fn on_shutdown(&mut self) {
        self.tell(Heard::Shutdown);
        self.act(Hook::Shutdown).ok();
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.tell(Heard::Open);
        self.act(Hook::Open)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.tell(Heard::Message(msg));
        self.act(Hook::Message)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.tell(Heard::Close(code, reason.to_owned()));
        self.act(Hook::Close).ok();
    }

    fn on_error(&mut self, err: Error) {
        self.tell(Heard::Error(err.kind));
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
        self.tell(Heard::Rejected(res.status()));
        self.act(Hook::Rejected).ok();
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.tell(Heard::Timeout(event));
        self.act(Hook::Timeout)
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        self.tell(Heard::NewTimeout(timeout));
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
        self.tell(Heard::Drain);
        self.act(Hook::Drain)
    }

    fn build_request(&mut self, url: &Url) -> Result<Request> {
        self.act(Hook::BuildRequest)?;
        Request::from_url(url)
    }
}
