//! One connection: from the request for the page or the socket to the last word.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Handler, Handshake, Message, Request as HttpRequest, Response, Result, Sender,
};

use crate::input::{Name, RoomName, Text};
use crate::limits::ENTER_WITHIN;
use crate::page;
use crate::protocol::{self, Refusal, Request};
use crate::rate_limit::{Allowance, Verdict};
use crate::state::{Hall, PersonId, Voice};

const ENTER_EXPIRED: Token = Token(1);
/// Our own close code (RFC 6455 §7.4.2): the page then knows that it should not come back by itself.
const TAKEN_OVER: u16 = 4001;

impl Voice for Sender {
    fn tell(&self, event: &str) {
        // An error means that this connection or the whole loop is at its end; `on_close` tidies up.
        if let Err(error) = self.send(event) {
            log::debug!("not told: {error}");
        }
    }

    fn taken_over(&self) {
        if let Err(error) = self.close_with_reason(CloseCode::from(TAKEN_OVER), "opened elsewhere") {
            log::debug!("not closed: {error}");
        }
    }
}

/// A visitor, before and after they have given their name.
pub(crate) struct Guest {
    out: Sender,
    hall: Rc<RefCell<Hall<Sender>>>,
    person: Option<PersonId>,
    allowance: Allowance,
}

impl Guest {
    pub(crate) fn new(out: Sender, hall: Rc<RefCell<Hall<Sender>>>) -> Self {
        Self { out, hall, person: None, allowance: Allowance::new(Instant::now()) }
    }

    /// Does what the page asks for.
    fn fulfil(&mut self, request: &Request) -> std::result::Result<(), Refusal> {
        let mut hall = self.hall.borrow_mut();
        let now = unix_millis();
        match (self.person, request) {
            (_, Request::Ping) => self.out.tell(protocol::pong()),
            (None, Request::Enter { name, key }) => {
                self.person = Some(hall.enter(Name::parse(name)?, key.clone(), self.out.clone(), now)?);
            }
            (Some(id), Request::Join { room }) => hall.join(id, &RoomName::parse(room)?, now)?,
            (Some(id), Request::Leave { room }) => hall.leave(id, &RoomName::parse(room)?, now)?,
            (Some(id), Request::Say { room, text, reference }) => {
                hall.say(id, &RoomName::parse(room)?, Text::parse(text)?, reference, now)?;
            }
            (None, _) | (Some(_), Request::Enter { .. }) => return Err(Refusal::OutOfTurn),
        }
        Ok(())
    }
}

impl Handler for Guest {
    fn on_request(&mut self, request: &HttpRequest) -> Result<Response> {
        page::answer(request)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(ENTER_WITHIN, ENTER_EXPIRED)
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        // Before anything is read, so that a flood costs us next to nothing.
        let verdict = self.allowance.ask(Instant::now());
        if verdict == Verdict::Flood {
            return self.out.close_with_reason(CloseCode::Policy, "too many messages");
        }
        let Message::Text(text) = message else {
            return self.out.close_with_reason(CloseCode::Unsupported, "text only");
        };
        let Some(request) = Request::parse(&text) else {
            return self.out.close_with_reason(CloseCode::Policy, "not a request of this chat");
        };
        let outcome = if verdict == Verdict::TooFast { Err(Refusal::TooFast) } else { self.fulfil(&request) };
        match outcome {
            Ok(()) => Ok(()),
            Err(refusal) => self.out.send(refusal.event(request.label())),
        }
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        if event == ENTER_EXPIRED && self.person.is_none() {
            return self.out.close_with_reason(CloseCode::Policy, "nobody there?");
        }
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        log::info!("closed: {code:?} {reason:?}");
        if let Some(id) = self.person.take() {
            self.hall.borrow_mut().depart(id, unix_millis());
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
