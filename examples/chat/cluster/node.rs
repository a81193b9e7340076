//! The thread of a node: its users, their requests, and what waits for Redis.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use sockeye::CloseCode;

use super::database::{Database, Failure, Identity, Result, RoomCounts};
use super::link::Link;
use super::publisher::Publisher;
use super::unsent::{Unsent, UnsentQueue};
use super::{Client, Command, ConnectionId};
use crate::input::{RoomName, SessionKey, Text, UserName};
use crate::protocol::{self, Rejection, Request};
use crate::rooms::{ALL_USERS, REPLACED};

/// The time between two renewals of the lease.
const TICK: Duration = Duration::from_secs(1);

/// A user of this node.
struct Member {
    client: Client,
    identity: Identity,
    rooms: BTreeSet<RoomName>,
}

/// The state of the thread.
pub(super) struct Node {
    commands: Receiver<Command>,
    link: Link,
    publisher: Publisher,
    members: HashMap<ConnectionId, Member>,
    unsent: UnsentQueue,
}

impl Node {
    pub(super) fn new(link: Link, commands: Receiver<Command>, publisher: Publisher) -> Self {
        Self { commands, link, publisher, members: HashMap::new(), unsent: UnsentQueue::default() }
    }

    pub(super) fn run(mut self) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match self.commands.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = Instant::now() + TICK;
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Execute(client, request) => self.execute(&client, request),
            Command::Resend(client, topic) => self.resend(&client, &topic),
            Command::Closed(id) => self.closed(&id),
            Command::Connected(database) => {
                log::info!("connected to Redis again");
                self.link.connected(database);
                self.restore();
            }
            Command::NotConnected(failure) => {
                log::info!("Redis: {failure}");
                self.link.not_connected();
            }
            Command::Stop => {}
        }
    }

    /// Executes a request, and rejects it if that fails.
    fn execute(&mut self, client: &Client, request: Request) {
        let (kind, reference) = (request.kind(), request.reference().to_owned());
        let result = match request {
            Request::Enter { name, key } => self.enter(client, name, key),
            Request::Join { room } => self.join(client, &room),
            Request::Leave { room } => self.leave(client, &room),
            Request::Send { room, text, reference } => self.send(client, room, &text, reference),
            Request::Ping => client.out.send(protocol::PONG).map_err(|error| Rejection::from(error).into()),
        };
        match result {
            Ok(()) => {}
            Err(Failure::Rejected(rejection)) => send(client, rejection.event(kind, &reference)),
            Err(Failure::Replaced) => self.replaced(&client.id),
            Err(Failure::LeaseEnded | Failure::Unreachable(_)) => {
                send(client, Rejection::UNREACHABLE.event(kind, &reference));
            }
        }
    }

    /// Adds a user. While Redis is not reachable, the page must try again, because the name could be in use.
    fn enter(&mut self, client: &Client, name: UserName, key: SessionKey) -> Result<()> {
        if self.members.contains_key(&client.id) {
            return Err(Failure::Rejected(Rejection::OUT_OF_ORDER));
        }
        let identity = Identity { connection: client.id.clone(), key, name };
        let counts = match self.with_lease(|database| database.enter(&identity)) {
            Err(Failure::LeaseEnded | Failure::Unreachable(_)) => {
                let reason = "the other servers cannot be reached";
                let _ = client.out.close_with_reason(CloseCode::Again, reason);
                return Ok(());
            }
            result => result?,
        };
        let old = self.members.values().find(|member| member.identity.key == identity.key);
        if let Some(old) = old.map(|member| member.client.id.clone()) {
            self.replaced(&old);
        }
        let member = Member { client: client.clone(), identity, rooms: BTreeSet::new() };
        self.welcome(&member, &counts);
        let _ = client.out.subscribe(ALL_USERS);
        client.has_entered.store(true, Ordering::Relaxed);
        self.members.insert(client.id.clone(), member);
        self.publish_changes();
        Ok(())
    }

    fn welcome(&self, member: &Member, counts: &RoomCounts) {
        let rooms = counts.rooms.iter().map(|(room, users)| (room, *users));
        let name = &member.identity.name;
        send(&member.client, protocol::welcome(name, self.link.run(), counts.number, rooms));
        if !self.publisher.is_reachable() {
            send(&member.client, protocol::servers(false));
        }
    }

    /// Adds a user to a room. For a user who is in the room already, this sends its users and its history again.
    fn join(&mut self, client: &Client, room: &RoomName) -> Result<()> {
        let member = self.member(client)?;
        let (identity, is_new) = (member.identity.clone(), !member.rooms.contains(room));
        // Before the history is read: what is published later arrives, or the library reports a gap.
        client.out.subscribe(room.topic()).map_err(Rejection::from)?;
        let contents = match self.with_lease(|database| database.join(&identity, room)) {
            // Everything is sent again when Redis is back, or with the next lease.
            Err(Failure::Unreachable(_) | Failure::LeaseEnded) if !is_new => return Ok(()),
            Err(failure) => {
                if is_new {
                    let _ = client.out.unsubscribe(room.topic());
                }
                return Err(failure);
            }
            Ok(contents) => contents,
        };
        if let Some(member) = self.members.get_mut(&client.id) {
            member.rooms.insert(room.clone());
        }
        let (users, history) = (contents.users.iter(), contents.history.iter());
        let (users, history) = (users.map(String::as_str), history.map(String::as_str));
        send(client, protocol::joined(room, contents.number, users, history));
        self.publish_changes();
        Ok(())
    }

    /// Removes a user from a room. While Redis is not reachable, the other nodes learn it later.
    fn leave(&mut self, client: &Client, room: &RoomName) -> Result<()> {
        self.member_in(client, room)?;
        let Some(member) = self.members.get_mut(&client.id) else { return Ok(()) };
        member.rooms.remove(room);
        let identity = member.identity.clone();
        let _ = client.out.unsubscribe(room.topic());
        send(client, protocol::left(room));
        match self.with_lease(|database| database.leave(&identity, room)) {
            Err(Failure::Unreachable(_)) => Ok(()),
            result => result.map(|()| self.publish_changes()),
        }
    }

    /// Stores and publishes a message. While Redis is not reachable, only the users of this node receive it at once.
    fn send(&mut self, client: &Client, room: RoomName, text: &Text, reference: String) -> Result<()> {
        let member = self.member_in(client, &room)?;
        let message = protocol::unnumbered_message(&room, &member.identity.name, text, &reference);
        let unsent = Unsent { key: member.identity.key.clone(), reference, room, message };
        if self.unsent.is_empty() {
            match self.with_lease(|database| unsent.store(database)) {
                Ok(event) => {
                    self.publisher.message(&unsent.room, event);
                    return Ok(());
                }
                Err(Failure::Unreachable(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        if self.unsent.is_full() {
            return Err(Failure::Rejected(Rejection::UNREACHABLE));
        }
        self.publisher.unnumbered_message(&unsent.room, unsent.unnumbered());
        self.unsent.push(unsent);
        Ok(())
    }

    /// Sends the history of a room of which the connection may have missed messages.
    fn resend(&mut self, client: &Client, topic: &str) {
        let rooms = self.members.get(&client.id).map(|member| &member.rooms);
        let room = rooms.and_then(|rooms| rooms.iter().find(|room| room.topic() == topic)).cloned();
        if let Some(room) = room {
            self.execute(client, Request::Join { room });
        }
    }

    /// A connection of this node has been closed.
    fn closed(&mut self, id: &ConnectionId) {
        let Some(member) = self.members.remove(id) else { return };
        // If this fails, the user is not part of the next lease.
        if self.with_lease(|database| database.remove(&member.identity)).is_ok() {
            self.publish_changes();
        }
    }

    /// The user of a connection has another one.
    fn replaced(&mut self, id: &ConnectionId) {
        if let Some(member) = self.members.remove(id) {
            let _ = member.client.out.close_with_reason(CloseCode::from(REPLACED), "opened elsewhere");
        }
    }

    /// Redis does not know the user of a connection. If the page is still there, it enters again.
    fn gone(&mut self, id: &ConnectionId) {
        if let Some(member) = self.members.remove(id) {
            let _ = member.client.out.close_with_reason(CloseCode::Again, "your session has ended");
        }
    }

    fn member(&self, client: &Client) -> Result<&Member> {
        self.members.get(&client.id).ok_or(Failure::Rejected(Rejection::OUT_OF_ORDER))
    }

    fn member_in(&self, client: &Client, room: &RoomName) -> Result<&Member> {
        let member = self.member(client)?;
        member.rooms.contains(room).then_some(member).ok_or(Failure::Rejected(Rejection::NOT_IN_ROOM))
    }

    // The lease.

    /// Executes an operation. If the lease has ended, for example because this process was suspended, begins another one first.
    fn with_lease<T>(&mut self, operation: impl Fn(&mut Database) -> Result<T>) -> Result<T> {
        let result = self.link.execute(&operation);
        if !matches!(result, Err(Failure::LeaseEnded)) {
            return result;
        }
        self.link.execute(Database::begin_lease)?;
        self.restore();
        self.link.execute(operation)
    }

    /// Continues the lease, and publishes what has happened on other nodes.
    fn tick(&mut self) {
        self.link.reconnect();
        let identities = self.members.values().map(|member| &member.identity);
        match self.link.execute(|database| database.renew(identities)) {
            Ok(ended) => {
                ended.replaced.iter().for_each(|id| self.replaced(id));
                ended.gone.iter().for_each(|id| self.gone(id));
            }
            Err(Failure::LeaseEnded) => {
                if self.link.execute(Database::begin_lease).is_ok() {
                    self.restore();
                }
            }
            Err(_) => {}
        }
        self.unsent.store(&mut self.link, &self.publisher);
        self.publish_changes();
        self.publisher.reachability(self.link.is_up());
    }

    /// Enters the users of this node again, after Redis has removed or forgotten them. Their pages then join their rooms again, and so
    /// receive what they have missed.
    fn restore(&mut self) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let Some(member) = self.members.get(&id) else { continue };
            match self.link.execute(|database| database.restore(&member.identity, &member.rooms)) {
                Ok(counts) => self.welcome(member, &counts),
                Err(Failure::Replaced) => self.replaced(&id),
                Err(Failure::Rejected(rejection)) => self.expel(&id, rejection),
                // The next renewal tries again.
                Err(Failure::LeaseEnded | Failure::Unreachable(_)) => return,
            }
        }
        self.unsent.store(&mut self.link, &self.publisher);
        self.publish_changes();
    }

    /// Removes a user whose name is now that of someone else. The page shows the reason, and asks for another name.
    fn expel(&mut self, id: &ConnectionId, rejection: Rejection) {
        let Some(member) = self.members.remove(id) else { return };
        for room in &member.rooms {
            let _ = member.client.out.unsubscribe(room.topic());
        }
        let _ = member.client.out.unsubscribe(ALL_USERS);
        member.client.has_entered.store(false, Ordering::Relaxed);
        send(&member.client, rejection.event("enter", ""));
    }

    /// Publishes what has changed since the last call.
    fn publish_changes(&mut self) {
        for change in self.link.execute(Database::changes).unwrap_or_default() {
            self.publisher.change(&change);
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Sends an event to one page. This fails if its connection is closed, which the thread learns separately.
fn send(client: &Client, event: impl Into<sockeye::Message>) {
    let _ = client.out.send(event);
}
