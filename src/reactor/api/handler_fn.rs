//! Handlers that are closures with borrowed messages.

use std::fmt;

use super::handler::Handler;
use super::reply::Reply;
use crate::error::Result;
use crate::protocol::MessageRef;

/// A handler that [`handler_fn`] has created.
///
/// See the example of [`handler_fn`].
#[derive(Clone, Copy)]
pub struct HandlerFn<F>(F);

/// Creates a handler from a closure that borrows each message and answers with a [`Reply`].
///
/// It does the same as a handler that implements [`Handler::on_message_ref`] alone. Like a closure with owned messages, it does not
/// receive single frames.
///
/// # Examples
///
/// ```
/// use sockeye::{WebSocket, handler_fn};
///
/// let echo = WebSocket::new(|_| handler_fn(|msg, reply| reply.send_ref(msg)))?;
/// # drop(echo);
/// # sockeye::Result::Ok(())
/// ```
pub fn handler_fn<F>(on_message: F) -> HandlerFn<F>
where
    F: FnMut(MessageRef<'_>, &mut Reply<'_>) -> Result<()>,
{
    HandlerFn(on_message)
}

impl<F> Handler for HandlerFn<F>
where
    F: FnMut(MessageRef<'_>, &mut Reply<'_>) -> Result<()>,
{
    #[inline]
    fn on_message_ref(&mut self, msg: MessageRef<'_>, reply: &mut Reply<'_>) -> Result<()> {
        self.0(msg, reply)
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

impl<F> fmt::Debug for HandlerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFn").finish_non_exhaustive()
    }
}
