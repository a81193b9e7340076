//! The broadcast of the async servers. As in the chat example of tokio-tungstenite, all connections share a map with a
//! channel for each connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

/// All connections. `M` is the message type of the library.
pub(crate) struct Hall<M>(Arc<Mutex<Guests<M>>>);

struct Guests<M> {
    count: u64,
    doors: HashMap<u64, UnboundedSender<M>>,
}

impl<M> Clone for Hall<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Clone> Hall<M> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Guests { count: 0, doors: HashMap::new() })))
    }

    /// Adds a connection. Returns its number, and a receiver for all further messages.
    pub(crate) fn enter(&self) -> (u64, UnboundedReceiver<M>) {
        let (sender, receiver) = unbounded();
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.count += 1;
        let number = guests.count;
        guests.doors.insert(number, sender);
        (number, receiver)
    }

    /// Sends a message to all connections, including its sender.
    pub(crate) fn say(&self, message: &M) {
        let guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for door in guests.doors.values() {
            // Sending fails if the connection has just been closed.
            let _ = door.unbounded_send(message.clone());
        }
    }

    pub(crate) fn leave(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).doors.remove(&number);
    }
}
