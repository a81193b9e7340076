//! The operations of `script.lua`, with types.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use redis::{Client, Connection, FromRedisValue, RedisError};
use serde_json::Value;

use super::ConnectionId;
use crate::input::{RoomName, SessionKey, UserName};
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES, MAX_ROOMS, MAX_ROOMS_PER_USER, MAX_USERS};
use crate::protocol::Rejection;
use crate::rooms::PERMANENT_ROOMS;

const SCRIPT: &str = include_str!("script.lua");
/// How long Redis may take. The requests of this node wait for as long.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to Redis, with the lease of this node. The users of a node whose lease has ended are removed by the other nodes.
pub(super) struct Database {
    connection: Connection,
    lease: String,
    lease_millis: u64,
    /// Changes when Redis has lost its data.
    pub(super) run: String,
    /// The number of the last change that [`changes`](Self::changes) has returned.
    last_change: u64,
}

/// Why an operation has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Rejected(Rejection),
    /// The user has another connection, which may belong to another node.
    Replaced,
    /// The users of this node have been removed.
    LeaseEnded,
    /// Whether the operation was executed is not known.
    Unreachable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => write!(f, "{rejection:?}"),
            Self::Replaced => f.write_str("the user has another connection"),
            Self::LeaseEnded => f.write_str("the lease of this node has ended"),
            Self::Unreachable(reason) => f.write_str(reason),
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some("TAKEN") => Self::Rejected(Rejection::NAME_TAKEN),
            Some("FULL") => Self::Rejected(Rejection::CHAT_FULL),
            Some("ROOMS") => Self::Rejected(Rejection::TOO_MANY_ROOMS_OF_USER),
            Some("ALLROOMS") => Self::Rejected(Rejection::TOO_MANY_ROOMS),
            Some("REPLACED") => Self::Replaced,
            Some("LEASE") => Self::LeaseEnded,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// A user who has joined or left a room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: String,
    pub(super) room: RoomName,
    pub(super) user: String,
    pub(super) number: u64,
    /// How many users are in the room now.
    pub(super) users: usize,
    /// The number of the last message in the room.
    pub(super) last_message: u64,
}

/// A user of this node.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) connection: ConnectionId,
    pub(super) key: SessionKey,
    pub(super) name: UserName,
}

/// Connections without a user.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// Their users have another connection.
    pub(super) replaced: Vec<ConnectionId>,
    /// Their users have left on another connection, or Redis has evicted them.
    pub(super) gone: Vec<ConnectionId>,
}

/// The number of the last change, and the rooms with their numbers of users.
#[derive(Debug)]
pub(super) struct RoomCounts {
    pub(super) number: u64,
    pub(super) rooms: Vec<(RoomName, usize)>,
}

/// What a user who joins a room receives.
#[derive(Debug)]
pub(super) struct RoomContents {
    pub(super) number: u64,
    pub(super) users: Vec<String>,
    /// The events of the last messages.
    pub(super) history: Vec<String>,
}

impl Database {
    /// Connects, and begins a lease.
    pub(super) fn connect(client: &Client, lease_time: Duration) -> Result<Self> {
        let connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        let lease_millis = u64::try_from(lease_time.as_millis()).unwrap_or(u64::MAX);
        let mut database =
            Self { connection, lease: String::new(), lease_millis, run: String::new(), last_change: 0 };
        database.begin_lease()?;
        Ok(database)
    }

    /// Begins another lease. Users who are not entered again disappear with the old one.
    pub(super) fn begin_lease(&mut self) -> Result<()> {
        self.lease = random();
        let (millis, run) = (self.lease_millis.to_string(), random());
        let (run, number): (String, String) =
            self.execute("register", &[&[millis.as_str(), &run], &PERMANENT_ROOMS[..]].concat())?;
        self.run = run;
        if self.last_change == 0 {
            self.last_change = parse_number(&number)?;
        }
        Ok(())
    }

