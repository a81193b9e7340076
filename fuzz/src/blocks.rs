//! The blocks of a DEFLATE stream (RFC 1951).

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The symbol that ends a block (RFC 1951 §3.2.5).
const END_OF_BLOCK: usize = 256;

/// Returns whether the last block of a stream has codes of its own, and none for its end.
///
/// Some decoders reject such a block at once, and others read it until the input ends. `room` is memory for the output.
pub fn last_block_has_no_end(stream: &[u8], room: &mut [u8]) -> bool {
    let mut bits = Bits { stream, at: last_block(stream, room) };
    bits.take(1);
    const OWN_CODES: usize = 2;
    if bits.take(2) != OWN_CODES {
        return false;
    }
    let literals = 257 + bits.take(5);
    let all = literals + 1 + bits.take(5);
    // RFC 1951 §3.2.7: the order of the lengths of the codes for lengths.
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let mut codes = [0; 19];
    for symbol in &ORDER[..4 + bits.take(4)] {
        codes[*symbol] = bits.take(3);
    }
    let mut lengths = Vec::new();
    while lengths.len() < all {
        let Some(symbol) = bits.symbol(&codes) else { return false };
        let (length, count) = match symbol {
            16 => (lengths.last().copied().unwrap_or_default(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, count));
    }
    lengths[END_OF_BLOCK] == 0
}

/// Returns the bit at which the last block begins that is not complete.
fn last_block(stream: &[u8], room: &mut [u8]) -> usize {
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
    let mut state = Box::<DecompressorOxide>::default();
    let (mut begin, mut read, mut written) = (0, 0, 0);
    loop {
        let (status, more_read, more_written) = decompress(&mut state, &stream[read..], room, written, flags);
        (read, written) = (read + more_read, written + more_written);
        match (status, state.block_boundary_state()) {
            (TINFLStatus::BlockBoundary, Some(boundary)) => begin = 8 * read - usize::from(boundary.num_bits),
            _ => return begin,
        }
    }
}

/// Reads bits. Behind the end of the stream, all are zero.
struct Bits<'s> {
    stream: &'s [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> usize {
        let byte = self.stream.get(self.at / 8).copied().unwrap_or_default();
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    /// Reads a number, which begins with its lowest bit.
    fn take(&mut self, count: u32) -> usize {
        (0..count).map(|place| self.bit() << place).sum()
    }

    /// Reads a symbol whose code has one of these lengths (RFC 1951 §3.2.2).
    fn symbol(&mut self, lengths: &[usize]) -> Option<usize> {
        let (mut code, mut first) = (0, 0);
        for length in 1..=7 {
            code = code << 1 | self.bit();
            let of_length = || {
                lengths.iter().enumerate().filter(|(_, other)| **other == length).map(|(symbol, _)| symbol)
            };
            let count = of_length().count();
            if code >= first && code - first < count {
                return of_length().nth(code - first);
            }
            first = (first + count) << 1;
        }
        None
    }
}
