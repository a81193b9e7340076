//! Whether Redis is reachable, and connecting again.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Command;
use super::database::{Database, Failure, Result};

/// Users of a node that has failed disappear after this time, at most a second later.
const LEASE: Duration = Duration::from_secs(5);

/// The connection of a node to Redis, which it can lose.
pub(super) struct Link {
    client: redis::Client,
    commands: mpsc::Sender<Command>,
    database: Option<Box<Database>>,
    is_connecting: bool,
}

impl Link {
    /// Connects for the first time.
    pub(super) fn new(client: redis::Client, commands: mpsc::Sender<Command>) -> Result<Self> {
        let database = Some(Box::new(Database::connect(&client, LEASE)?));
        Ok(Self { client, commands, database, is_connecting: false })
    }

    pub(super) fn is_up(&self) -> bool {
        self.database.is_some()
    }

    /// Returns the run of Redis, or an empty text if it is not reachable.
    pub(super) fn run(&self) -> &str {
        self.database.as_ref().map_or("", |database| &database.run)
    }

    /// Executes an operation. A failed connection is closed, since the reply to the operation could arrive later.
    pub(super) fn execute<T>(&mut self, operation: impl FnOnce(&mut Database) -> Result<T>) -> Result<T> {
        let Some(database) = &mut self.database else {
            return Err(Failure::Unreachable("not connected".to_owned()));
        };
        let result = operation(database);
        if let Err(Failure::Unreachable(reason)) = &result {
            log::warn!("Redis: {reason}");
            self.database = None;
        }
        result
    }

    /// Starts to connect on another thread, which reports the result as a command.
    pub(super) fn reconnect(&mut self) {
        if self.is_up() || self.is_connecting {
            return;
        }
        self.is_connecting = true;
        let (client, commands) = (self.client.clone(), self.commands.clone());
        thread::spawn(move || {
            let command = match Database::connect(&client, LEASE) {
                Ok(database) => Command::Connected(Box::new(database)),
                Err(failure) => Command::NotConnected(failure),
            };
            // Fails only if the program ends.
            let _ = commands.send(command);
        });
    }

    /// Uses the connection that [`reconnect`](Self::reconnect) has opened.
    pub(super) fn connected(&mut self, database: Box<Database>) {
        self.is_connecting = false;
        self.database = Some(database);
    }

    /// Lets [`reconnect`](Self::reconnect) try again.
    pub(super) fn not_connected(&mut self) {
        self.is_connecting = false;
    }

    pub(super) fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }
}
