//! An event loop on a separate thread.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::{Builder, ErrorKind, Factory, QueueError, Result, Sender, Settings, WebSocket};

use crate::system::Task;
use crate::{LIMIT, join, listener, wait_until};

/// A loop on a separate thread. Dropping this value shuts the loop down and waits until it has ended.
#[derive(Debug)]
pub struct Server {
    /// The address on which the loop listens. A loop without a listener has the port 0.
    pub addr: SocketAddr,
    /// Sends to all connections.
    pub all: Sender,
    task: Task,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Starts a loop that listens on a port that the system chooses.
    pub fn start<F: Factory + Send + 'static>(settings: Settings, factory: F) -> Self {
        Self::run_with(settings, || factory)
    }

    /// Starts a loop with default settings. The factory is created on the loop's thread, so it does not need to be
    /// `Send`.
    pub fn run<F: Factory>(factory: impl FnOnce() -> F + Send + 'static) -> Self {
        Self::run_with(Settings::default(), factory)
    }

    /// Like [`run`](Self::run), with settings.
    pub fn run_with<F: Factory>(settings: Settings, factory: impl FnOnce() -> F + Send + 'static) -> Self {
        Self::spawn(move || bound(settings, factory()))
    }

    /// Starts the loop that `build` returns on the new thread.
    pub fn spawn<F: Factory>(build: impl FnOnce() -> Result<WebSocket<F>> + Send + 'static) -> Self {
        let (started, start) = channel();
        let thread = thread::spawn(move || {
            let socket = build()?;
            started.send((socket.local_addr().ok(), socket.broadcaster(), Task::current())).ok();
            socket.run().map(drop)
        });
        let Ok((addr, all, task)) = start.recv_timeout(LIMIT) else {
            panic!("the loop does not start: {:?}", join(thread));
        };
        let addr = addr.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Self { addr, all, task, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        self.at("")
    }

    /// Returns the URL of a resource.
    pub fn at(&self, resource: &str) -> String {
        format!("ws://{}{resource}", self.addr)
    }

    /// Returns the thread of the loop.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Asserts that the loop becomes idle: its thread uses almost no processor time for 100 ms. A busy loop uses all
    /// available time.
    pub fn assert_idle(&self) {
        let span = Duration::from_millis(100);
        wait_until("the loop becomes idle", || {
            let before = self.task.time();
            thread::sleep(span);
            assert!(!self.has_ended(), "the loop has ended");
            self.task.time().saturating_sub(before) < span / 20
        });
    }

    /// Returns whether the loop has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the loop ends, without shutting it down, and returns the result of the thread.
    pub fn join(mut self) -> thread::Result<Result<()>> {
        join(self.thread.take().unwrap())
    }

    /// Waits until the loop ends, without shutting it down. A panic of the loop is propagated.
    pub fn wait(self) {
        match self.join() {
            Ok(ended) => ended.unwrap(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Shuts the loop down, and waits until it has ended.
    pub fn stop(self) {
        self.shut_down();
        self.wait();
    }

    fn shut_down(&self) {
        // The test may have filled the queue.
        wait_until("the queue has room", || match self.all.shutdown() {
            Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) => false,
            shutdown => shutdown.is_ok() || panic!("{shutdown:?}"),
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.all.shutdown().ok();
            if !thread::panicking() {
                join(thread).unwrap().unwrap();
            }
        }
    }
}

/// Returns a loop that listens on a port that the system chooses, ready to run.
///
/// # Errors
///
/// Returns an error if the loop cannot be built, or cannot listen.
pub fn bound<F: Factory>(settings: Settings, factory: F) -> Result<WebSocket<F>> {
    Builder::new().with_settings(settings).build(factory)?.bind_listener(listener())
}
