//! The connection of a client: prints what arrives, and records how the connection ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::url::Url;
use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, Frame, Handler, Handshake, Lost, Message, OpCode, Request, Response, Result, Sender,
};

use crate::commands::Command;
use crate::event::{Event, Opening};
use crate::exit::Exit;
use crate::link::Link;
use crate::options::ConnectOptions;
use crate::output::Output;
use crate::pings::{self, Pings};
use crate::settings::{keepalive, millis};

/// Set by the thread that reads the input, at its end.
pub(crate) const INPUT_ENDED: Token = Token(1);
const WAITED: Token = Token(2);
const PING: Token = Token(3);
const KEEPALIVE: Token = Token(4);

/// How the conversation ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The first error. Later ones are its consequences.
    error: Cell<Option<Exit>>,
    /// What the Close frame of the peer means.
    close: Cell<Option<Exit>>,
    is_output_closed: Cell<bool>,
}

impl Outcome {
    pub(crate) fn exit(&self) -> Exit {
        if self.is_output_closed.get() {
            return Exit::Success;
        }
        self.error.get().or(self.close.get()).unwrap_or(Exit::Unreachable)
    }

    fn record_error(&self, exit: Exit) {
        if self.error.get().is_none() {
            self.error.set(Some(exit));
        }
    }

    /// A connection is open, so that errors of earlier attempts do not matter any more.
    fn reset(&self) {
        self.error.set(None);
        self.close.set(None);
    }
}

/// What the session shares with the rest of the program.
pub(crate) struct Conversation {
    pub(crate) options: Rc<ConnectOptions>,
    pub(crate) output: Output,
    pub(crate) link: Arc<Link>,
    pub(crate) outcome: Outcome,
    /// Starts the thread that reads the input, once.
    pub(crate) start_input: RefCell<Option<Box<dyn FnOnce()>>>,
    pub(crate) received: Cell<u64>,
}

impl Conversation {
    /// Prints an event. Returns whether somebody reads the output.
    fn print(&self, event: &Event<'_>) -> bool {
        let printed = self.output.event(None, event);
        self.outcome.is_output_closed.set(self.outcome.is_output_closed.get() || printed.is_err());
        printed.is_ok()
    }

    /// Counts a received message. Returns whether it is wanted, and whether it is the last one.
    fn count_message(&self) -> (bool, bool) {
        let (received, most) =
            (self.received.get() + 1, self.options.execute.max_messages.unwrap_or(u64::MAX));
        self.received.set(received);
        (received <= most, received == most)
    }
}

pub(crate) struct Session {
    out: Sender,
    conversation: Rc<Conversation>,
    pings: Pings,
    last_input: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    /// The server has rejected the opening handshake, which has been printed.
    Rejected,
    Open,
    /// This side has sent a Close frame first.
    Closing,
}

impl Session {
    pub(crate) fn new(out: Sender, conversation: Rc<Conversation>) -> Self {
        Self { out, conversation, pings: Pings::default(), last_input: Instant::now(), stage: Stage::Opening }
    }

    fn options(&self) -> &ConnectOptions {
        &self.conversation.options
    }

    /// Sends the messages of `-x`, or starts the thread that reads the input.
    fn begin(&self) -> Result<()> {
        // After the first connection, the timers and the input continue.
        let Some(start_input) = self.conversation.start_input.take() else { return Ok(()) };
        self.start_pings()?;
        if self.options().execute.execute.is_empty() {
            start_input();
            return Ok(());
        }
        for text in &self.options().execute.execute {
            self.execute(text)?;
        }
        self.input_ended()
    }

    /// Executes one argument of `-x`.
    fn execute(&self, text: &str) -> Result<()> {
        if !self.options().input.slash {
            let is_binary = self.options().input.is_binary();
            let message = if is_binary { Message::binary(text) } else { Message::text(text) };
            return self.out.send(message);
        }
        match Command::parse(text) {
            Ok(Command::Send(message)) => self.out.send(message),
            Ok(Command::Ping(payload)) => self.out.ping(payload),
            Ok(Command::Pong(payload)) => self.out.pong(payload),
            Ok(Command::Close(code, reason)) => self.out.close_with_reason(code, reason),
            Ok(Command::Quit) => self.out.close(CloseCode::Normal),
            Ok(Command::SendTo(..) | Command::Clients | Command::Help) => {
                self.conversation.output.notice(&format!("{text} has no effect here"));
                Ok(())
            }
            Err(why) => {
                self.conversation.output.notice(&why);
                Ok(())
            }
        }
    }

    /// Everything has been sent. Replies can still arrive.
    fn input_ended(&self) -> Result<()> {
        self.options().execute.wait().map_or(Ok(()), |wait| self.out.timeout(millis(wait), WAITED))
    }

    /// Starts the timers of the Pings. A Ping of the user also checks whether the peer is there.
    fn start_pings(&self) -> Result<()> {
        let (shown, keepalive) = (self.options().ping_interval, keepalive(&self.options().timing));
        if let Some(interval) = shown {
            self.out.timeout(millis(interval), PING)?;
        }
        if shown.is_none_or(|interval| interval > keepalive) {
            self.out.timeout(millis(keepalive), KEEPALIVE)?;
        }
        Ok(())
    }

