//! The phases of the loop in which handlers run.

/// A phase of a turn. The table in the documentation of [`reactor`](super) lists the hooks that each phase calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LoopPhase {
    /// Connections are read from.
    Read,
    /// Connection attempts continue, and connections are accepted.
    Open,
    /// Commands of senders are executed.
    Execute,
    /// Output is written.
    Flush,
    /// Timers fire.
    Deadlines,
    /// Connections that have ended are removed.
    Reap,
}
