//! How many bytes to send for the bytes that have arrived.

/// The place in the stream of a client's frames, all of one length.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    /// Length of a client's frame; of the part that a server's frame does not have: the masking key.
    frame: usize,
    key: usize,
    place: usize,
    /// Bytes of a frame that have been answered; only whole frames are if `whole`.
    whole: bool,
}

impl Count {
    pub(crate) fn new(size: usize, whole: bool) -> Self {
        let header = if size < 126 {
            2
        } else if size < 65_536 {
            4
        } else {
            10
        };
        Self { frame: header + 4 + size, key: 4, place: 0, whole }
    }

    /// Counts bytes that have arrived, and returns how many to send.
    pub(crate) fn advance(&mut self, came: usize) -> usize {
        let answered = self.answered(self.place);
        let place = self.place + came;
        self.place = place % self.frame;
        (place / self.frame) * (self.frame - self.key) + self.answered(self.place) - answered
    }

    /// Returns whether only whole frames are answered.
    pub(crate) fn whole(&self) -> bool {
        self.whole
    }

    fn answered(&self, place: usize) -> usize {
        if self.whole { 0 } else { place.saturating_sub(self.key) }
    }
}
