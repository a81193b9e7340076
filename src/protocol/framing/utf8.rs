//! Validation of UTF-8 that arrives in pieces (§8.1).

use crate::protocol::ProtocolError;

/// Validates text that arrives in pieces. It stores the beginning of a character whose end is missing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Utf8 {
    /// The first bytes of a character, of which at least one is missing.
    pending: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Validates the next piece, and passes all complete characters to `sink`.
    ///
    /// The error is returned with the first byte after which no continuation could make the text valid.
    pub(crate) fn feed(&mut self, piece: &[u8], mut sink: impl FnMut(&str)) -> Result<(), ProtocolError> {
        let rest = self.complete_pending(piece, &mut sink)?;
        let (whole, begun) = split_begun(rest);
        sink(simdutf8::basic::from_utf8(whole).map_err(|_| ProtocolError::InvalidUtf8)?);
        for byte in begun {
            self.hold(*byte);
        }
        match std::str::from_utf8(begun) {
            Err(err) if err.error_len().is_some() => Err(ProtocolError::InvalidUtf8),
            _ => Ok(()),
        }
    }

    /// Checks that the text does not end within a character.
    pub(crate) fn finish(&self) -> Result<(), ProtocolError> {
        if self.len == 0 { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }

    fn complete_pending<'a>(
        &mut self,
        mut piece: &'a [u8],
        sink: &mut impl FnMut(&str),
    ) -> Result<&'a [u8], ProtocolError> {
        while self.len > 0 {
            let Some((first, rest)) = piece.split_first() else { break };
            piece = rest;
            self.hold(*first);
            match std::str::from_utf8(self.held()) {
                Ok(character) => {
                    sink(character);
                    self.len = 0;
                }
                Err(err) if err.error_len().is_some() => return Err(ProtocolError::InvalidUtf8),
                Err(_) => {}
            }
        }
        Ok(piece)
    }

    /// Stores a byte of a character. There is always room: with four bytes a character is complete or invalid.
    fn hold(&mut self, byte: u8) {
        if let Some(place) = self.pending.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn held(&self) -> &[u8] {
        self.pending.get(..usize::from(self.len)).unwrap_or(&self.pending)
    }
}

/// Splits before an incomplete character at the end, if there is one.
fn split_begun(bytes: &[u8]) -> (&[u8], &[u8]) {
    let last = bytes.iter().rev().take(3);
    let begun = last.zip(1..).find_map(|(byte, len)| match byte {
        0x80..=0xbf => None,
        0xc0..=0xdf => Some((2, len)),
        0xe0..=0xef => Some((3, len)),
        0xf0.. => Some((4, len)),
        _ => Some((1, len)),
    });
    match begun {
        Some((width, len)) if len < width => bytes.split_at(bytes.len().saturating_sub(len)),
        _ => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::rngs::StdRng;

    use super::*;
    use crate::random_inputs;

    fn fed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, ProtocolError> {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        for piece in pieces {
            utf8.feed(piece, |part| text.push_str(part))?;
        }
        utf8.finish().map(|()| text)
    }

    /// Returns text, in half of the cases with one byte replaced.
    fn nearly_text(rng: &mut StdRng) -> Vec<u8> {
        let len = rng.random_range(0..32);
        let text: String = (0..len).map(|_| character(rng)).collect();
        let mut bytes = text.into_bytes();
        if rng.random() && !bytes.is_empty() {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes
    }

    /// Returns a character; each length of an encoded character is as likely as the others.
    fn character(rng: &mut StdRng) -> char {
        match rng.random_range(0..4) {
            0 => rng.random_range('\0'..='\x7f'),
            1 => rng.random_range('\u{80}'..='\u{7ff}'),
            2 => rng.random_range('\u{800}'..='\u{ffff}'),
            _ => rng.random_range('\u{10000}'..='\u{10ffff}'),
        }
    }

    #[test]
    fn f6_validation_matches_the_standard_library_at_every_split() {
        random_inputs::for_each(|rng| {
            let bytes = nearly_text(rng);
            let whole = std::str::from_utf8(&bytes).ok();
            for at in 0..=bytes.len() {
                let (first, second) = bytes.split_at(at);
                let text = fed([first, second]).ok();
                assert_eq!(text.as_deref(), whole);
            }
            let text = fed(bytes.chunks(1)).ok();
            assert_eq!(text.as_deref(), whole);
        });
    }

    #[test]
    fn s8_1_validation_fails_at_the_first_invalid_byte() {
        // F4 begins a character of four bytes; 90 leaves the range of Unicode, and nothing can mend it.
        let mut utf8 = Utf8::default();
        assert!(utf8.feed(&[b'k', 0xf4], |_| {}).is_ok());
        assert_eq!(utf8.feed(&[0x90], |_| {}), Err(ProtocolError::InvalidUtf8));
    }
}
