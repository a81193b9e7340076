//! The connection: shows what arrives, and keeps in mind how it ended.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::util::Token;
use sockeye::{
    CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Request, Response, Result,
    Sender,
};
use url::Url;

use crate::input;
use crate::options::Options;

/// Armed by the reading thread, when there is nothing more to read.
pub(crate) const INPUT_ENDED: Token = Token(1);
const PING: Token = Token(2);
const LINGERED: Token = Token(3);

/// How the connection ended, for the exit code.
#[derive(Default)]
pub(crate) struct Ending {
    closed: Option<(CloseCode, String)>,
    /// The first error is the cause, later ones are its consequences.
    error: Option<String>,
    /// We sent our Close before we saw the server's.
    ours: bool,
}

impl Ending {
    pub(crate) fn judge(&self) -> std::result::Result<(), String> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match &self.closed {
            None => Err("the connection was never open".into()),
            Some((CloseCode::Abnormal, _)) => Err("the connection was lost".into()),
            Some((CloseCode::Normal | CloseCode::Away | CloseCode::Status, _)) => Ok(()),
            Some(_) if self.ours => Ok(()),
            Some((code, reason)) => {
                Err(format!("the server closed the connection: {}", describe(*code, reason)))
            }
        }
    }
}

pub(crate) struct Session {
    out: Sender,
    options: Rc<Options>,
    ending: Rc<RefCell<Ending>>,
    /// For whoever handles Ctrl-C.
    connection: Arc<Mutex<Option<Sender>>>,
    started: Instant,
    sent: usize,
    received: usize,
    input_ended: bool,
}

impl Session {
    pub(crate) fn new(
        out: Sender,
        options: Rc<Options>,
        ending: Rc<RefCell<Ending>>,
        connection: Arc<Mutex<Option<Sender>>>,
    ) -> Self {
        Self {
            out,
            options,
            ending,
            connection,
            started: Instant::now(),
            sent: 0,
            received: 0,
            input_ended: false,
        }
    }

    fn status(&self, text: &str) {
        if !self.options.quiet {
            eprintln!("{text}");
        }
    }

    fn arm_ping(&self) -> Result<()> {
        self.options.ping.map_or(Ok(()), |every| self.out.timeout(millis(every), PING))
    }

    /// Who pipes something in wants the answers; one for each message is what an echo gives.
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
        self.ending.borrow_mut().error = Some(answer);
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let protocol =
            shake.response.protocol()?.map(|name| format!(", speaking {name}")).unwrap_or_default();
        self.status(&format!("connected to {}{protocol}", self.options.url));
        if let Ok(mut connection) = self.connection.lock() {
            *connection = Some(self.out.clone());
        }
        let (out, started) = (self.out.clone(), self.started);
        thread::spawn(move || input::read(&out, started));
        self.arm_ping()
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.received += 1;
        if show(&msg).is_err() {
            // Nobody reads our output any more.
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
                let mut ending = self.ending.borrow_mut();
                ending.ours = ending.closed.is_none();
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
                self.arm_ping()
            }
            _ => Err(Error::new(ErrorKind::Internal, "a time-out that nobody armed")),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.status(&format!("closed: {}", describe(code, reason)));
        self.ending.borrow_mut().closed = Some((code, reason.to_owned()));
    }

    fn on_error(&mut self, err: Error) {
        self.ending.borrow_mut().error.get_or_insert_with(|| err.to_string());
    }
}

/// Text as it is for a program, and made harmless for a terminal.
fn show(msg: &Message) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match msg {
        Message::Text(text) if stdout.is_terminal() => writeln!(stdout, "< {}", printable(text.as_bytes())),
        Message::Text(text) => writeln!(stdout, "{text}"),
        Message::Binary(bytes) => writeln!(stdout, "[{} bytes] {}", bytes.len(), hex(bytes)),
    }
}

/// A server may not send escape codes to the terminal.
fn printable(bytes: &[u8]) -> String {
    let hide = |char: char| if char.is_control() && char != '\n' && char != '\t' { '\u{fffd}' } else { char };
    String::from_utf8_lossy(bytes).chars().map(hide).collect()
}

/// What a ping carries may be text, or anything else.
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
