//! Computes the number of bytes to send for the received bytes.

/// The position in the stream of a client's frames, which all have the same length.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    /// The length of a client's frame, and the length of the masking key, which a server's frame does not have.
    frame: usize,
    key: usize,
    /// The number of received bytes of the current frame.
    place: usize,
    /// Whether only whole frames are answered.
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

    /// Counts received bytes, and returns the number of bytes to send.
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
