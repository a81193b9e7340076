//! `Reply`: how a handler answers the message that it is receiving.

use std::fmt;

use crate::error::Result;
use crate::message::Message;
use crate::protocol::{MessageRef, Role, write_frame, write_message};
use crate::reactor::buffer_pool::BufferPool;
use crate::reactor::connection::WriteSide;
use crate::reactor::entries::ConnectionId;
use crate::reactor::queue::status::ConnectionStatus;
use crate::reactor::queue::{self, CommandQueue, disconnected, send_message};

/// Sends answers to the connection whose message a handler is receiving.
///
/// [`Handler::on_message_ref`](crate::Handler::on_message_ref) receives a `Reply` with each message. What it sends is
/// usually written directly into the output of the connection, without memory of its own and without a queue.
///
/// The order of all messages of a handler is that of its calls. Earlier calls of a [`Sender`](crate::Sender) that have not been executed yet
/// make the reply wait for them in the same queue. The reply is also queued on clients, on connections with compression, and if
/// the handler receives single frames ([`Handler::wants_frames`](crate::Handler::wants_frames)). The limits of
/// [`Settings::max_buffered`](crate::Settings::max_buffered) and [`Settings::overflow`](crate::Settings::overflow) apply in all cases.
///
/// # Examples
///
/// ```
/// use sockeye::{Handler, MessageRef, Reply, Result};
///
/// /// Echoes messages, and answers "ping".
/// struct Echo;
///
/// impl Handler for Echo {
///     fn on_message_ref(&mut self, mut msg: MessageRef<'_>, reply: &mut Reply<'_>) -> Result<()> {
///         match msg.as_bytes() {
///             b"ping" => reply.send_ref("pong"),
///             _ => reply.send_ref(msg),
///         }
///     }
/// }
/// ```
pub struct Reply<'a> {
    /// The queue of the loop, and the connection. `None` if the handler was not called by a loop.
    connection: Option<(&'a CommandQueue, ConnectionId)>,
    output: Option<ReplyOutput<'a>>,
    /// The number of messages that were written to the output.
    sent: u64,
}

/// The output of a connection that sends messages as they are.
pub(in crate::reactor) struct ReplyOutput<'a> {
    pub(in crate::reactor) status: &'a ConnectionStatus,
    pub(in crate::reactor) write: &'a mut WriteSide,
    pub(in crate::reactor) pool: &'a mut BufferPool,
    /// The maximum length of a frame in bytes.
    pub(in crate::reactor) fragment_size: usize,
}

impl<'a> Reply<'a> {
    /// Creates the reply of a connection. Without an output, everything is queued.
    #[inline(always)]
    pub(in crate::reactor) fn new(
        queue: &'a CommandQueue,
        id: ConnectionId,
        output: Option<ReplyOutput<'a>>,
    ) -> Self {
        Self { connection: Some((queue, id)), output, sent: 0 }
    }

    /// Returns the number of messages that were written to the output.
    #[inline(always)]
    pub(in crate::reactor) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends a message, as [`Sender::send`](crate::Sender::send) does.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send`](crate::Sender::send). If the handler was not called by an event loop, the error is
    /// [`QueueError::Disconnected`](crate::QueueError::Disconnected).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::handler_fn;
    ///
    /// let counter = handler_fn(|msg, reply| reply.send(format!("{} bytes", msg.len())));
    /// # drop(counter);
    /// ```
    #[inline]
    pub fn send<M>(&mut self, msg: M) -> Result<()>
    where
        M: Into<Message>,
    {
        let message = msg.into();
        let len = message.len();
        let Some(output) = self.output(len) else { return self.queue(message) };
        write_frame(message, Role::Server, output.fragment_size, output.write.queue(output.pool));
        Ok(())
    }

    /// Sends a message whose payload is borrowed: the one that was received, or a string, or bytes.
    ///
    /// A message that cannot be written directly, for the reasons that are described [above](Self), is copied.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn send_ref<'m, M>(&mut self, msg: M) -> Result<()>
    where
        M: Into<MessageRef<'m>>,
    {
        let message = msg.into();
        let len = message.len();
        let Some(output) = self.output(len) else { return self.queue(message.into_owned()) };
        write_message(message, output.fragment_size, output.write.queue(output.pool));
        Ok(())
    }

    /// Returns the output, and counts a message of this length, unless the message must be queued.
    #[inline(always)]
    fn output(&mut self, len: usize) -> Option<&mut ReplyOutput<'a>> {
        let (queue, _) = self.connection?;
        let output = self.output.as_mut()?;
        if !queue.has_room_for_reply(output.status, len) {
            return None;
        }
        output.status.add_local(len);
        output.write.add_published(len);
        self.sent += 1;
        Some(output)
    }

    #[cold]
    fn queue(&self, message: Message) -> Result<()> {
        let (queue, id) = self.connection.ok_or_else(disconnected)?;
        send_message(queue, id.target(), message)
    }
}

/// Calls a function with the reply of the connection whose handler is being called.
pub(super) fn with_receiver<R>(act: impl FnOnce(&mut Reply<'_>) -> R) -> R {
    let receiver = queue::receiver();
    let connection = receiver.as_ref().map(|(queue, id)| (&**queue, *id));
    act(&mut Reply { connection, output: None, sent: 0 })
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("sent", &self.sent).finish_non_exhaustive()
    }
}
