//! The handlers of all rows behind one type: the compiler builds the whole loop again for each type of handler.

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Factory, Handler, Handshake, Message, Request, Response, Result, Sender, Settings,
};
use sockeye_test_support::server::Server;

/// Any handler.
pub(crate) struct AnyHandler(Box<dyn Handler>);

/// A factory of any handlers.
pub(crate) struct AnyFactory {
    make: Box<dyn FnMut(Sender) -> Box<dyn Handler> + Send>,
    on_topic: Box<OnTopic>,
}

/// Receives the topics that are opened and closed.
type OnTopic = dyn FnMut(TopicEvent, &str) + Send;

/// What a factory is informed about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicEvent {
    Opened,
    Closed,
}

impl AnyFactory {
    pub(crate) fn new<H: Handler + 'static>(mut make: impl FnMut(Sender) -> H + Send + 'static) -> Self {
        Self { make: Box::new(move |out| Box::new(make(out))), on_topic: Box::new(|_, _| {}) }
    }

    /// Does something when a topic has received its first subscriber, or has lost the last one.
    pub(crate) fn on_topics(self, on_topic: impl FnMut(TopicEvent, &str) + Send + 'static) -> Self {
        Self { on_topic: Box::new(on_topic), ..self }
    }

    /// Creates a factory of handlers that echo every message.
    pub(crate) fn echo() -> Self {
        Self::new(|out: Sender| move |msg: Message| out.send(msg))
    }

    /// Starts a server.
    pub(crate) fn serve(self, settings: Settings) -> Server {
        Server::start(settings, self)
    }
}

impl Factory for AnyFactory {
    type Handler = AnyHandler;

    fn connection_made(&mut self, out: Sender) -> AnyHandler {
        AnyHandler((self.make)(out))
    }

    fn topic_opened(&mut self, topic: &str) {
        (self.on_topic)(TopicEvent::Opened, topic);
    }

    fn topic_closed(&mut self, topic: &str) {
        (self.on_topic)(TopicEvent::Closed, topic);
    }
}

impl Handler for AnyHandler {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.0.on_request(req)
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.0.on_open(shake)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.on_message(msg)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.0.on_close(code, reason);
    }

    fn on_error(&mut self, err: Error) {
        self.0.on_error(err);
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.0.on_timeout(event)
    }
}
