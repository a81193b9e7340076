//! Tests of the operations on Redis, with a server that they start. They are skipped if it is not installed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ConnectionId;
use super::database::{Change, Database, Ended, Failure, Identity, Result, random};
use super::redis_server::RedisServer;
use crate::input::{RoomName, SessionKey, Text, UserName};
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES, MAX_ROOMS_PER_USER, MAX_USERS};
use crate::protocol::{self, Rejection};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(super) fn identity(name: &str) -> Identity {
    let key = SessionKey::parse(&random()).unwrap();
    Identity { connection: ConnectionId(random()), key, name: UserName::parse(name).unwrap() }
}

/// The same page on another connection.
fn reconnected(user: &Identity) -> Identity {
    Identity { connection: ConnectionId(random()), ..user.clone() }
}

fn send(node: &mut Database, user: &Identity, room: &RoomName, text: &str, reference: &str) -> Value {
    let message = protocol::unnumbered_message(room, &user.name, &Text::parse(text).unwrap(), reference);
    serde_json::from_str(&node.send(&user.key, reference, room, &message).unwrap()).unwrap()
}

/// Removes the users of nodes whose lease has ended.
fn remove_lost(node: &mut Database, lost: &mut Database) {
    while lost.changes().is_ok() {
        node.renew(std::iter::empty()).unwrap();
    }
}

fn described(changes: Result<Vec<Change>>) -> Vec<String> {
    let describe = |change: Change| format!("{} {} {}", change.kind, change.user, change.users);
    changes.unwrap().into_iter().map(describe).collect()
}

const TAKEN: Failure = Failure::Rejected(Rejection::NAME_TAKEN);

#[test]
fn a_name_belongs_to_one_user_of_all_nodes_until_the_user_leaves() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut first, mut second) = (redis.node(), redis.node());
    let ada = identity("Ada");
    first.enter(&ada).unwrap();
    // The second name looks like the first one.
    for name in ["ada", "\u{410}d\u{430}"] {
        assert_eq!(second.enter(&identity(name)).unwrap_err(), TAKEN);
    }
    first.remove(&ada).unwrap();
    second.enter(&identity("ada")).unwrap();
    // The connection of Ada has no user any more, so this has no effect.
    first.remove(&ada).unwrap();
    assert_eq!(first.enter(&identity("ADA")).unwrap_err(), TAKEN);
}

#[test]
fn a_new_connection_with_the_same_key_replaces_the_old_one_on_another_node() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut first, mut second) = (redis.node(), redis.node());
    let (ada, lobby) = (identity("Ada"), room("lobby"));
    let again = reconnected(&ada);
    first.enter(&ada).unwrap();
    first.join(&ada, &lobby).unwrap();
    assert_eq!(first.renew([&ada].into_iter()).unwrap(), Ended::default());
    second.enter(&again).unwrap();
    assert!(first.renew([&ada].into_iter()).unwrap().replaced.contains(&ada.connection));
    assert_eq!(first.join(&ada, &lobby).unwrap_err(), Failure::Replaced);
    // When the old connection ends, the user stays.
    first.remove(&ada).unwrap();
    assert_eq!(first.restore(&ada, &BTreeSet::new()).unwrap_err(), Failure::Replaced);
    assert_eq!(second.join(&again, &lobby).unwrap().users, ["Ada"]);
}

#[test]
fn messages_are_numbered_and_stored_once() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut first, mut second) = (redis.node(), redis.node());
    let (ada, bo, lobby) = (identity("Ada"), identity("Bo"), room("lobby"));
    first.enter(&ada).unwrap();
    second.enter(&bo).unwrap();
    let one = send(&mut first, &ada, &lobby, "one", "r1");
    // Another user has the same reference. Messages of other rooms do not count as predecessors.
    let two = send(&mut second, &bo, &lobby, "two", "r1");
    send(&mut second, &bo, &room("campfire"), "elsewhere", "r2");
    let three = send(&mut first, &ada, &lobby, "three", "r2");
    assert_eq!([&one["prev"], &two["prev"], &three["prev"]], [&json!(0), &one["id"], &two["id"]]);
    assert!(three["id"].as_u64() > two["id"].as_u64() && two["id"].as_u64() > one["id"].as_u64());

    // The page did not receive the confirmation, and sends its message again through another node.
    assert_eq!(send(&mut second, &ada, &lobby, "one", "r1"), one);
    let history = second.join(&bo, &lobby).unwrap().history;
    let history: Vec<Value> = history.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(history, [one, two, three]);
}

#[test]
fn numbers_increase_after_redis_has_lost_its_data() {
    let Some(redis) = RedisServer::start() else { return };
    let mut node = redis.node();
    let (ada, lobby, run) = (identity("Ada"), room("lobby"), node.run.clone());
    node.enter(&ada).unwrap();
    let before = send(&mut node, &ada, &lobby, "before", "r1");
    redis.execute(&["FLUSHALL"]);
    assert_eq!(node.changes().unwrap_err(), Failure::LeaseEnded);
    node.begin_lease().unwrap();
    assert_ne!(node.run, run);
    let after = send(&mut node, &ada, &lobby, "after", "r2");
    assert!(after["id"].as_u64() > before["id"].as_u64());
    assert_eq!(after["prev"], 0);
}

