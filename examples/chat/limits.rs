//! The limits of the chat, and the settings of the library.

use std::time::Duration;

use sockeye::{Drain, Origins, Settings};

/// The length of the name of a user or a room, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 24;
/// The length of a message, in characters.
pub(crate) const MAX_TEXT_CHARS: usize = 2_000;
/// The length of a message, in lines.
pub(crate) const MAX_TEXT_LINES: usize = 60;

/// Users in total.
pub(crate) const MAX_USERS: usize = 256;
/// Rooms in total.
pub(crate) const MAX_ROOMS: usize = 64;
/// Rooms of one user.
pub(crate) const MAX_ROOMS_PER_USER: usize = 8;
/// Messages that each room keeps for users who join later.
pub(crate) const MAX_HISTORY_MESSAGES: usize = 100;
/// The size of these messages, in bytes of JSON.
pub(crate) const MAX_HISTORY_BYTES: usize = 48 * 1024;
/// The length of the reference with which a page recognizes its own message, in bytes.
pub(crate) const MAX_REFERENCE_BYTES: usize = 64;

/// One request per interval is always accepted.
pub(crate) const REQUEST_INTERVAL: Duration = Duration::from_millis(500);
/// The intervals that can be used in advance: 20 requests. To rejoin eight rooms, a page sends nine.
pub(crate) const REQUEST_BURST: Duration = Duration::from_secs(10);
/// Consecutive requests above the limit that are rejected. The next one closes the connection.
pub(crate) const MAX_REJECTED: u32 = 40;
/// The time in which a new connection must send a user name, in milliseconds.
pub(crate) const ENTER_TIMEOUT_MILLIS: u64 = 10_000;

/// Returns the settings of the event loops. The limits apply to all of them together.
pub(crate) fn settings() -> Settings {
    Settings {
        // More than the users, for clients that load the page or are rejected because the chat is full.
        max_connections: MAX_USERS * 2,
        // Twice the longest message, with every character in its longest form in UTF-8 and JSON.
        max_message_size: 32 * 1024,
        // A client that stops reading is disconnected when this much output is unsent, or after this time.
        max_buffered: 1024 * 1024,
        write_timeout: Some(Duration::from_secs(20)),
        // Detects clients that disappear without closing the connection, such as a phone in a tunnel.
        ping_interval: Some(Duration::from_secs(20)),
        idle_timeout: Some(Duration::from_secs(45)),
        // At its end, the server waits this long for clients that do not answer its Close.
        close_timeout: Duration::from_secs(2),
        // Only the page of this server may connect, not scripts of other sites (RFC 6455 §10.2).
        origins: Origins::SameHost,
        ..Settings::default()
    }
}

/// Returns how the server ends: the closes are spread over three seconds, so that the pages do not reconnect all at once.
pub(crate) fn drain() -> Drain {
    Drain::new().over(Duration::from_secs(3)).deadline(Duration::from_secs(10))
}
