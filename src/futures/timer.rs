//! Timeouts: the protocol has the deadline, and the runtime sleeps until then.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A future that is ready after a duration.
///
/// See the example of [`Timer`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A function that sleeps, which depends on the runtime. Without a timer there are no timeouts.
///
/// # Examples
///
/// ```
/// use sockeye::futures::{Builder, Timer};
///
/// # mod async_io {
/// #     pub struct Timer;
/// #     impl Timer { pub async fn after(_: std::time::Duration) {} }
/// # }
/// // The crate `async-io` belongs to the runtime `smol`.
/// let timer = Timer::new(|duration| async move {
///     async_io::Timer::after(duration).await;
/// });
/// let builder = Builder::new().timer(timer);
/// ```
#[derive(Clone)]
pub struct Timer(Arc<dyn Fn(Duration) -> Sleep + Send + Sync>);

impl Timer {
    /// Creates a timer from a function that sleeps for a duration.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new<F, S>(sleep: F) -> Self
    where
        F: Fn(Duration) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |duration| Box::pin(sleep(duration))))
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        (self.0)(duration)
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

/// Wakes a connection when its deadline has passed.
pub(super) struct DeadlineTimer {
    timer: Option<Timer>,
    armed: Option<(Instant, Sleep)>,
}

impl DeadlineTimer {
    pub(super) fn new(timer: Option<Timer>) -> Self {
        Self { timer, armed: None }
    }

    /// Waits for the deadline, and returns once it has passed.
    ///
    /// If a deadline moves back, as that of the idle timeout does with every byte, the sleep continues unchanged. After it
    /// the next one begins.
    pub(super) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.armed = None;
            return Poll::Pending;
        };
        loop {
            let now = Instant::now();
            if deadline <= now {
                return Poll::Ready(());
            }
            let Some(timer) = &self.timer else { return Poll::Pending };
            if self.armed.as_ref().is_none_or(|(at, _)| *at > deadline) {
                self.armed = Some((deadline, timer.sleep(deadline - now)));
            }
            let Some((_, sleep)) = &mut self.armed else { return Poll::Pending };
            ready!(sleep.as_mut().poll(cx));
            self.armed = None;
        }
    }
}
