//! Messages read as a stream of bytes.

use crate::message::Message;

/// The rest of a message of which a part has been read as bytes.
#[derive(Debug)]
pub(crate) struct ByteReader {
    message: Message,
    /// The number of bytes of the message that have been read.
    position: usize,
}

impl Default for ByteReader {
    fn default() -> Self {
        Message::binary(Vec::new()).into()
    }
}

impl From<Message> for ByteReader {
    fn from(message: Message) -> Self {
        Self { message, position: 0 }
    }
}

impl ByteReader {
    pub(crate) fn is_empty(&self) -> bool {
        self.position == self.message.len()
    }

    /// Copies as much of the rest as fits into the buffer, and returns the number of bytes.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.message.as_bytes().get(self.position..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.position += len;
        len
    }

    /// Takes the rest out as a message, so that no byte is lost. The rest of a text is text, unless it begins in the
    /// middle of a character.
    pub(crate) fn take(&mut self) -> Option<Message> {
        if self.is_empty() {
            return None;
        }
        let Self { message, position } = std::mem::take(self);
        Some(match message {
            Message::Text(mut text) if text.is_char_boundary(position) => {
                Message::Text(text.split_off(position))
            }
            message => Message::Binary(message.into_data().split_off(position)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest_of(message: impl Into<Message>, read: usize) -> Option<Message> {
        let mut reader = ByteReader::from(message.into());
        assert_eq!(reader.read(&mut vec![0; read]), read);
        let message = reader.take();
        assert!(reader.is_empty() && reader.take().is_none());
        message
    }

    #[test]
    fn the_rest_is_a_message_of_the_same_type() {
        assert_eq!(rest_of("salmon", 3), Some("mon".into()));
        assert_eq!(rest_of(&b"salmon"[..], 3), Some(b"mon"[..].into()));
        assert_eq!(rest_of("salmon", 0), Some("salmon".into()));
        assert_eq!(rest_of("salmon", 6), None);
        assert_eq!(rest_of("", 0), None);
    }

    #[test]
    fn the_rest_of_a_text_split_inside_a_character_is_binary() {
        assert_eq!(rest_of("lösö", 2), Some("lösö".as_bytes()[2..].into()));
        assert_eq!(rest_of("lösö", 3), Some("sö".into()));
    }
}
