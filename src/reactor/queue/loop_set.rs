//! A set of loops of a pool.

/// The most loops of a pool, the acceptor included.
pub(crate) const MAX_LOOPS: usize = u128::BITS as usize;

/// A set of loops, without an allocation: one bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LoopSet(u128);

impl LoopSet {
    /// Adds the loop with this number. Numbers from [`MAX_LOOPS`] on do not exist.
    pub(crate) fn insert(&mut self, index: usize) {
        self.0 |= 1_u128.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    /// Whether the set contains more than one loop.
    pub(crate) fn has_several(self) -> bool {
        self.without_first().0 != 0
    }

    /// Returns the lowest number.
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    pub(crate) fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }

    /// Returns the numbers in ascending order.
    pub(crate) fn iter(mut self) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let first = self.first();
            self = self.without_first();
            first
        })
    }
}

impl FromIterator<usize> for LoopSet {
    fn from_iter<I: IntoIterator<Item = usize>>(loops: I) -> Self {
        let mut set = Self::default();
        loops.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_what_was_inserted() {
        for numbers in [vec![], vec![0], vec![3, 63, 64, 65, 127], (0..MAX_LOOPS).collect()] {
            let set: LoopSet = numbers.iter().copied().collect();
            assert_eq!((set.first(), set.has_several()), (numbers.first().copied(), numbers.len() > 1));
            assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
        }
    }
}
