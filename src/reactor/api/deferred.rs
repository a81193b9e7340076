//! Responses that follow after `on_request` has returned.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::error;

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::Response;
use crate::reactor::queue::{CommandQueue, QueuedCommand, SharedCommand, Target, disconnected};

/// Answers a request later, from any thread.
///
/// [`Sender::defer`](crate::Sender::defer) returns one while [`Handler::on_request`](crate::Handler::on_request) runs, and `on_request`
/// then returns [`Response::deferred`]. The loop serves other connections meanwhile. Nothing is read from the connection until it has
/// its response.
///
/// If the value is dropped without a response, the client receives 503. The opening handshake still has to be complete within
/// [`Settings::handshake_timeout`](crate::Settings::handshake_timeout). After that, the client receives 503 as well, and
/// [`respond`](Self::respond) returns an error.
///
/// # Examples
///
/// A thread looks up the user, so that a slow database does not stop the loop:
///
/// ```no_run
/// use std::thread;
///
/// use sockeye::{Handler, Handshake, Message, Request, Response, Result, Sender, listen};
///
/// struct User {
///     name: String,
/// }
///
/// struct Session {
///     out: Sender,
///     name: String,
/// }
///
/// impl Handler for Session {
///     fn on_request(&mut self, req: &Request) -> Result<Response> {
///         let (later, req) = (self.out.defer()?, req.clone());
///         thread::spawn(move || {
///             let response = match find_user(&req) {
///                 Some(user) => Response::from_request(&req).map(|response| response.with_data(user)),
///                 None => Ok(Response::new(401, "Unauthorized", Vec::new())),
///             };
///             // An error means that the client has left.
///             let _ = response.and_then(|response| later.respond(response));
///         });
///         Ok(Response::deferred())
///     }
///
///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
///         self.name = shake.response.data::<User>().map_or_else(String::new, |user| user.name.clone());
///         Ok(())
///     }
///
///     fn on_message(&mut self, msg: Message) -> Result<()> {
///         self.out.broadcast(format!("{}: {msg}", self.name))
///     }
/// }
///
/// fn find_user(req: &Request) -> Option<User> {
///     // Ask a database about this token.
///     let token = req.header("Authorization")?;
///     Some(User { name: String::from_utf8_lossy(token).into_owned() })
/// }
///
/// fn main() -> Result<()> {
///     listen("127.0.0.1:3012", |out| Session { out, name: String::new() })
/// }
/// ```
#[derive(Debug)]
#[must_use = "the client receives 503 when it is dropped"]
pub struct DeferredResponse(Arc<Shared>);

impl DeferredResponse {
    /// Answers the request. As in `on_request`, status 101 opens the connection, and any other status ends it.
    ///
    /// # Errors
    ///
    /// `Queue(Disconnected)` if the client has left, its time is over, or the loop has ended.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn respond(self, response: Response) -> Result<()> {
        self.0.answer(response)
    }

    /// Returns whether the response is not needed any more: the client has left, its time is over, or the loop has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::{DeferredResponse, Request, Response, Result};
    ///
    /// fn wait_for_place(later: DeferredResponse, req: &Request, has_place: impl Fn() -> bool) -> Result<()> {
    ///     while !later.is_canceled() {
    ///         if has_place() {
    ///             return later.respond(Response::from_request(req)?);
    ///         }
    ///         std::thread::sleep(Duration::from_millis(100));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn is_canceled(&self) -> bool {
        matches!(*self.0.lock(), State::Over)
    }

    /// Calls `callback` when the response is not needed any more, for example to cancel a query. It is called at once if that is
    /// already the case, and otherwise on the thread of the loop, so it must not block. It is not called after a response.
    ///
    /// A second callback replaces the first one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::Sender;
    ///
    /// use sockeye::DeferredResponse;
    ///
    /// fn cancel_query(later: &DeferredResponse, number: u64, canceled: Sender<u64>) {
    ///     later.on_cancel(move || drop(canceled.send(number)));
    /// }
    /// ```
    pub fn on_cancel<F: FnOnce() + Send + 'static>(&self, callback: F) {
        if let State::Waiting(on_cancel) = &mut *self.0.lock() {
            *on_cancel = Some(Box::new(callback));
            return;
        }
        callback();
    }
}

impl Drop for DeferredResponse {
    fn drop(&mut self) {
        // After `respond`, this does nothing.
        let _ = self.0.answer(Response::unavailable());
    }
}

/// What the program and the connection share.
pub(crate) struct Shared {
    queue: Arc<CommandQueue>,
    target: Target,
    state: Mutex<State>,
}

enum State {
    Waiting(Option<Box<dyn FnOnce() + Send>>),
    Answered(Box<Response>),
    Over,
}

impl Shared {
    fn answer(&self, response: Response) -> Result<()> {
        match &mut *self.lock() {
            state @ State::Waiting(_) => *state = State::Answered(Box::new(response)),
            _ => return Err(disconnected()),
        }
        let command = SharedCommand::Answer.into();
        Ok(self.queue.push(QueuedCommand { target: self.target, command })?)
    }

    /// Returns the last state.
    fn end(&self) -> State {
        std::mem::replace(&mut *self.lock(), State::Over)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The half of the connection. When it is dropped, the response is not needed any more.
#[derive(Debug)]
pub(crate) struct Deferral(Arc<Shared>);

impl Deferral {
    /// Returns the response, if there is one.
    pub(crate) fn take_response(&self) -> Option<Response> {
        match self.0.end() {
            State::Answered(response) => Some(*response),
            _ => None,
        }
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        if let State::Waiting(Some(callback)) = self.0.end()
            && catch_unwind(AssertUnwindSafe(callback)).is_err()
        {
            error!("the callback of a deferred response has panicked");
        }
    }
}

thread_local! {
    /// The connection whose `on_request` runs on this thread, and what it has deferred.
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

struct Asked {
    queue: *const CommandQueue,
    target: Target,
    deferred: Option<Arc<Shared>>,
}

/// Ends the call of `on_request`, also if it panics. Calls can be nested, because a handler can run another loop.
struct EndOfCall(Option<Asked>);

impl Drop for EndOfCall {
    fn drop(&mut self) {
        ASKED.set(self.0.take());
    }
}

/// Calls `on_request` of a connection. Returns what it has deferred.
pub(crate) fn asking(
    queue: *const CommandQueue,
    target: Target,
    on_request: impl FnOnce(),
) -> Option<Deferral> {
    let _end = EndOfCall(ASKED.replace(Some(Asked { queue, target, deferred: None })));
    on_request();
    ASKED.take().and_then(|asked| asked.deferred).map(Deferral)
}

/// Defers the response of the connection whose `on_request` runs.
pub(super) fn defer(queue: &Arc<CommandQueue>, target: Target) -> Result<DeferredResponse> {
    ASKED.with_borrow_mut(|asked| match asked {
        Some(asked) if asked.queue == Arc::as_ptr(queue) && asked.target == target => {
            if asked.deferred.is_some() {
                return Err(Error::new(ErrorKind::Internal, "the response is deferred already"));
            }
            let state = Mutex::new(State::Waiting(None));
            let shared = Arc::new(Shared { queue: Arc::clone(queue), target, state });
            asked.deferred = Some(Arc::clone(&shared));
            Ok(DeferredResponse(shared))
        }
        _ => Err(Error::new(
            ErrorKind::Internal,
            "a response can be deferred only while `on_request` of its connection runs",
        )),
    })
}
