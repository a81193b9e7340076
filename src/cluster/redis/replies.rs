//! Splits the bytes of the server into replies.

use std::fmt;
use std::io::{self, Read};

use ::redis::{Parser, Value};

use crate::error::{Error, ErrorKind, Result};

/// Reads replies from bytes that may be split anywhere.
pub(super) struct ReplyReader {
    parser: Parser,
    /// The bytes since the last complete reply, including some that the parser has read ahead before it.
    pending: usize,
    max_reply_size: usize,
}

impl ReplyReader {
    pub(super) fn new(max_reply_size: usize) -> Self {
        Self { parser: Parser::new(), pending: 0, max_reply_size }
    }

    /// Reads the next reply. Consumes all of `input` before it returns `None`, which means that more is needed.
    ///
    /// # Errors
    ///
    /// `Protocol` if the bytes are not RESP, `Capacity` if the reply is longer than the limit. Both are final.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Value>> {
        let mut source = Source { input, taken: 0, is_exhausted: false };
        let parsed = self.parser.parse_value(&mut source);
        let (taken, is_exhausted) = (source.taken, source.is_exhausted);
        self.pending += taken;
        match parsed {
            Ok(reply) => {
                self.pending = 0;
                Ok(Some(reply))
            }
            Err(_) if is_exhausted && self.pending > self.max_reply_size => {
                let details =
                    format!("a reply of the Redis server is longer than {} bytes", self.max_reply_size);
                Err(Error::new(ErrorKind::Capacity, details))
            }
            Err(_) if is_exhausted => Ok(None),
            // The text of the parser contains input, which can be a secret of the program.
            Err(_) => Err(Error::new(ErrorKind::Protocol, "the Redis server has sent an invalid reply")),
        }
    }
}

impl fmt::Debug for ReplyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyReader").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// A reader that blocks at its end, so that the parser keeps an incomplete reply.
struct Source<'a, 'b> {
    input: &'a mut &'b [u8],
    taken: usize,
    is_exhausted: bool,
}

impl Read for Source<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            self.is_exhausted = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.input.read(buffer)?;
        self.taken += len;
        Ok(len)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads all replies of some chunks.
    pub(in crate::cluster::redis) fn replies<'a>(
        limit: usize,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Value>> {
        let (mut reader, mut found) = (ReplyReader::new(limit), Vec::new());
        for mut chunk in chunks {
            while let Some(reply) = reader.next(&mut chunk)? {
                found.push(reply);
            }
            assert!(chunk.is_empty(), "all input is consumed");
        }
        Ok(found)
    }

    const ALL_TYPES: &[u8] = b"+OK\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n$0\r\n\r\n*1\r\n:1\r\n-NOPERM no\r\n\
        %1\r\n+a\r\n#t\r\n~1\r\n,1.5\r\n_\r\n!5\r\nERR x\r\n=5\r\ntxt:y\r\n(123\r\n>2\r\n$7\r\nmessage\r\n+a\r\n\
        |1\r\n+k\r\n+v\r\n:7\r\n";

    #[test]
    fn every_split_gives_the_same_replies() {
        let whole = replies(1000, [ALL_TYPES]).unwrap();
        assert_eq!(whole.len(), 14);
        for at in 0..=ALL_TYPES.len() {
            let (first, second) = ALL_TYPES.split_at(at);
            assert_eq!(replies(1000, [first, second]).unwrap(), whole, "split at {at}");
        }
        assert_eq!(replies(1000, ALL_TYPES.chunks(1)).unwrap(), whole);
    }

    #[test]
    fn a_reply_over_the_limit_fails() {
        let reply =
            |len: usize| [format!("${len}\r\n").into_bytes(), vec![b'x'; len], b"\r\n".to_vec()].concat();
        // `$94\r\n`, 94 bytes and `\r\n` are 101 bytes.
        let (fits, too_long) = (reply(93).repeat(3), reply(94));
        assert_eq!(replies(100, fits.chunks(1)).unwrap().len(), 3);
        assert!(replies(100, too_long.chunks(101)).is_ok(), "a complete reply is already in memory");
        let err = replies(99, reply(94).chunks(100)).unwrap_err();
        assert!(matches!(err.kind, ErrorKind::Capacity), "{err}");
    }

    #[test]
    fn announced_lengths_allocate_nothing() {
        for header in [
            "$9223372036854775807",
            "*9223372036854775807",
            "%4611686018427387903",
            "~9999999999",
            ">9999999999",
        ] {
            let input = format!("{header}\r\n:1\r\n");
            assert_eq!(replies(1000, [input.as_bytes()]).unwrap(), [], "{header}");
        }
    }

    #[test]
    fn invalid_replies_are_errors_without_their_text() {
        for input in ["secret\r\n", "$6\r\nsecretXX", ":secret\r\n", "*1\r\nsecret\r\n"] {
            let input = input.as_bytes();
            let err = replies(1000, [input]).unwrap_err();
            assert!(matches!(err.kind, ErrorKind::Protocol), "{err}");
            assert!(!err.to_string().contains("secret"));
        }
    }

    #[test]
    fn deep_nesting_fails() {
        let input = b"*1\r\n".repeat(200);
        assert!(replies(1000, [&input[..]]).is_err());
    }
}
