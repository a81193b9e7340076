//! Where the rooms are: in this process, or in Redis for all nodes of a cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye::Sender;

use crate::protocol::{self, Rejection, Request};
use crate::rooms::{Rooms, User};

/// The rooms that connections share.
pub(crate) trait Store: Send + Sync {
    /// Returns the session of a new connection.
    fn open_session(&self, out: Sender) -> Box<dyn Session>;
}

/// What a store knows of one connection. The user leaves the chat when it is dropped.
pub(crate) trait Session: Send {
    /// Executes a request. A store that has to wait sends the answer later.
    fn execute(&mut self, request: Request) -> Result<(), Rejection>;

    /// Returns whether the connection has a user.
    fn has_entered(&self) -> bool;

    /// Sends what the connection may have missed of a topic.
    fn resend(&mut self, topic: &str);
}

/// The rooms of a single process.
pub(crate) struct LocalStore(pub(crate) Arc<Mutex<Rooms>>);

impl Store for LocalStore {
    fn open_session(&self, out: Sender) -> Box<dyn Session> {
        Box::new(LocalSession { out, rooms: Arc::clone(&self.0), user: None })
    }
}

struct LocalSession {
    out: Sender,
    rooms: Arc<Mutex<Rooms>>,
    /// `None` until the page has sent a user name.
    user: Option<Arc<User>>,
}

impl LocalSession {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session for LocalSession {
    fn execute(&mut self, request: Request) -> Result<(), Rejection> {
        match (&self.user, request) {
            (None, Request::Enter { name, key }) => {
                let user = self.rooms().enter(name, key, self.out.clone())?;
                self.user = Some(user);
                Ok(())
            }
            (Some(user), Request::Join { room }) => self.rooms().join(user, &room),
            (Some(user), Request::Leave { room }) => self.rooms().leave(user, &room),
            (Some(user), Request::Send { room, text, reference }) => {
                self.rooms().send(user, &room, &text, &reference)
            }
            (_, Request::Ping) => Ok(self.out.send(protocol::PONG)?),
            _ => Err(Rejection::OUT_OF_ORDER),
        }
    }

    fn has_entered(&self) -> bool {
        self.user.is_some()
    }

    /// Without other nodes, nothing is missed.
    fn resend(&mut self, _: &str) {}
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        if let Some(user) = self.user.take() {
            self.rooms().remove_user(&user);
        }
    }
}
