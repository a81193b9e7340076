//! One connection to the server, without I/O: commands become bytes, and bytes become events.

use std::fmt;
use std::io;

use ::redis::{PushKind, ServerError, Value, cmd};

use super::expected::{Command, Expected, Login as Step};
use super::replies::ReplyReader;
use super::target::{Login, Protocol};
use crate::error::{Error, ErrorKind, Result};

/// The most names of one SUBSCRIBE. The server executes a command without interruption.
pub(super) const MAX_NAMES: usize = 512;

/// What the server has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Subscribed(String),
    Message {
        channel: String,
        payload: Vec<u8>,
    },
    Published,
    /// The server has refused a publication, for this reason.
    Rejected(String),
}

/// One connection, from its login on. All failures are final.
pub(super) struct Session {
    replies: ReplyReader,
    expected: Expected,
    /// The bytes of commands, of which the first `sent` are sent.
    output: Vec<u8>,
    sent: usize,
    is_ready: bool,
}

impl Session {
    /// Begins the login. `name` appears in the list of clients of the server.
    pub(super) fn new(login: &Login, name: &str, max_reply_size: usize) -> Self {
        let mut session = Self {
            replies: ReplyReader::new(max_reply_size),
            expected: Expected::default(),
            output: Vec::new(),
            sent: 0,
            is_ready: false,
        };
        session.log_in(login);
        // Fails if the server does not know the password, is loading its data, or does not accept the connection.
        session.command(Command::Login(Step::Ping), &["PING"]);
        session.command(Command::Login(Step::SetName), &["CLIENT", "SETNAME", name]);
        session
    }

    fn log_in(&mut self, login: &Login) {
        let user = login.user.as_deref();
        match (login.protocol, user, login.password.as_deref()) {
            (Protocol::Resp2, Some(user), Some(password)) => {
                self.command(Command::Login(Step::Auth), &["AUTH", user, password]);
            }
            (Protocol::Resp2, None, Some(password)) => {
                self.command(Command::Login(Step::Auth), &["AUTH", password]);
            }
            (Protocol::Resp2, _, None) => {}
            (Protocol::Resp3, user, Some(password)) => {
                let user = user.unwrap_or("default");
                self.command(Command::Login(Step::Hello), &["HELLO", "3", "AUTH", user, password]);
            }
            (Protocol::Resp3, _, None) => self.command(Command::Login(Step::Hello), &["HELLO", "3"]),
        }
        if login.database != 0 {
            self.command(Command::Login(Step::Select), &["SELECT", &login.database.to_string()]);
        }
    }

    /// Whether the login is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether all commands are answered.
    pub(super) fn is_idle(&self) -> bool {
        self.expected.is_empty()
    }

    /// Returns the bytes that must be sent.
    pub(super) fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Removes bytes that were sent.
    pub(super) fn consume_output(&mut self, len: usize) {
        self.sent += len;
        if self.sent >= self.output.len() {
            (self.output, self.sent) = (Vec::new(), 0);
        }
    }

    pub(super) fn ping(&mut self) {
        self.command(Command::Ping, &["PING"]);
    }

    /// Subscribes to channels, with as many commands as necessary.
    pub(super) fn subscribe(&mut self, channels: &[String]) {
        self.name_channels(Command::Subscribe, "SUBSCRIBE", channels);
    }

    pub(super) fn unsubscribe(&mut self, channels: &[String]) {
        self.name_channels(Command::Unsubscribe, "UNSUBSCRIBE", channels);
    }

    /// Sends publications that [`encode_publication`] has encoded.
    pub(super) fn publish(&mut self, encoded: Vec<u8>, count: usize) {
        if self.output.is_empty() {
            self.output = encoded;
        } else {
            self.output.extend_from_slice(&encoded);
        }
        self.expected.push(Command::Publish, count);
    }

    /// Adds bytes that were received, which may be split anywhere. Appends what they contain to `events`.
    ///
    /// # Errors
    ///
    /// `Io` if the server refuses the login or a subscription, `Protocol` if it sends something that has no meaning, `Capacity` if a
    /// reply is too long.
    pub(super) fn receive(&mut self, mut input: &[u8], events: &mut Vec<Event>) -> Result<()> {
        while let Some(reply) = self.replies.next(&mut input)? {
            events.extend(self.on_reply(reply)?);
        }
        Ok(())
    }

    fn command(&mut self, command: Command, words: &[&str]) {
        encode(words, &mut self.output);
        self.expected.push(command, 1);
    }

    fn name_channels(&mut self, command: Command, name: &str, channels: &[String]) {
        for channels in channels.chunks(MAX_NAMES) {
            cmd(name).arg(channels).write_packed_command(&mut self.output);
            self.expected.push(command, channels.len());
        }
    }

