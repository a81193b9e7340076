//! Moves ciphertext between a session and a transport, for the adapters of the event loop and of the async sockets.

#[cfg(any(feature = "blocking", feature = "futures"))]
use std::borrow::Cow;
use std::io;
#[cfg(any(feature = "blocking", feature = "futures"))]
use std::io::IoSlice;

use super::Session;
#[cfg(any(feature = "blocking", feature = "futures"))]
use super::WRITE;

/// Reads from a transport once. Returns whether the transport has no more input for now.
pub(crate) fn fill(
    session: &mut Session,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<bool> {
    let room = session.input_room();
    let most = room.len();
    match uninterrupted(|| read(room)) {
        Ok(0) => session.end_input(),
        Ok(len) => {
            session.add_input(len);
            return Ok(len < most);
        }
        Err(err) => {
            session.release_input();
            return Err(err);
        }
    }
    Ok(true)
}

/// Writes the output of a session to a transport, until all of it is written or the transport returns an error.
pub(crate) fn drain(
    session: &mut Session,
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut sent = Ok(());
    while sent.is_ok() && !session.output().is_empty() {
        sent = match uninterrupted(|| write(session.output())) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                session.consume_output(len);
                Ok(())
            }
            Err(err) => Err(err),
        };
    }
    session.release_output();
    sent
}

/// Returns the beginning of some slices as one, so that a short slice does not become a record of its own. This is the first slice
/// if that is as long as one write, and otherwise a copy of as much.
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) fn join<'s>(slices: &'s [IoSlice<'_>]) -> Cow<'s, [u8]> {
    match slices {
        [] => Cow::Borrowed(&[]),
        [only] => Cow::Borrowed(only),
        [first, ..] if first.len() >= WRITE => Cow::Borrowed(first),
        slices => Cow::Owned(slices.iter().flat_map(|slice| slice.iter()).copied().take(WRITE).collect()),
    }
}

/// Repeats a call that a signal has interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(all(test, any(feature = "blocking", feature = "futures")))]
mod tests {
    use super::*;

    #[test]
    fn short_slices_are_joined_and_long_ones_are_not_copied() {
        let (long, short) = (vec![1; WRITE], vec![2; 10]);
        assert_eq!(join(&[]).len(), 0);
        assert!(matches!(join(&[IoSlice::new(&short)]), Cow::Borrowed([2, ..])));
        assert!(matches!(join(&[IoSlice::new(&long), IoSlice::new(&short)]), Cow::Borrowed([1, ..])));
        let slices = [&short, &long, &short].map(|slice| IoSlice::new(slice));
        let joined = join(&slices);
        assert!(joined.len() == WRITE && joined[..10] == short && joined[10..] == long[10..]);
    }
}
