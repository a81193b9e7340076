//! A script for the handlers of a loop, and the handler that executes it and writes the journal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye::util::{Timeout, Token};
use sockeye::{
    CloseCode, Error, Factory, Frame, Handler, Handshake, Message, Request, Response, Result, Sender,
    Settings,
};
use url::Url;

use crate::journal::{Hook, Journal};

type Act = dyn Fn(&Sender, &Hook) -> Result<()> + Send + Sync;
type Answer = dyn Fn(&Request) -> Result<Response> + Send + Sync;
type Build = dyn Fn(&Url) -> Result<Request> + Send + Sync;

/// The settings of a loop and the behavior of its handlers.
#[derive(Clone)]
pub struct Script {
    pub settings: Settings,
    act: Arc<Act>,
    answer: Arc<Answer>,
    build: Arc<Build>,
}

impl Script {
    /// Creates a script whose handlers only accept connections.
    pub fn new() -> Self {
        Self {
            // If a test ends before its peers disconnect, the shutdown must not wait for them for a long time.
            settings: Settings { close_timeout: Duration::from_millis(500), ..Settings::default() },
            act: Arc::new(|_, _| Ok(())),
            answer: Arc::new(Response::from_request),
            build: Arc::new(Request::from_url),
        }
    }

    /// Creates a script whose handlers echo every message.
    pub fn echo() -> Self {
        Self::new().on(|out, hook| match hook {
            Hook::Message(message) => out.send(message.clone()),
            _ => Ok(()),
        })
    }

    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Sets the function that handlers execute in every hook, after the call has been recorded. The hook returns the
    /// error of the function. In a hook that cannot return an error, an error fails the test.
    pub fn on(mut self, act: impl Fn(&Sender, &Hook) -> Result<()> + Send + Sync + 'static) -> Self {
        self.act = Arc::new(act);
        self
    }

    pub fn on_request(
        mut self,
        answer: impl Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        self.answer = Arc::new(answer);
        self
    }

    pub fn on_build(mut self, build: impl Fn(&Url) -> Result<Request> + Send + Sync + 'static) -> Self {
        self.build = Arc::new(build);
        self
    }

    pub fn factory(&self, journal: &Journal) -> Recorders {
        Recorders { script: self.clone(), journal: journal.clone() }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The factory of recorders.
#[derive(Debug)]
pub struct Recorders {
    script: Script,
    journal: Journal,
}

impl Factory for Recorders {
    type Handler = Recorder;

    fn connection_made(&mut self, out: Sender) -> Recorder {
        let recorder = Recorder { script: self.script.clone(), journal: self.journal.clone(), out };
        recorder.record(Hook::Made);
        recorder
    }

    fn connection_lost(&mut self, handler: Recorder) {
        handler.record(Hook::Lost);
    }
}

/// Records every call, and then follows the script.
#[derive(Debug)]
pub struct Recorder {
    script: Script,
    journal: Journal,
    out: Sender,
}

impl Recorder {
    fn note(&self, hook: Hook) -> Result<()> {
        self.journal.note(self.out.connection_id(), hook.clone());
        (self.script.act)(&self.out, &hook)
    }

    /// Like [`note`](Self::note), for hooks that cannot return an error.
    fn record(&self, hook: Hook) {
        self.note(hook).expect("this hook returns no error");
    }
}

impl Handler for Recorder {
    fn on_shutdown(&mut self) {
        self.record(Hook::Shutdown);
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.note(Hook::Open(shake.remote_addr()?))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.note(Hook::Message(msg))
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.record(Hook::Close(code, reason.to_owned()));
    }

    fn on_error(&mut self, err: Error) {
        let kind = format!("{:?}", err.kind);
        let end = kind.find(['(', ' ']).unwrap_or(kind.len());
        self.record(Hook::Error(kind[..end].to_owned()));
    }

    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.note(Hook::Request(format!("{} {}", req.method(), req.resource())))?;
        (self.script.answer)(req)
    }

    fn on_response(&mut self, res: &Response) -> Result<()> {
        self.note(Hook::Response(res.status()))
    }

    fn on_rejected(&mut self, res: &Response) {
        self.record(Hook::Rejected(res.status()));
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.note(Hook::Timeout(event.0))
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        self.note(Hook::NewTimeout(event.0, timeout))
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        assert!(!frame.is_masked(), "a handler receives frames without a mask");
        self.note(Hook::Frame(frame.opcode()))?;
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        assert!(!frame.is_masked(), "a handler receives frames without a mask");
        self.note(Hook::SendFrame(frame.opcode()))?;
        Ok(Some(frame))
    }

    fn on_drain(&mut self) -> Result<()> {
        self.note(Hook::Drain)
    }

    fn build_request(&mut self, url: &Url) -> Result<Request> {
        self.note(Hook::Build(url.path().to_owned()))?;
        (self.script.build)(url)
    }
}
