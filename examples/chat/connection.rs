//! One connection: answers the HTTP request, and executes the requests of the page.

use std::sync::Arc;
use std::time::Instant;

use sockeye::cluster::Missed;
use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Factory, Handler, Handshake, Message, Request as HttpRequest, Response, Result, Sender,
};

use crate::limits::ENTER_TIMEOUT_MILLIS;
use crate::page;
use crate::protocol::{self, Incoming, Rejection};
use crate::rate_limit::{Decision, RateLimiter};
use crate::site::Site;
use crate::store::{Session, Store};

const ENTER_TIMEOUT: Token = Token(1);

/// Creates the handlers of one event loop.
pub(crate) struct Connections {
    store: Arc<dyn Store>,
    site: Arc<Site>,
}

impl Connections {
    /// Several loops can share the rooms.
    pub(crate) fn new(store: &Arc<dyn Store>, site: &Arc<Site>) -> Self {
        Self { store: Arc::clone(store), site: Arc::clone(site) }
    }
}

impl Factory for Connections {
    type Handler = Connection;

    fn connection_made(&mut self, out: Sender) -> Connection {
        let limiter = RateLimiter::new(Instant::now());
        let session = Some(self.store.open_session(out.clone()));
        Connection { out, site: Arc::clone(&self.site), session, limiter }
    }
}

pub(crate) struct Connection {
    out: Sender,
    site: Arc<Site>,
    /// `None` once the connection is closed.
    session: Option<Box<dyn Session>>,
    limiter: RateLimiter,
}

impl Handler for Connection {
    fn on_request(&mut self, request: &HttpRequest) -> Result<Response> {
        page::respond(request, &self.out, &self.site)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(ENTER_TIMEOUT_MILLIS, ENTER_TIMEOUT)
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        // The rate is checked before the message is parsed, so that a flood costs little.
        let decision = self.limiter.check(Instant::now());
        if decision == Decision::Disconnect {
            return self.out.close_with_reason(CloseCode::Policy, "too many messages");
        }
        let Message::Text(text) = message else {
            return self.out.close_with_reason(CloseCode::Unsupported, "text only");
        };
        let Some(Incoming { kind, reference, request }) = Incoming::parse(&text) else {
            return self.out.close_with_reason(CloseCode::Policy, "invalid request");
        };
        let result = match decision {
            Decision::Reject => Err(Rejection::TOO_FAST),
            _ => request.and_then(|request| match &mut self.session {
                Some(session) => session.execute(request),
                None => Err(Rejection::OUT_OF_ORDER),
            }),
        };
        match result {
            Ok(()) => Ok(()),
            Err(rejection) => self.out.send(rejection.event(&kind, &reference)),
        }
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        let has_entered = self.session.as_ref().is_some_and(|session| session.has_entered());
        if event == ENTER_TIMEOUT && !has_entered {
            return self.out.close_with_reason(CloseCode::Policy, "no user name");
        }
        Ok(())
    }

    fn on_gap(&mut self, topic: &str, missed: Missed) -> Result<()> {
        log::info!("gap in {topic:?}: {missed:?}");
        if let Some(session) = &mut self.session {
            session.resend(topic);
        }
        Ok(())
    }

    fn on_shutdown(&mut self) {
        // A handler can always send while its loop ends.
        let _ = self.out.send(protocol::DRAINING);
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        log::info!("closed: {code:?} {reason:?}");
        self.session = None;
    }

    fn on_error(&mut self, error: Error) {
        log::warn!("{error}");
    }
}
