//! One connection: answers the HTTP request, and executes the requests of the page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Factory, Handler, Handshake, Message, Request as HttpRequest, Response, Result, Sender,
};

use crate::limits::ENTER_TIMEOUT_MILLIS;
use crate::page;
use crate::protocol::{self, Incoming, Rejection, Request};
use crate::rate_limit::{Decision, RateLimiter};
use crate::rooms::{Rooms, User};

const ENTER_TIMEOUT: Token = Token(1);

/// Creates the handlers of one event loop.
pub(crate) struct Connections(Arc<Mutex<Rooms>>);

impl Connections {
    /// Several loops can share the rooms.
    pub(crate) fn new(rooms: &Arc<Mutex<Rooms>>) -> Self {
        Self(Arc::clone(rooms))
    }
}

impl Factory for Connections {
    type Handler = Connection;

    fn connection_made(&mut self, out: Sender) -> Connection {
        let limiter = RateLimiter::new(Instant::now());
        Connection { out, rooms: Arc::clone(&self.0), user: None, limiter }
    }
}

pub(crate) struct Connection {
    out: Sender,
    rooms: Arc<Mutex<Rooms>>,
    /// `None` until the page has sent a user name.
    user: Option<Arc<User>>,
    limiter: RateLimiter,
}

impl Connection {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(&mut self, request: Request) -> std::result::Result<(), Rejection> {
        match (&self.user, request) {
            (None, Request::Enter { name, key }) => {
                let user = self.rooms().enter(name, key, self.out.clone())?;
                self.user = Some(user);
                Ok(())
            }
            (Some(user), Request::Join { room }) => self.rooms().join(user, &room),
            (Some(user), Request::Leave { room }) => self.rooms().leave(user, &room),
            (Some(user), Request::Send { room, text, reference }) => {
                self.rooms().send(user, &room, &text, &reference)
            }
            (_, Request::Ping) => Ok(self.out.send(protocol::PONG)?),
            _ => Err(Rejection::OUT_OF_ORDER),
        }
    }
}

impl Handler for Connection {
    fn on_request(&mut self, request: &HttpRequest) -> Result<Response> {
        page::respond(request, &self.out)
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
            _ => request.and_then(|request| self.execute(request)),
        };
        match result {
            Ok(()) => Ok(()),
            Err(rejection) => self.out.send(rejection.event(&kind, &reference)),
        }
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        if event == ENTER_TIMEOUT && self.user.is_none() {
            return self.out.close_with_reason(CloseCode::Policy, "no user name");
        }
        Ok(())
    }

    fn on_shutdown(&mut self) {
        // A handler can always send while its loop ends.
        let _ = self.out.send(protocol::DRAINING);
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        log::info!("closed: {code:?} {reason:?}");
        if let Some(user) = self.user.take() {
            self.rooms().remove_user(&user);
        }
    }

    fn on_error(&mut self, error: Error) {
        log::warn!("{error}");
    }
}
