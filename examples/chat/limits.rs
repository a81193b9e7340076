//! Every bound in one place: nothing that a visitor does may grow without end.

use std::time::Duration;

use sockeye::{Origins, Settings};

/// Characters of a person's or a room's name.
pub(crate) const NAME_CHARS: usize = 24;
/// Characters of one text.
pub(crate) const TEXT_CHARS: usize = 2_000;
/// Lines of one text.
pub(crate) const TEXT_LINES: usize = 60;

/// People in the hall.
pub(crate) const PEOPLE: usize = 256;
/// Rooms in the hall.
pub(crate) const ROOMS: usize = 64;
/// Rooms that one person can be in at a time.
pub(crate) const ROOMS_EACH: usize = 8;
/// Messages that a room remembers for those who come later.
pub(crate) const HISTORY_MESSAGES: usize = 100;
/// Bytes that those messages may take together.
pub(crate) const HISTORY_BYTES: usize = 32 * 1024;

/// A request costs this much time: two a second can go on for ever.
pub(crate) const REQUEST_COST: Duration = Duration::from_millis(500);
/// What can be spent at once. Coming back into eight rooms takes nine requests.
pub(crate) const REQUEST_CREDIT: Duration = Duration::from_secs(10);
/// Requests over the allowance that are refused politely; the next one ends the connection.
pub(crate) const PATIENCE: u32 = 40;
/// Milliseconds within which a connection must give its name.
pub(crate) const ENTER_WITHIN: u64 = 10_000;

/// What the library enforces for us, beneath the rules above.
pub(crate) fn settings() -> Settings {
    Settings {
        // Some connections more than people: for those who are told that the hall is full, and for page loads.
        max_connections: PEOPLE * 2,
        // A text of the full length, each character of it as long as UTF-8 and JSON can make it, fits twice.
        max_message_size: 32 * 1024,
        // Who does not read what the others say is let go when this much waits for them.
        max_buffered: 1024 * 1024,
        // A peer that vanished without a word (a phone in a tunnel) does not answer pings, and leaves the list.
        ping_interval: Some(Duration::from_secs(20)),
        idle_timeout: Some(Duration::from_secs(45)),
        // Ctrl-C waits this long for those who do not say goodbye.
        close_timeout: Duration::from_secs(2),
        // Only our own page may open the socket, not a script on somebody else's (RFC 6455 §10.2).
        origins: Origins::SameHost,
        ..Settings::default()
    }
}
