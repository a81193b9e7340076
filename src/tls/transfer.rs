//! Moves ciphertext between a session and a transport, for the adapters of the event loop and of the async sockets.

use std::io;

use super::Session;

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

/// Repeats a call that a signal has interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