    fn on_reply(&mut self, reply: Value) -> Result<Option<Event>> {
        match reply {
            Value::Push { kind, data } => self.on_push(&Kind::from(kind), data),
            // RESP2 has no type for what is not a reply. No command of this file has an array as its reply.
            Value::Array(items) => {
                let mut items = items.into_iter();
                let kind = items.next().map_or(Kind::Other, |kind| Kind::from(&kind));
                match kind {
                    Kind::Other => Err(unexpected()),
                    kind => self.on_push(&kind, items.collect()),
                }
            }
            Value::ServerError(err) => self.on_error(&err),
            reply => self.on_answer(&reply),
        }
    }

    /// Handles a message, or the confirmation of a subscription.
    fn on_push(&mut self, kind: &Kind, data: Vec<Value>) -> Result<Option<Event>> {
        let mut data = data.into_iter();
        let mut text = || match data.next() {
            Some(Value::BulkString(bytes)) => Some(bytes),
            _ => None,
        };
        match kind {
            Kind::Message => {
                let (Some(channel), Some(payload)) = (text(), text()) else { return Err(unexpected()) };
                // The library names no channel that is not UTF-8.
                let channel = String::from_utf8(channel).map_err(|_| unexpected())?;
                Ok(Some(Event::Message { channel, payload }))
            }
            Kind::Subscribed => {
                let channel =
                    text().and_then(|channel| String::from_utf8(channel).ok()).ok_or_else(unexpected)?;
                self.expect(Command::Subscribe)?;
                Ok(Some(Event::Subscribed(channel)))
            }
            Kind::Unsubscribed => self.expect(Command::Unsubscribe).map(|()| None),
            Kind::Pong => self.expect(Command::Ping).map(|()| None),
            Kind::Other => Ok(None),
        }
    }

    fn expect(&mut self, command: Command) -> Result<()> {
        if self.expected.pop() == Some(command) { Ok(()) } else { Err(unexpected()) }
    }

    fn on_answer(&mut self, reply: &Value) -> Result<Option<Event>> {
        match (self.expected.pop(), reply) {
            (Some(Command::Publish), Value::Int(_)) => Ok(Some(Event::Published)),
            (Some(Command::Login(Step::SetName)), _) => Ok(self.complete_login()),
            (Some(Command::Login(Step::Hello)), Value::Map(_))
            | (Some(Command::Login(Step::Auth | Step::Select)), Value::Okay)
            | (Some(Command::Login(Step::Ping) | Command::Ping), Value::SimpleString(_)) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    fn on_error(&mut self, err: &ServerError) -> Result<Option<Event>> {
        match self.expected.pop() {
            Some(Command::Publish) => Ok(Some(Event::Rejected(error_text(err)))),
            // The name is only for people.
            Some(Command::Login(Step::SetName)) => Ok(self.complete_login()),
            // A user without the permission for PING is logged in.
            Some(Command::Login(Step::Ping)) if err.code() == "NOPERM" => Ok(None),
            // An error shows as well that the server exists.
            Some(Command::Ping) => Ok(None),
            Some(Command::Subscribe | Command::Unsubscribe) => Err(refused("a subscription", err)),
            Some(Command::Login(_)) | None => Err(refused("the connection", err)),
        }
    }

    fn complete_login(&mut self) -> Option<Event> {
        self.is_ready = true;
        None
    }
}

impl fmt::Debug for Session {
    /// Leaves out the output, which can contain the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_ready", &self.is_ready).finish_non_exhaustive()
    }
}

/// Appends the command that publishes `payload`. Its reply is [`Event::Published`] or [`Event::Rejected`].
pub(super) fn encode_publication(channel: &str, payload: &[u8], output: &mut Vec<u8>) {
    cmd("PUBLISH").arg(channel).arg(payload).write_packed_command(output);
}

fn encode(words: &[&str], output: &mut Vec<u8>) {
    let mut command = ::redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.write_packed_command(output);
}

/// The kinds of messages that are no replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Subscribed,
    Unsubscribed,
    /// The reply to PING on a connection with subscriptions, in RESP2.
    Pong,
    Other,
}

impl From<PushKind> for Kind {
    fn from(kind: PushKind) -> Self {
        match kind {
            PushKind::Message => Self::Message,
            PushKind::Subscribe => Self::Subscribed,
            PushKind::Unsubscribe => Self::Unsubscribed,
            _ => Self::Other,
        }
    }
}

impl From<&Value> for Kind {
    fn from(kind: &Value) -> Self {
        match kind {
            Value::BulkString(kind) => match kind.as_slice() {
                b"message" => Self::Message,
                b"subscribe" => Self::Subscribed,
                b"unsubscribe" => Self::Unsubscribed,
                b"pong" => Self::Pong,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Protocol, "the Redis server has sent an unexpected reply")
}

fn refused(what: &str, err: &ServerError) -> Error {
    let cause = io::Error::new(io::ErrorKind::PermissionDenied, error_text(err));
    Error::io(format!("the Redis server refuses {what}"), cause)
}

/// Returns the text of an error without the arguments of the command, which a server repeats if it does not know the command. The
/// password can be one of them.
fn error_text(err: &ServerError) -> String {
    let details = err.details().unwrap_or_default();
    let details = details.split(", with args").next().unwrap_or_default();
    format!("{} {details}", err.code()).trim_end().to_owned()
}
