//! `Health`: whether a loop is responsive.

use std::time::{Duration, Instant};

use crate::cluster::BrokerState;
use crate::reactor::monitoring::Monitor;
use crate::reactor::queue::CommandQueue;

/// Whether an event loop runs and is responsive. [`Sender::health`](crate::Sender::health) returns it.
///
/// A handler that blocks stops all connections of its loop. Another thread sees this as a growing [`lag`](Self::lag); a handler of the
/// loop does not see it, because it is not called in the meantime.
///
/// `Display` formats it as one line of text, such as `running, lag 0.000 s, longest turn 0.012 s`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockeye::{LoopStatus, Message, Sender, WebSocket};
///
/// let server = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind("127.0.0.1:0")?;
/// let all = server.broadcaster();
/// assert_eq!(all.health().status, LoopStatus::Idle);
///
/// let watchdog = std::thread::spawn(move || {
///     while all.health().status == LoopStatus::Idle {
///         std::thread::yield_now();
///     }
///     // A real watchdog would repeat this, and restart the program if a handler blocks for a minute.
///     assert!(all.health().lag < Duration::from_secs(60));
///     all.shutdown()
/// });
/// server.run()?;
/// watchdog.join().expect("the thread does not panic")?;
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What the loop does.
    pub status: LoopStatus,
    /// How long the current turn of the loop has lasted, with a precision of a millisecond. Zero while the loop waits for events.
    ///
    /// A turn usually takes less than 10 milliseconds. It takes longer if a handler blocks or computes, or if the machine is overloaded.
    pub lag: Duration,
    /// The longest turn of the last 30 to 60 seconds. Turns of less than a millisecond can be left out.
    pub longest_turn: Duration,
    /// Whether publications reach other nodes, in a cluster.
    pub broker: Option<BrokerState>,
}

/// What an event loop does.
///
/// See the example of [`Health`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum LoopStatus {
    /// The loop has not been run yet.
    #[default]
    Idle,
    /// The loop runs.
    Running,
    /// The loop closes its connections one after the other, after [`Sender::drain`](crate::Sender::drain).
    Draining,
    /// The loop closes its connections and accepts no new ones, after [`Sender::shutdown`](crate::Sender::shutdown).
    ShuttingDown,
    /// The loop has ended. It can be run again, unless it has panicked or was dropped.
    Ended,
}

impl LoopStatus {
    /// Returns what two loops of a pool do together. The pool runs when all of its loops run, and has ended when all have ended. In between, one
    /// that closes connections determines the status.
    fn and(self, other: Self) -> Self {
        let (first, second) = (self.min(other), self.max(other));
        match second {
            Self::Ended if first < Self::Draining => Self::ShuttingDown,
            Self::Ended => first,
            Self::Draining | Self::ShuttingDown => second,
            Self::Idle | Self::Running => first,
        }
    }
}

impl Health {
    /// Returns the health of the pool, or of the only loop.
    pub(super) fn of(queue: &CommandQueue) -> Self {
        let now = queue.now();
        let broker = queue.common.node().map(|node| node.stats().state);
        let Some(own) = queue.membership() else {
            return Self { broker, ..Self::of_loop(&queue.monitor, now) };
        };
        let loops = own.peers.monitors().into_iter().map(|(monitor, _)| Self::of_loop(monitor, now));
        Self { broker, ..loops.reduce(Self::and).unwrap_or_default() }
    }

    /// Returns the health of each worker of the pool.
    pub(super) fn of_workers(queue: &CommandQueue) -> Vec<Self> {
        let Some(own) = queue.membership() else { return vec![Self::of(queue)] };
        let monitors = own.peers.monitors().into_iter().take(own.workers());
        monitors.map(|(monitor, _)| Self::of_loop(monitor, queue.now())).collect()
    }

    fn of_loop(monitor: &Monitor, now: Instant) -> Self {
        let turns = &monitor.turns;
        Self {
            status: monitor.status(),
            lag: turns.lag(now),
            longest_turn: turns.longest_recent(now),
            broker: None,
        }
    }

    /// Returns the health of two loops of a pool together.
    fn and(self, other: Self) -> Self {
        Self {
            status: self.status.and(other.status),
            lag: self.lag.max(other.lag),
            longest_turn: self.longest_turn.max(other.longest_turn),
            broker: self.broker.max(other.broker),
        }
    }

    /// Returns whether the loop runs, and the current turn has lasted for less than `limit`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::{Response, Sender};
    ///
    /// /// The response for a load balancer. `main` is a sender of another loop, which serves the clients.
    /// fn check(main: &Sender) -> Response {
    ///     let health = main.health();
    ///     match health.is_responsive(Duration::from_secs(1)) {
    ///         true => Response::new(200, "OK", health.to_string().into()),
    ///         false => Response::new(503, "Service Unavailable", health.to_string().into()),
    ///     }
    /// }
    /// ```
    pub fn is_responsive(&self, limit: Duration) -> bool {
        self.status == LoopStatus::Running && self.lag < limit
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = match self.status {
            LoopStatus::Idle => "idle",
            LoopStatus::Running => "running",
            LoopStatus::Draining => "draining",
            LoopStatus::ShuttingDown => "shutting down",
            LoopStatus::Ended => "ended",
        };
        let (lag, longest) = (self.lag.as_secs_f64(), self.longest_turn.as_secs_f64());
        write!(f, "{status}, lag {lag:.3} s, longest turn {longest:.3} s")?;
        match self.broker {
            None => Ok(()),
            Some(BrokerState::Up) => f.write_str(", broker up"),
            Some(BrokerState::Stale) => f.write_str(", broker stale"),
            Some(BrokerState::Down) => f.write_str(", broker down"),
        }
    }
}
