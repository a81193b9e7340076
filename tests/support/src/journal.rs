//! The calls of the handlers and the factory of a loop, in order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sockeye::util::Timeout;
use sockeye::{CloseCode, Message, OpCode};

use crate::LIMIT;

/// One call of a hook.
#[derive(Debug, Clone)]
pub enum Hook {
    /// The factory has created the handler.
    Made,
    Build(String),
    Request(String),
    Response(u16),
    Rejected(u16),
    Open(Option<String>),
    Frame(OpCode),
    Message(Message),
    SendFrame(OpCode),
    Drain,
    NewTimeout(usize, Timeout),
    Timeout(usize),
    Close(CloseCode, String),
    Error(String),
    Shutdown,
    /// The handler was returned to the factory.
    Lost,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made => f.write_str("made"),
            Self::Build(resource) => write!(f, "build {resource}"),
            Self::Request(request) => write!(f, "request {request}"),
            Self::Response(status) => write!(f, "response {status}"),
            Self::Rejected(status) => write!(f, "rejected {status}"),
            Self::Open(_) => f.write_str("open"),
            Self::Frame(opcode) => write!(f, "frame {opcode}"),
            Self::Message(message) if message.len() > 64 => write!(f, "message of {}", message.len()),
            Self::Message(message) => write!(f, "message {message}"),
            Self::SendFrame(opcode) => write!(f, "send {opcode}"),
            Self::Drain => f.write_str("drain"),
            Self::NewTimeout(token, _) => write!(f, "new timeout {token}"),
            Self::Timeout(token) => write!(f, "timeout {token}"),
            Self::Close(code, reason) if reason.is_empty() => write!(f, "close {}", u16::from(*code)),
            Self::Close(code, reason) => write!(f, "close {} {reason}", u16::from(*code)),
            Self::Error(kind) => write!(f, "error {kind}"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Lost => f.write_str("lost"),
        }
    }
}

/// A call, with its connection and time.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: u32,
    pub hook: Hook,
    pub at: Instant,
}

/// All calls of a loop. A test can wait for them.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    shared: Arc<(Mutex<Vec<Entry>>, Condvar)>,
}

impl Journal {
    pub fn note(&self, id: u32, hook: Hook) {
        self.entries().push(Entry { id, hook, at: Instant::now() });
        self.shared.1.notify_all();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `find` returns a value, and returns it.
    pub fn wait<T>(&self, what: &str, find: impl Fn(&[Entry]) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        let mut entries = self.entries();
        loop {
            if let Some(found) = find(&entries) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "still waiting for {what}:\n{}", join_entries(&entries, |_| true));
            entries = self.shared.1.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a hook has been called this many times on all connections. `hook` is the output of its `Display`.
    pub fn wait_for(&self, hook: &str, count: usize) {
        self.wait(&format!("{count} times `{hook}`"), |entries| {
            (count_of(entries, hook) >= count).then_some(())
        });
    }

    /// Waits until the handler of a connection has been returned to the factory, and returns [`story`](Self::story).
    pub fn story_of_lost(&self, id: u32) -> String {
        self.wait(&format!("the loss of {id}"), |entries| {
            entries.iter().any(|it| it.id == id && matches!(it.hook, Hook::Lost)).then_some(())
        });
        self.story(id)
    }

    /// Returns the calls of a connection, without those for frames.
    pub fn story(&self, id: u32) -> String {
        join_entries(&self.entries(), |it| {
            it.id == id && !matches!(it.hook, Hook::Frame(_) | Hook::SendFrame(_))
        })
    }

    /// Returns all calls of a connection, including those for frames.
    pub fn full_story(&self, id: u32) -> String {
        join_entries(&self.entries(), |it| it.id == id)
    }

    pub fn count(&self, hook: &str) -> usize {
        count_of(&self.entries(), hook)
    }

    pub fn all(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// Waits for the first call of a hook, and returns its time.
    pub fn time_of(&self, hook: &str) -> Instant {
        self.wait(hook, |entries| entries.iter().find(|it| it.hook.to_string() == hook).map(|it| it.at))
    }

    /// Asserts that no hook is called within `span`.
    pub fn stays_silent(&self, span: Duration) {
        let entries = self.entries();
        let before = entries.len();
        let (entries, _) = self
            .shared
            .1
            .wait_timeout_while(entries, span, |entries| entries.len() == before)
            .unwrap_or_else(PoisonError::into_inner);
        assert_eq!(entries.len(), before, "{}", join_entries(&entries, |_| true));
    }

    /// Asserts that every handler was created once and returned to the factory once, that every `on_open` was followed
    /// by one `on_close`, and that there was no `on_close` without `on_open`.
    pub fn assert_balanced(&self) {
        let mut stories: BTreeMap<u32, Vec<Hook>> = BTreeMap::new();
        for entry in self.all() {
            stories.entry(entry.id).or_default().push(entry.hook);
        }
        for (id, hooks) in stories {
            let place = |wanted: fn(&Hook) -> bool| -> Vec<usize> {
                hooks.iter().enumerate().filter(|(_, hook)| wanted(hook)).map(|(at, _)| at).collect()
            };
            let opened = place(|hook| matches!(hook, Hook::Open(_)));
            let closed = place(|hook| matches!(hook, Hook::Close(..)));
            let story = self.full_story(id);
            assert_eq!(place(|hook| matches!(hook, Hook::Made)), [0], "{id}: {story}");
            assert_eq!(place(|hook| matches!(hook, Hook::Lost)), [hooks.len() - 1], "{id}: {story}");
            assert!(opened.len() <= 1 && opened.len() == closed.len() && opened <= closed, "{id}: {story}");
        }
    }
}

fn count_of(entries: &[Entry], hook: &str) -> usize {
    entries.iter().filter(|it| it.hook.to_string() == hook).count()
}

fn join_entries(entries: &[Entry], is_included: impl Fn(&Entry) -> bool) -> String {
    let rx: Vec<String> = entries.iter().filter(|it| is_included(it)).map(|it| it.hook.to_string()).collect();
    rx.join(", ")
}
