//! The connection: prints what arrives, and records how the connection ended.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use sockeye::url::Url;
use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Request, Response, Result,
    Sender,
};

use crate::input;
use crate::options::Options;

/// Set by the reading thread at the end of the input.
pub(crate) const INPUT_ENDED: Token = Token(1);
const PING: Token = Token(2);
const LINGERED: Token = Token(3);

/// How the connection ended, for the exit code.
#[derive(Default)]
pub(crate) struct Outcome {
    closed: Option<(CloseCode, String)>,
    /// The first error. Later errors are its consequences.
    error: Option<String>,
    /// Whether this side sent the first Close.
    is_local: bool,
}

impl Outcome {
    /// Returns an error that explains why the connection was not closed properly.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match &self.closed {
            None => Err("the connection was never opened".into()),
            Some((CloseCode::Abnormal, _)) => Err("the connection was lost".into()),
            Some((CloseCode::Normal | CloseCode::Away | CloseCode::Status, _)) => Ok(()),
            Some(_) if self.is_local => Ok(()),
            Some((code, reason)) => {
                Err(format!("the server closed the connection: {}", describe(*code, reason)))
            }
        }
    }
}

pub(crate) struct Session {
    out: Sender,
    options: Rc<Options>,
    outcome: Rc<RefCell<Outcome>>,
    started: Instant,
    sent: usize,
    received: usize,
    input_ended: bool,
}

impl Session {
    pub(crate) fn new(out: Sender, options: Rc<Options>, outcome: Rc<RefCell<Outcome>>) -> Self {
        Self { out, options, outcome, started: Instant::now(), sent: 0, received: 0, input_ended: false }
    }

    /// Prints a line about the connection.
    fn status(&self, text: &str) {
        if !self.options.is_quiet {
            eprintln!("{text}");
        }
    }

    fn schedule_ping(&self) -> Result<()> {
        self.options.ping.map_or(Ok(()), |every| self.out.timeout(millis(every), PING))
    }

    /// Closes the connection. After piped input, it first waits for one answer to each message, as an echo server sends.
    fn input_ended(&mut self) -> Result<()> {
        self.input_ended = true;
        if self.received >= self.sent || io::stdin().is_terminal() {
            return self.out.close(CloseCode::Normal);
        }
        self.out.timeout(millis(self.options.linger), LINGERED)
    }
}

impl Handler for Session {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        for protocol in &self.options.protocols {
            request.add_protocol(protocol);
        }
        for (name, value) in &self.options.headers {
            request.headers_mut().push((name.clone(), value.clone().into_bytes()));
        }
        Ok(request)
    }

    fn on_rejected(&mut self, res: &Response) {
        let answer = format!("the server answered {} {}", res.status(), printable(res.reason().as_bytes()));
        self.outcome.borrow_mut().error = Some(answer);
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let protocol =
            shake.response.protocol()?.map(|name| format!(", subprotocol {name}")).unwrap_or_default();
        self.status(&format!("connected to {}{protocol}", self.options.url));
        let (out, started) = (self.out.clone(), self.started);
        thread::spawn(move || input::read(&out, started));
        self.schedule_ping()
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.received += 1;
        if print(&msg).is_err() {
            // The output is closed, such as a pipe whose reader has ended.
            return self.out.close(CloseCode::Away);
        }
        if self.input_ended && self.received >= self.sent {
            return self.out.close(CloseCode::Normal);
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Ping => self.status(&format!("ping {}", payload(frame.payload()))),
            OpCode::Pong => match input::elapsed(self.started, frame.payload()) {
                Some(elapsed) => self.status(&format!("pong after {elapsed:.1?}")),
                None => self.status(&format!("pong {}", payload(frame.payload()))),
            },
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Text => self.sent += 1,
            OpCode::Close => {
                let mut outcome = self.outcome.borrow_mut();
                outcome.is_local = outcome.closed.is_none();
            }
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            INPUT_ENDED => self.input_ended(),
            LINGERED => self.out.close(CloseCode::Normal),
            PING => {
                self.out.ping(input::stamp(self.started))?;
                self.schedule_ping()
            }
            _ => Err(Error::new(ErrorKind::Internal, "unknown timer")),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.status(&format!("closed: {}", describe(code, reason)));
        self.outcome.borrow_mut().closed = Some((code, reason.to_owned()));
    }

    fn on_error(&mut self, err: Error) {
        self.outcome.borrow_mut().error.get_or_insert_with(|| err.to_string());
    }
}

/// Prints a message: unchanged for a program, and without control characters for a terminal.
fn print(msg: &Message) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match msg {
        Message::Text(text) if stdout.is_terminal() => writeln!(stdout, "< {}", printable(text.as_bytes())),
        Message::Text(text) => writeln!(stdout, "{text}"),
        Message::Binary(bytes) => writeln!(stdout, "[{} bytes] {}", bytes.len(), hex(bytes)),
    }
}

/// Replaces control characters, so that a server cannot send escape codes to the terminal.
fn printable(bytes: &[u8]) -> String {
    let replace =
        |char: char| if char.is_control() && char != '\n' && char != '\t' { '\u{fffd}' } else { char };
    String::from_utf8_lossy(bytes).chars().map(replace).collect()
}

/// Formats the payload of a ping or pong, which can be text or any bytes.
fn payload(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => format!("'{text}'"),
        _ => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let shown: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN { shown + "..." } else { shown }
}

fn describe(code: CloseCode, reason: &str) -> String {
    let number: u16 = code.into();
    let named =
        if let CloseCode::Other(_) = code { number.to_string() } else { format!("{number} {code:?}") };
    if reason.is_empty() { named } else { format!("{named}, '{}'", printable(reason.as_bytes())) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
