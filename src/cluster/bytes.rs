//! Reads and writes the parts of an envelope.

/// The longest number with seven bits per byte.
pub(super) const MAX_VARINT: usize = 10;

/// The bytes that have not been decoded yet.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for index in 0..MAX_VARINT {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << (7 * index);
            if byte < 0x80 {
                // Ten bytes have room for more than 64 bits.
                return (index < 9 || bits <= 1).then_some(value);
            }
        }
        None
    }

    /// Returns `value` if everything is decoded.
    pub(super) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Writes seven bits per byte, the lowest ones first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [.., bits] = (value & 0x7f).to_be_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(bits);
        }
        out.push(bits | 0x80);
    }
}