    fn send_ping(&mut self, event: Token, again: Duration) -> Result<()> {
        // Between two connections, Pings would wait for the next one.
        if self.stage == Stage::Open {
            let payload = self.pings.next_payload(event == KEEPALIVE);
            self.out.ping(payload)?;
        }
        self.out.timeout(millis(again), event)
    }

    fn print_pong(&mut self, payload: &[u8]) {
        let time = self.pings.returned(payload, Instant::now());
        if !pings::is_keepalive(payload) || self.options().output.display.show_ping_pong {
            self.conversation.print(&Event::Pong(payload, time));
        }
    }

    /// Explains a connection that has ended without a Close frame of the peer.
    fn record_loss(&self) {
        let is_silent = |timeout| self.last_input.elapsed() >= timeout;
        let exit = match self.options().timing.idle_timeout() {
            Some(timeout) if is_silent(timeout) => Exit::Timeout,
            _ => Exit::Lost,
        };
        self.conversation.outcome.close.set(Some(exit));
        self.conversation.print(&Event::Lost);
    }
}

/// Returns the exit code for a Close frame of the peer.
fn exit_of(code: CloseCode, stage: Stage) -> Exit {
    match code {
        CloseCode::Normal | CloseCode::Away | CloseCode::Status => Exit::Success,
        // The peer usually repeats the code that this side has sent.
        _ if stage == Stage::Closing => Exit::Success,
        _ => Exit::Closed,
    }
}

impl Handler for Session {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        crate::request::build(url, &self.options().request)
    }

    fn on_rejected(&mut self, response: &Response) {
        self.stage = Stage::Rejected;
        self.conversation.outcome.record_error(Exit::Rejected);
        self.conversation.print(&Event::Rejected(response));
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.stage = Stage::Open;
        self.last_input = Instant::now();
        self.conversation.outcome.reset();
        let opening = Opening {
            peer: self.options().url.as_str(),
            request: &shake.request,
            response: &shake.response,
            tls: shake.tls_version(),
        };
        self.conversation.print(&Event::Open(opening));
        self.conversation.link.opened(self.out.clone());
        self.begin()
    }

    fn on_lost(&mut self, lost: &mut Lost) {
        self.stage = Stage::Opening;
        // Otherwise the end is reported by `on_close`.
        let Some(wait) = lost.wait() else { return };
        match lost.closed() {
            Some(closed) if closed.code == CloseCode::Abnormal => drop(self.conversation.print(&Event::Lost)),
            Some(closed) => drop(self.conversation.print(&Event::Close(closed.code, &closed.reason))),
            None => {}
        }
        self.conversation.print(&Event::Retry(wait));
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        let (is_wanted, is_last) = self.conversation.count_message();
        if is_wanted && !self.conversation.print(&Event::Message(&message)) {
            return self.out.close(CloseCode::Away);
        }
        if is_last {
            return self.out.close(CloseCode::Normal);
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.last_input = Instant::now();
        match frame.opcode() {
            OpCode::Ping => {
                self.conversation.print(&Event::Ping(frame.payload()));
            }
            OpCode::Pong => self.print_pong(frame.payload()),
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Ping => self.pings.sent(frame.payload(), Instant::now()),
            OpCode::Close if self.stage == Stage::Open => self.stage = Stage::Closing,
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            INPUT_ENDED => self.input_ended(),
            WAITED => self.out.close(CloseCode::Normal),
            PING => {
                let interval = self.options().ping_interval.unwrap_or_default();
                self.send_ping(PING, interval)
            }
            KEEPALIVE => {
                let interval = keepalive(&self.options().timing);
                self.send_ping(KEEPALIVE, interval)
            }
            _ => Ok(()),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        if code == CloseCode::Abnormal {
            return self.record_loss();
        }
        self.conversation.outcome.close.set(Some(exit_of(code, self.stage)));
        self.conversation.print(&Event::Close(code, reason));
    }

    fn on_error(&mut self, err: Error) {
        if self.stage == Stage::Rejected {
            return;
        }
        let exit = Exit::of(&err, self.stage != Stage::Opening);
        self.conversation.outcome.record_error(exit);
        self.conversation.print(&Event::Error { text: &err.to_string(), exit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_peer_decides_unless_this_side_has_closed_first() {
        for code in [CloseCode::Normal, CloseCode::Away, CloseCode::Status] {
            assert_eq!(exit_of(code, Stage::Open), Exit::Success, "{code:?}");
        }
        for code in [CloseCode::Policy, CloseCode::Error, CloseCode::Other(4000)] {
            assert_eq!(exit_of(code, Stage::Open), Exit::Closed, "{code:?}");
            assert_eq!(exit_of(code, Stage::Closing), Exit::Success, "{code:?}");
        }
    }

    #[test]
    fn the_first_error_decides() {
        let outcome = Outcome::default();
        assert_eq!(outcome.exit(), Exit::Unreachable);
        outcome.close.set(Some(Exit::Lost));
        assert_eq!(outcome.exit(), Exit::Lost);
        outcome.record_error(Exit::Violation);
        outcome.record_error(Exit::Failed);
        assert_eq!(outcome.exit(), Exit::Violation);
        outcome.is_output_closed.set(true);
        assert_eq!(outcome.exit(), Exit::Success);
    }
}