#[test]
fn the_history_is_limited_in_messages_and_bytes() {
    let Some(redis) = RedisServer::start() else { return };
    let mut node = redis.node();
    let (ada, lobby) = (identity("Ada"), room("lobby"));
    node.enter(&ada).unwrap();
    for n in 0..=MAX_HISTORY_MESSAGES {
        send(&mut node, &ada, &lobby, &format!("message {n}"), &n.to_string());
    }
    let history = node.join(&ada, &lobby).unwrap().history;
    assert_eq!(history.len(), MAX_HISTORY_MESSAGES);
    assert!(history[0].contains("message 1\""), "{}", history[0]);
    for n in 0..MAX_HISTORY_MESSAGES {
        send(&mut node, &ada, &lobby, &"🐟".repeat(2_000), &format!("long {n}"));
    }
    let bytes: usize = node.join(&ada, &lobby).unwrap().history.iter().map(String::len).sum();
    assert!((MAX_HISTORY_BYTES / 2..=MAX_HISTORY_BYTES).contains(&bytes), "{bytes}");
}

#[test]
fn users_and_rooms_are_limited() {
    let Some(redis) = RedisServer::start() else { return };
    let mut node = redis.node();
    let first = identity("P0");
    node.enter(&first).unwrap();
    for n in 1..MAX_USERS {
        node.enter(&identity(&format!("P{n}"))).unwrap();
    }
    let full = node.enter(&identity("One more")).unwrap_err();
    assert_eq!(full, Failure::Rejected(Rejection::CHAT_FULL));
    let first = reconnected(&first);
    node.enter(&first).unwrap();
    for n in 0..MAX_ROOMS_PER_USER {
        node.join(&first, &room(&format!("r{n}"))).unwrap();
    }
    node.join(&first, &room("r0")).unwrap();
    let too_many = node.join(&first, &room("more")).unwrap_err();
    assert_eq!(too_many, Failure::Rejected(Rejection::TOO_MANY_ROOMS_OF_USER));
}

#[test]
fn the_users_of_a_failed_node_leave() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut lost, mut node) = (redis.failing_node(), redis.node());
    let (ada, bo, lobby) = (identity("Ada"), identity("Bo"), room("lobby"));
    node.enter(&bo).unwrap();
    node.join(&bo, &lobby).unwrap();
    lost.enter(&ada).unwrap();
    lost.join(&ada, &lobby).unwrap();
    assert_eq!(described(node.changes()), ["user-joined Bo 1", "user-joined Ada 2"]);
    remove_lost(&mut node, &mut lost);
    assert_eq!(described(node.changes()), ["user-left Ada 1"]);
    assert!(node.changes().unwrap().is_empty());
    node.enter(&identity("Ada")).unwrap();
}

/// A node that was suspended finds that its users were removed.
#[test]
fn a_node_enters_its_users_again_unless_their_names_are_taken() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut lost, mut node) = (redis.failing_node(), redis.node());
    let (ada, bo) = (identity("Ada"), identity("Bo"));
    let rooms = BTreeSet::from([room("lobby"), room("river")]);
    for user in [&ada, &bo] {
        lost.enter(user).unwrap();
    }
    remove_lost(&mut node, &mut lost);
    node.enter(&identity("ADA")).unwrap();
    assert_eq!(lost.renew([&ada, &bo].into_iter()).unwrap_err(), Failure::LeaseEnded);
    lost.begin_lease().unwrap();
    assert_eq!(lost.restore(&ada, &rooms).unwrap_err(), TAKEN);
    lost.restore(&bo, &rooms).unwrap();
    // Bo has left a room while Redis was not reachable.
    lost.restore(&bo, &BTreeSet::from([room("river")])).unwrap();
    let expected = ["user-joined Bo 1", "user-joined Bo 1", "user-left Bo 0"];
    assert_eq!(described(node.changes()), expected);
}

/// Redis comes back without its data, and users of two nodes have the same name.
#[test]
fn the_first_of_two_users_with_the_same_name_keeps_it() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut first, mut second) = (redis.node(), redis.node());
    let (ada, other) = (identity("Ada"), identity("ada"));
    let rooms = BTreeSet::from([room("lobby")]);
    second.restore(&other, &rooms).unwrap();
    assert_eq!(first.restore(&ada, &rooms).unwrap_err(), TAKEN);
    assert_eq!(second.renew([&other].into_iter()).unwrap(), Ended::default());
}

#[test]
fn a_connection_whose_user_has_left_on_another_one_ends() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut first, mut second) = (redis.node(), redis.node());
    let (ada, bo) = (identity("Ada"), identity("Bo"));
    for user in [&ada, &bo] {
        first.enter(user).unwrap();
    }
    let again = reconnected(&ada);
    second.enter(&again).unwrap();
    second.remove(&again).unwrap();
    let ended = first.renew([&ada, &bo].into_iter()).unwrap();
    assert_eq!(ended, Ended { gone: vec![ada.connection], ..Ended::default() });
}

/// A node fails after it has stored a message.
#[test]
fn changes_contain_the_number_of_the_last_message() {
    let Some(redis) = RedisServer::start() else { return };
    let (mut lost, mut node) = (redis.failing_node(), redis.node());
    let (ada, lobby) = (identity("Ada"), room("lobby"));
    lost.enter(&ada).unwrap();
    lost.join(&ada, &lobby).unwrap();
    let message = send(&mut lost, &ada, &lobby, "not published", "r1");
    remove_lost(&mut node, &mut lost);
    let left = node.changes().unwrap().pop().unwrap();
    assert_eq!(json!(left.last_message), message["id"]);
}
