//! Where the input goes: the connection of a client, or the clients of a server.

use std::thread;
use std::time::Duration;

use sockeye::{CloseCode, Error, ErrorKind, Message, QueueError, Sender};

use crate::exit::Failure;

/// Reading pauses while more bytes than this are unsent.
const MAX_UNSENT: usize = 1 << 20;
/// How long reading pauses before it checks again.
const PAUSE: Duration = Duration::from_millis(2);

/// There is no connection any more, and there will be none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// Receives what the user types or pipes in. The thread that reads the input calls it.
pub(crate) trait Target: Send + Sync {
    /// Sends a message. If the connection is slower than the input, this waits.
    fn send(&self, message: Message) -> Result<(), Ended>;

    /// Sends a message to one client. Returns what is wrong if that is impossible.
    fn send_to(&self, client: u32, message: Message) -> Result<(), String>;

    fn ping(&self, payload: Vec<u8>) -> Result<(), Ended>;

    fn pong(&self, payload: Vec<u8>) -> Result<(), Ended>;

    /// Closes the connection, or those of all clients. Returns whether the input is not needed any more.
    fn close(&self, code: CloseCode, reason: &str) -> bool;

    /// Ends the program after a closing handshake.
    fn quit(&self);

    /// The input has ended: what was sent is everything.
    fn input_ended(&self);

    /// The input cannot be read.
    fn input_failed(&self, failure: Failure);

    /// Describes the clients of a server.
    fn clients(&self) -> Vec<String>;

    /// The text of `/help`.
    fn help(&self) -> String;
}

/// Sends a message, and waits while the queue of the event loop is full or much is unsent.
pub(crate) fn send_when_possible(out: &Sender, message: &Message) -> Result<(), Ended> {
    while out.buffered_amount() > MAX_UNSENT {
        thread::sleep(PAUSE);
    }
    retry(|| out.send(message.clone()))
}

/// Repeats a command until the queue of the event loop has room for it.
pub(crate) fn retry(mut command: impl FnMut() -> sockeye::Result<()>) -> Result<(), Ended> {
    loop {
        match command() {
            Ok(()) => return Ok(()),
            Err(Error { kind: ErrorKind::Queue(QueueError::Full), .. }) => thread::sleep(PAUSE),
            Err(_) => return Err(Ended),
        }
    }
}
