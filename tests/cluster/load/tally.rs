//! What the clients of a process have received, and what was wrong with it.

use crate::histogram::Histogram;
use crate::ledger::MAX_NODES;
use crate::words;

/// The places at which nodes run.
pub(crate) const PLACES: usize = 4;

/// The first messages, the time before, during and after the failure, and the last messages.
pub(crate) const PHASES: usize = 5;

/// Counts of the clients of a process, or of all.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    /// The gaps that clients received, by kind.
    pub(crate) gaps: [u64; 3],
    /// The messages that are missing, and whose gap has come in their place.
    pub(crate) reported: u64,
    /// The same, but the handler's message about the gap has come after the next publication, which is allowed within a short time.
    pub(crate) reported_late: u64,
    /// The same, but the gap was the loss of a node, by the node that has published them.
    pub(crate) reported_as_lost: [u64; MAX_NODES],
    /// The messages that are missing without a gap.
    pub(crate) unreported: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    pub(crate) corrupt: u64,
    /// The publications on topics to which the client does not subscribe.
    pub(crate) unexpected: u64,
    pub(crate) opened: u64,
    /// The connections that a node has closed because it ends, and those that have failed.
    pub(crate) drained: u64,
    pub(crate) lost: u64,
    /// The last messages that are missing: with a gap, of a node that has ended and of one that runs, and without a gap.
    pub(crate) end_reported: u64,
    pub(crate) end_stalled: u64,
    pub(crate) end_missing: u64,
    /// Subscribers of a node that was killed, which have not received its loss.
    pub(crate) deaths_unreported: u64,
    /// By the place of the subscriber, by phase, and by whether its own node has published the message.
    pub(crate) latency: [[[Histogram; 2]; PHASES]; PLACES],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            delivered: 0,
            gaps: [0; 3],
            reported: 0,
            reported_late: 0,
            reported_as_lost: [0; MAX_NODES],
            unreported: 0,
            duplicates: 0,
            out_of_order: 0,
            corrupt: 0,
            unexpected: 0,
            opened: 0,
            drained: 0,
            lost: 0,
            end_reported: 0,
            end_stalled: 0,
            end_missing: 0,
            deaths_unreported: 0,
            latency: [const { [const { [const { Histogram::new() }; 2] }; PHASES] }; PLACES],
        }
    }
}

impl Tally {
    fn counts(&mut self) -> impl Iterator<Item = &mut u64> {
        let single = [
            &mut self.delivered,
            &mut self.reported,
            &mut self.reported_late,
            &mut self.unreported,
            &mut self.duplicates,
            &mut self.out_of_order,
            &mut self.corrupt,
            &mut self.unexpected,
            &mut self.opened,
            &mut self.drained,
            &mut self.lost,
            &mut self.end_reported,
            &mut self.end_stalled,
            &mut self.end_missing,
            &mut self.deaths_unreported,
        ];
        single.into_iter().chain(&mut self.gaps).chain(&mut self.reported_as_lost)
    }

    fn histograms(&mut self) -> impl Iterator<Item = &mut Histogram> {
        self.latency.as_flattened_mut().as_flattened_mut().iter_mut()
    }

    /// Returns a line for the counts, and one for each histogram.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let counts = join(self.counts().map(|count| *count));
        let times = self.histograms().map(|times| join(times.counts().iter().copied()));
        [counts].into_iter().chain(times).collect()
    }

    /// Adds the counts in these lines.
    pub(crate) fn add(&mut self, mut line: impl FnMut() -> String) {
        let mut numbers = || words::of(&line()).rest::<u64>().unwrap();
        self.counts().zip(numbers()).for_each(|(sum, count)| *sum += count);
        self.histograms().for_each(|times| times.merge(&numbers()));
    }
}

fn join(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}
