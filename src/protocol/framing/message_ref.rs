//! Messages that a handler borrows from the memory into which they were received.

use std::fmt;

use super::decoder::unmasked_copy;
use super::header::OpCode;
use super::mask::{self, Key};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::buffer_pool;

/// A message whose payload is borrowed: text or bytes (§5.6).
///
/// A handler that implements [`on_message_ref`] receives messages in this form, and answers with a [`Reply`]. A small message is then
/// neither copied nor stored in memory of its own. Text was validated before; the payload of a binary message is unmasked
/// when it is needed, once.
///
/// Strings, slices and references to a [`Message`] convert into a `MessageRef`, so [`Reply::send_ref`] accepts them.
///
/// [`on_message_ref`]: crate::Handler::on_message_ref
/// [`Reply`]: crate::Reply
/// [`Reply::send_ref`]: crate::Reply::send_ref
///
/// # Examples
///
/// ```
/// use sockeye::{Message, MessageRef};
///
/// let mut message = MessageRef::from("salmon");
/// assert!(message.is_text());
/// assert_eq!(message.as_text()?, "salmon");
/// assert_eq!(message.into_owned(), Message::from("salmon"));
/// # sockeye::Result::Ok(())
/// ```
pub struct MessageRef<'a>(pub(crate) Content<'a>);

/// Where the payload is.
#[cfg_attr(not(feature = "reactor"), expect(dead_code, reason = "only the event loop lends messages"))]
pub(crate) enum Content<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Bytes of a binary message, and the key with which they are masked.
    Masked(&'a mut [u8], Key),
    /// A message in memory of its own, because it has arrived in pieces. It can be taken out.
    Whole(&'a mut Message),
    /// The same, but [`Handler::on_message`](crate::Handler::on_message) has received it already, and does not handle it.
    Forwarded(&'a mut Message),
}

impl<'a> MessageRef<'a> {
    /// Returns whether this is a text message.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn is_text(&self) -> bool {
        match &self.0 {
            Content::Text(_) => true,
            Content::Bytes(_) | Content::Masked(..) => false,
            Content::Whole(message) | Content::Forwarded(message) => message.is_text(),
        }
    }

    /// Returns whether this is a binary message.
    ///
    /// See the example of [`as_bytes`](Self::as_bytes).
    #[inline]
    pub fn is_binary(&self) -> bool {
        !self.is_text()
    }

    /// Returns the length of the payload in bytes.
    ///
    /// See the example of [`as_bytes`](Self::as_bytes).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Content::Text(text) => text.len(),
            Content::Bytes(bytes) => bytes.len(),
            Content::Masked(bytes, _) => bytes.len(),
            Content::Whole(message) | Content::Forwarded(message) => message.len(),
        }
    }

    /// Returns whether the payload is empty.
    ///
    /// See the example of [`as_bytes`](Self::as_bytes).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the payload of a text or binary message as bytes.
    ///
    /// The first call unmasks the payload of a received binary message where it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::MessageRef;
    ///
    /// let mut message = MessageRef::from(&[1, 2, 3][..]);
    /// assert!(message.is_binary() && !message.is_empty());
    /// assert_eq!((message.len(), message.as_bytes()), (3, &[1, 2, 3][..]));
    /// ```
    #[inline]
    pub fn as_bytes(&mut self) -> &[u8] {
        self.unmask();
        match &self.0 {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
            Content::Masked(bytes, _) => bytes,
            Content::Whole(message) | Content::Forwarded(message) => message.as_bytes(),
        }
    }

    /// Returns the payload as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`](crate::ErrorKind::Encoding) if this is a binary message and not UTF-8. A text message is always valid.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn as_text(&mut self) -> Result<&str> {
        self.unmask();
        match &self.0 {
            Content::Text(text) => Ok(text),
            Content::Bytes(bytes) => Ok(std::str::from_utf8(bytes)?),
            Content::Masked(bytes, _) => Ok(std::str::from_utf8(bytes)?),
            Content::Whole(message) | Content::Forwarded(message) => message.as_text(),
        }
    }

    /// Unmasks the payload, unless it is unmasked already.
    #[inline]
    fn unmask(&mut self) {
        if let Content::Masked(bytes, key) = &mut self.0 {
            let bytes = std::mem::take(bytes);
            mask::apply(*key, 0, bytes);
            self.0 = Content::Bytes(bytes);
        }
    }

    /// Converts the message into one that owns its payload.
    ///
    /// The payload is copied, and unmasked in the same pass, unless the message has memory of its own already, as one that has arrived
    /// in pieces.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline(always)]
    pub fn into_owned(self) -> Message {
        match self.0 {
            Content::Text(text) => Message::Text(buffer_pool::copy_text(text)),
            Content::Bytes(bytes) => Message::Binary(buffer_pool::copy(bytes)),
            Content::Masked(bytes, key) => Message::Binary(unmasked_copy(bytes, Some(key))),
            Content::Whole(message) | Content::Forwarded(message) => take(message),
        }
    }

    /// Borrows a message that can be taken out.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn whole(message: &'a mut Message) -> Self {
        Self(Content::Whole(message))
    }

    /// Borrows a message that [`Handler::on_message`](crate::Handler::on_message) does not handle.
    #[cfg(feature = "reactor")]
    pub(crate) fn forwarded(message: &'a mut Message) -> Self {
        Self(Content::Forwarded(message))
    }

    /// Whether [`Handler::on_message`](crate::Handler::on_message) does not handle the message.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn is_forwarded(&self) -> bool {
        matches!(self.0, Content::Forwarded(_))
    }

    pub(crate) fn opcode(&self) -> OpCode {
        if self.is_text() { OpCode::Text } else { OpCode::Binary }
    }
}

/// Takes a message out of its place.
fn take(message: &mut Message) -> Message {
    std::mem::replace(message, Message::Binary(Vec::new()))
}

impl<'a> From<&'a str> for MessageRef<'a> {
    fn from(text: &'a str) -> Self {
        Self(Content::Text(text))
    }
}

impl<'a> From<&'a String> for MessageRef<'a> {
    fn from(text: &'a String) -> Self {
        Self(Content::Text(text))
    }
}

impl<'a> From<&'a [u8]> for MessageRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for MessageRef<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::from(text),
            Message::Binary(bytes) => Self::from(bytes),
        }
    }
}

/// Copies the payload, as [`MessageRef::into_owned`] does.
impl From<MessageRef<'_>> for Message {
    #[inline]
    fn from(message: MessageRef<'_>) -> Self {
        message.into_owned()
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef").field("opcode", &self.opcode()).field("len", &self.len()).finish()
    }
}
