//! Messages, as programs send and receive them (§1.2, §5.6).

use std::borrow::Cow;
use std::fmt;

use crate::error::Result;

/// A complete WebSocket message: text or bytes (§5.6).
///
/// Strings, slices and vectors convert into a `Message`, so [`Sender::send`](crate::Sender::send) and similar methods accept
/// them directly.
///
/// # Examples
///
/// ```
/// use sockeye::Message;
///
/// let text = Message::from("salmon");
/// assert!(text.is_text());
/// assert_eq!(text.as_text()?, "salmon");
/// assert_eq!(Message::from(vec![1, 2, 3]).len(), 3);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Eq, PartialEq, Clone)]
pub enum Message {
    /// Text, always valid UTF-8 (§8.1).
    Text(String),
    /// Bytes that the protocol does not interpret.
    Binary(Vec<u8>),
}

impl Message {
    /// Creates a text message.
    ///
    /// See the example of [`into_text`](Self::into_text).
    pub fn text<S: Into<String>>(string: S) -> Self {
        Self::Text(string.into())
    }

    /// Creates a binary message.
    ///
    /// See the example of [`into_data`](Self::into_data).
    pub fn binary<B: Into<Vec<u8>>>(bytes: B) -> Self {
        Self::Binary(bytes.into())
    }

    /// Returns whether this is a text message.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Returns whether this is a binary message.
    ///
    /// See the example of [`as_bytes`](Self::as_bytes).
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// Returns the length of the payload in bytes.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the payload is empty.
    ///
    /// See the example of [`as_bytes`](Self::as_bytes).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the payload of a text or binary message as bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Message;
    ///
    /// let message = Message::from(vec![1, 2, 3]);
    /// assert!(message.is_binary() && !message.is_empty());
    /// assert_eq!(message.as_bytes(), [1, 2, 3]);
    /// assert_eq!(Message::from("abc").as_bytes(), b"abc");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Converts the message into its payload, without copying it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Message;
    ///
    /// assert_eq!(Message::binary([1, 2, 3]).into_data(), [1, 2, 3]);
    /// assert_eq!(Message::text("abc").into_data(), b"abc");
    /// ```
    pub fn into_data(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Converts the message into text, without copying it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`](crate::ErrorKind::Encoding) if this is a binary message and not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Message;
    ///
    /// assert_eq!(Message::text("salmon").into_text()?, "salmon");
    /// assert!(Message::binary([0xff]).into_text().is_err());
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn into_text(self) -> Result<String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(bytes) => String::from_utf8(bytes).map_err(|err| err.utf8_error().into()),
        }
    }

    /// Returns the payload as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`](crate::ErrorKind::Encoding) if this is a binary message and not UTF-8.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn as_text(&self) -> Result<&str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(bytes) => Ok(std::str::from_utf8(bytes)?),
        }
    }
}

impl fmt::Display for Message {
    /// Writes the payload if it is UTF-8, and otherwise its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "Binary Data<length={}>", self.len()),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Box<str>> for Message {
    fn from(text: Box<str>) -> Self {
        Self::Text(text.into_string())
    }
}

impl From<Cow<'_, str>> for Message {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into_owned())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

impl From<Box<[u8]>> for Message {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::Binary(bytes.into_vec())
    }
}

impl From<Cow<'_, [u8]>> for Message {
    fn from(bytes: Cow<'_, [u8]>) -> Self {
        Self::Binary(bytes.into_owned())
    }
}

/// The bytes are not copied if this is their only handle.
#[cfg(feature = "bytes")]
impl From<bytes::Bytes> for Message {
    fn from(bytes: bytes::Bytes) -> Self {
        Self::Binary(bytes.into())
    }
}

#[cfg(all(test, feature = "bytes"))]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn bytes_become_a_message_without_a_copy_if_they_have_one_handle() {
        let content = vec![7; 1000];
        let address = content.as_ptr();
        let message = Message::from(Bytes::from(content));
        assert_eq!((message.as_bytes().as_ptr(), message.as_bytes()), (address, &[7; 1000][..]));

        let first = Bytes::from(vec![1, 2, 3]);
        let second = first.clone();
        assert_eq!([Message::from(first), Message::from(second)], [(); 2].map(|()| vec![1, 2, 3].into()));
    }
}
