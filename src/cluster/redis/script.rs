//! Runs a session on bytes that tests and fuzzers choose.

use super::session::{Event, Session, encode_publication};
use super::target::{Login, Protocol};

/// The most bytes of a reply.
const LIMIT: usize = 1000;

/// Passes bytes of a server to two sessions, to one of them in parts. Panics if they return different events. An invalid reply can be
/// noticed later in one of them, because the parser of redis waits for more after some wrong bytes.
///
/// The first byte of the script contains what the sessions have sent before, the second one the size of the parts. The rest is what
/// the server sends.
pub(crate) fn run_script(script: &[u8]) {
    let [options, size, input @ ..] = script else { return };
    // An incomplete reply that is too long is only noticed at the end of a part.
    let input = input.get(..LIMIT).unwrap_or(input);
    let whole = events(*options, [input]);
    let parts = events(*options, input.chunks(usize::from(*size).max(1)));
    let ((whole, whole_failed), (parts, parts_failed)) = (whole, parts);
    let common = if whole_failed || parts_failed { whole.len().min(parts.len()) } else { whole.len() };
    assert_eq!(whole.get(..common), parts.get(..common), "the split changes the result");
    assert!(whole_failed || parts_failed || whole.len() == parts.len(), "the split changes the result");
}

/// Returns the events of a session, and whether it has failed.
fn events<'a>(options: u8, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, bool) {
    let mut session = session(options);
    let mut events = Vec::new();
    let has_failed = parts.into_iter().any(|part| session.receive(part, &mut events).is_err());
    (events, has_failed)
}

/// Returns a session with unanswered commands.
fn session(options: u8) -> Session {
    let is_set = |bit: u8| options & (1 << bit) != 0;
    let protocol = if is_set(0) { Protocol::Resp3 } else { Protocol::Resp2 };
    let mut session = Session::new(&Login { protocol, ..Login::default() }, "script", LIMIT);
    if is_set(1) {
        session.subscribe(&["c0".to_owned(), "c1".to_owned()]);
    }
    if is_set(2) {
        session.unsubscribe(&["c0".to_owned()]);
    }
    if is_set(3) {
        session.ping();
    }
    let mut encoded = Vec::new();
    encode_publication("c0", b"payload", &mut encoded);
    session.publish(encoded, usize::from(is_set(4)));
    session
}