    /// Continues the lease, and removes the users of failed nodes. Returns the connections that have no user any more.
    pub(super) fn renew<'a>(&mut self, users: impl Iterator<Item = &'a Identity>) -> Result<Ended> {
        let mut arguments = vec![self.lease_millis.to_string()];
        for user in users {
            arguments.extend([user.connection.0.clone(), user.key.as_str().to_owned()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (replaced, gone): (Vec<String>, Vec<String>) = self.execute("renew", &arguments)?;
        let ids = |ids: Vec<String>| ids.into_iter().map(ConnectionId).collect();
        Ok(Ended { replaced: ids(replaced), gone: ids(gone) })
    }

    /// Returns the users of all nodes who have joined or left since the last call.
    pub(super) fn changes(&mut self) -> Result<Vec<Change>> {
        let changes: Vec<String> = self.execute("changes", &[&self.last_change.to_string()])?;
        let changes = changes.iter().map(|change| Change::parse(change)).collect::<Result<Vec<_>>>()?;
        self.last_change = changes.last().map_or(self.last_change, |change| change.number);
        Ok(changes)
    }

    /// Adds a user with a new connection, which replaces the one with the same key.
    pub(super) fn enter(&mut self, user: &Identity) -> Result<RoomCounts> {
        self.store_user(user, "new", &BTreeSet::new())
    }

    /// Adds a user who was there before the lease began, or before Redis lost its data.
    pub(super) fn restore(&mut self, user: &Identity, rooms: &BTreeSet<RoomName>) -> Result<RoomCounts> {
        self.store_user(user, "before", rooms)
    }

    fn store_user(&mut self, user: &Identity, when: &str, rooms: &BTreeSet<RoomName>) -> Result<RoomCounts> {
        let [first, second] = user.name.skeletons();
        let (first, second) = (format!("1{first}"), format!("2{second}"));
        let (connection, key, name) = (user.connection.0.as_str(), user.key.as_str(), user.name.as_str());
        let max_users = MAX_USERS.to_string();
        let mut arguments = vec![when, connection, key, name, &first, &second, &max_users];
        arguments.extend(rooms.iter().map(RoomName::as_str));
        let (number, rooms): (String, Vec<Vec<String>>) = self.execute("enter", &arguments)?;
        parse_counts(&number, rooms)
    }

    pub(super) fn remove(&mut self, user: &Identity) -> Result<()> {
        self.execute("remove", &[&user.connection.0, user.key.as_str()])
    }

    /// Adds a user to a room, unless the user is in it already.
    pub(super) fn join(&mut self, user: &Identity, room: &RoomName) -> Result<RoomContents> {
        let (max_rooms, max_of_user) = (MAX_ROOMS.to_string(), MAX_ROOMS_PER_USER.to_string());
        let arguments =
            [user.connection.0.as_str(), user.key.as_str(), room.as_str(), &max_rooms, &max_of_user];
        let (number, users, history): (String, Vec<String>, Vec<String>) =
            self.execute("join", &arguments)?;
        Ok(RoomContents { number: parse_number(&number)?, users, history })
    }

    pub(super) fn leave(&mut self, user: &Identity, room: &RoomName) -> Result<()> {
        self.execute("leave", &[user.connection.0.as_str(), user.key.as_str(), room.as_str()])
    }

    /// Stores a message, and returns its event. A message with the same key and reference is stored once.
    pub(super) fn send(
        &mut self,
        key: &SessionKey,
        reference: &str,
        room: &RoomName,
        message: &Value,
    ) -> Result<String> {
        let event = message.to_string();
        let fields = event.strip_prefix('{').unwrap_or_default();
        let limits = [MAX_HISTORY_MESSAGES.to_string(), MAX_HISTORY_BYTES.to_string()];
        self.execute("send", &[key.as_str(), reference, room.as_str(), fields, &limits[0], &limits[1]])
    }

    fn execute<T: FromRedisValue>(&mut self, operation: &str, arguments: &[&str]) -> Result<T> {
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(0).arg(operation).arg(&self.lease).arg(arguments);
        Ok(command.query(&mut self.connection)?)
    }
}

/// Returns a text that no other node chooses.
pub(super) fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn parse_number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| malformed())
}

impl Change {
    fn parse(json: &str) -> Result<Self> {
        let [kind, room, user, number, users, last_message]: [String; 6] =
            serde_json::from_str(json).map_err(|_| malformed())?;
        let room = RoomName::parse(&room).map_err(|_| malformed())?;
        let users = users.parse().map_err(|_| malformed())?;
        let (number, last_message) = (parse_number(&number)?, parse_number(&last_message)?);
        Ok(Self { kind, room, user, number, users, last_message })
    }
}

/// The permanent rooms are always part of the list.
fn parse_counts(number: &str, rooms: Vec<Vec<String>>) -> Result<RoomCounts> {
    let mut counts = Vec::new();
    for room in rooms {
        let [room, users]: [String; 2] = room.try_into().map_err(|_| malformed())?;
        let room = RoomName::parse(&room).map_err(|_| malformed())?;
        counts.push((room, users.parse().map_err(|_| malformed())?));
    }
    for room in PERMANENT_ROOMS.iter().filter_map(|room| RoomName::parse(room).ok()) {
        if !counts.iter().any(|(other, _)| *other == room) {
            counts.push((room, 0));
        }
    }
    Ok(RoomCounts { number: parse_number(number)?, rooms: counts })
}

fn malformed() -> Failure {
    Failure::Unreachable("Redis contains values of another program".to_owned())
}
