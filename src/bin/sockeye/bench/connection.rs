//! One connection of a measurement.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockeye::url::Url;
use sockeye::util::Token;
use sockeye::{CloseCode, Error, Factory, Handler, Handshake, Message, Request, Response, Result, Sender};

use super::run::{Phase, Run};
use super::schedule::{Schedule, millis_until};
use crate::exit::{Exit, Failure};
use crate::settings::millis;

/// Starts a connection, after all others are open as well.
const START: Token = Token(1);
/// The next message is due.
const DUE: Token = Token(2);
/// The time for messages is over.
const OVER: Token = Token(3);
/// What has not returned is given up.
const GIVE_UP: Token = Token(4);
const PING: Token = Token(5);

/// How long the last messages may take to return.
const LAST: Duration = Duration::from_secs(5);

pub(super) struct Connections {
    run: Rc<RefCell<Run>>,
    count: u32,
}

impl Connections {
    pub(super) fn new(run: Rc<RefCell<Run>>) -> Self {
        Self { run, count: 0 }
    }
}

impl Factory for Connections {
    type Handler = Connection;

    fn connection_made(&mut self, out: Sender) -> Connection {
        let index = self.count;
        self.count += 1;
        Connection {
            out,
            run: Rc::clone(&self.run),
            index,
            is_open: false,
            pending: VecDeque::new(),
            schedule: None,
            has_timer: false,
        }
    }

    fn connection_lost(&mut self, connection: Connection) {
        if !connection.is_open {
            self.run.borrow_mut().connected.failed += 1;
            // An error means that the loop is about to end.
            let _ = connection.start_all();
        }
    }
}

pub(super) struct Connection {
    out: Sender,
    run: Rc<RefCell<Run>>,
    index: u32,
    is_open: bool,
    /// When each message was due that has not returned. A server returns them in their order.
    pending: VecDeque<Instant>,
    /// Only with a rate.
    schedule: Option<Schedule>,
    /// Whether the timer for the next message is set.
    has_timer: bool,
}

impl Connection {
    /// Starts all connections if this was the last one.
    fn start_all(&self) -> Result<()> {
        let ready = self.run.borrow_mut().start_if_ready(Instant::now());
        ready.iter().try_for_each(|out| out.timeout(0, START))
    }

    fn start(&mut self) -> Result<()> {
        let (load, started) = {
            let run = self.run.borrow();
            (run.load.clone(), run.started())
        };
        if let Some(duration) = load.duration() {
            self.out.timeout(millis(duration), OVER)?;
        }
        self.schedule = load.rate.map(|rate| Schedule::new(started, rate, load.connections, self.index));
        match self.schedule {
            Some(_) => self.send_due(),
            None => (0..load.in_flight).try_for_each(|_| self.send_now()),
        }
    }

    /// Sends a message now, unless there are enough.
    fn send_now(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.run.borrow().has_messages(now) { self.send(now) } else { self.close_if_idle() }
    }

    fn send(&mut self, due: Instant) -> Result<()> {
        let message = {
            let mut run = self.run.borrow_mut();
            run.sent += 1;
            run.message.clone()
        };
        self.pending.push_back(due);
        self.out.send(message)
    }

    /// Sends what is due, as long as few messages are in flight, and sets the timer for the next one.
    fn send_due(&mut self) -> Result<()> {
        let (now, in_flight) = (Instant::now(), self.run.borrow().load.in_flight as usize);
        while self.run.borrow().has_messages(now) {
            if self.pending.len() >= in_flight {
                // This continues when a message returns.
                return Ok(());
            }
            let Some(schedule) = &mut self.schedule else { return Ok(()) };
            match schedule.take(now) {
                Some(due) => self.send(due)?,
                None => {
                    let wait = millis_until(schedule.next(), now);
                    return if std::mem::replace(&mut self.has_timer, true) {
                        Ok(())
                    } else {
                        self.out.timeout(wait, DUE)
                    };
                }
            }
        }
        self.close_if_idle()
    }

    /// Closes the connection once nothing more is sent and everything has returned.
    fn close_if_idle(&self) -> Result<()> {
        if self.pending.is_empty() { self.out.close(CloseCode::Normal) } else { Ok(()) }
    }

    /// The time for messages is over.
    fn end_sending(&self) -> Result<()> {
        self.run.borrow_mut().phase = Phase::Draining;
        self.close_if_idle()?;
        self.out.timeout(millis(LAST), GIVE_UP)
    }
}

impl Handler for Connection {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        crate::request::build(url, &self.run.borrow().request)
    }

    fn on_rejected(&mut self, response: &Response) {
        self.run.borrow_mut().rejected(response);
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.is_open = true;
        let keepalive = {
            let mut run = self.run.borrow_mut();
            run.connected.opened += 1;
            run.connected.waiting.push(self.out.clone());
            run.keepalive
        };
        self.out.timeout(millis(keepalive), PING)?;
        self.start_all()
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        let now = Instant::now();
        let Some(due) = self.pending.pop_front() else { return Ok(()) };
        let is_same = {
            let mut run = self.run.borrow_mut();
            run.record(due, now);
            run.message == message
        };
        if !is_same {
            let text = "the server returned another message than the one that was sent".to_owned();
            self.run.borrow_mut().failed(Failure { exit: Exit::Violation, text });
            return self.out.close(CloseCode::Normal);
        }
        if self.schedule.is_some() { self.send_due() } else { self.send_now() }
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            START => self.start(),
            DUE => {
                self.has_timer = false;
                self.send_due()
            }
            OVER => self.end_sending(),
            GIVE_UP => self.out.close(CloseCode::Normal),
            PING => {
                let keepalive = self.run.borrow().keepalive;
                self.out.ping(Vec::new())?;
                self.out.timeout(millis(keepalive), PING)
            }
            _ => Ok(()),
        }
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        if !self.pending.is_empty() || code == CloseCode::Abnormal {
            self.run.borrow_mut().connected.lost += 1;
        }
    }

    fn on_error(&mut self, err: Error) {
        let exit = Exit::of(&err, self.is_open);
        self.run.borrow_mut().failed(Failure { exit, text: err.to_string() });
    }

    fn wants_frames(&self) -> bool {
        false
    }
}
