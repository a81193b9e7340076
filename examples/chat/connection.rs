//! One connection: answers the HTTP request, and executes the requests of the page.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Handler, Handshake, Message, Request as HttpRequest, Response, Result, Sender,
};

use crate::input::{RoomName, Text, UserName};
use crate::limits::ENTER_TIMEOUT_MILLIS;
use crate::page;
use crate::protocol::{self, Rejection, Request};
use crate::rate_limit::{Decision, RateLimiter};
use crate::state::{ChatState, Client, UserId};

const ENTER_TIMEOUT: Token = Token(1);
/// A close code for private use (RFC 6455 §7.4.2). After it, the page does not reconnect by itself.
const REPLACED: u16 = 4001;

impl Client for Sender {
    fn send_event(&self, event: &str) {
        // This fails only if the connection or the loop is about to end. `on_close` removes the user.
        if let Err(error) = self.send(event) {
            log::debug!("cannot send an event: {error}");
        }
    }

    fn disconnect_replaced(&self) {
        if let Err(error) = self.close_with_reason(CloseCode::from(REPLACED), "opened elsewhere") {
            log::debug!("cannot close a replaced connection: {error}");
        }
    }
}

pub(crate) struct Connection {
    out: Sender,
    state: Rc<RefCell<ChatState<Sender>>>,
    /// `None` until the page has sent a user name.
    user: Option<UserId>,
    limiter: RateLimiter,
}

impl Connection {
    pub(crate) fn new(out: Sender, state: Rc<RefCell<ChatState<Sender>>>) -> Self {
        Self { out, state, user: None, limiter: RateLimiter::new(Instant::now()) }
    }

    fn execute(&mut self, request: &Request) -> std::result::Result<(), Rejection> {
        let mut state = self.state.borrow_mut();
        let now = unix_millis();
        match (self.user, request) {
            (_, Request::Ping) => self.out.send_event(protocol::pong()),
            (None, Request::Enter { name, key }) => {
                let name = UserName::parse(name)?;
                self.user = Some(state.enter(name, key.clone(), self.out.clone(), now)?);
            }
            (Some(id), Request::Join { room }) => state.join(id, &RoomName::parse(room)?, now)?,
            (Some(id), Request::Leave { room }) => state.leave(id, &RoomName::parse(room)?, now)?,
            (Some(id), Request::Send { room, text, reference }) => {
                state.send(id, &RoomName::parse(room)?, Text::parse(text)?, reference, now)?;
            }
            (None, _) | (Some(_), Request::Enter { .. }) => return Err(Rejection::OutOfOrder),
        }
        Ok(())
    }
}

impl Handler for Connection {
    fn on_request(&mut self, request: &HttpRequest) -> Result<Response> {
        page::respond(request)
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
        let Some(request) = Request::parse(&text) else {
            return self.out.close_with_reason(CloseCode::Policy, "invalid request");
        };
        let result = match decision {
            Decision::Reject => Err(Rejection::TooFast),
            _ => self.execute(&request),
        };
        match result {
            Ok(()) => Ok(()),
            Err(rejection) => self.out.send(rejection.event(&request)),
        }
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        if event == ENTER_TIMEOUT && self.user.is_none() {
            return self.out.close_with_reason(CloseCode::Policy, "no user name");
        }
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        log::info!("closed: {code:?} {reason:?}");
        if let Some(id) = self.user.take() {
            self.state.borrow_mut().remove_user(id, unix_millis());
        }
    }

    fn on_error(&mut self, error: Error) {
        log::warn!("{error}");
    }
}

fn unix_millis() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
