//! Tests of nodes with clients and a Redis server. They are skipped if it is not installed. The browser tests stop nodes and the server.

use serde_json::{Value, json};
use sockeye::CloseCode;

use super::redis_server::RedisServer;
use super::tests::identity;
use crate::tests::{Client, Event, Server};

#[test]
fn two_nodes_have_the_same_rooms() {
    let Some(redis) = RedisServer::start() else { return };
    let (first, second) = (Server::in_cluster(&redis.url(), ""), Server::in_cluster(&redis.url(), ""));
    let ada = Client::enter(&first, "Ada");
    ada.join("lobby");
    let bo = Client::enter(&second, "Bo");
    let mut users: Vec<Value> = bo.join("lobby")["users"].as_array().unwrap().clone();
    users.sort_by_key(ToString::to_string);
    assert_eq!(users, ["Ada", "Bo"]);
    ada.wait_for(|event| event["type"] == "user-joined" && event["user"] == "Bo");
    ada.wait_for(|event| event["type"] == "room" && event["users"] == 2);
    for (from, to) in [(&ada, &bo), (&bo, &ada)] {
        from.send("lobby", "Hi", "r1");
        let received = to.wait_for(|event| event["type"] == "message");
        assert_eq!(from.wait_for(|event| event["type"] == "message"), received);
        from.send("river", "Hi", "r2");
        from.wait_for(|event| event["reason"] == "You are not in this room.");
    }
    // The page of Ada connects to another node, while its old connection is still open.
    let again = Client::enter(&second, "Ada");
    assert_eq!(again.join("lobby")["history"].as_array().unwrap().len(), 2);
    let code = std::iter::repeat_with(|| ada.next()).find(|event| matches!(event, Event::Closed(_)));
    assert_eq!(code, Some(Event::Closed(CloseCode::from(4001))));
    bo.leave("lobby");
    again.wait_for(|event| event["type"] == "user-left" && event["user"] == "Bo");
}

#[test]
fn requests_before_a_user_has_entered_are_rejected() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::in_cluster(&redis.url(), "");
    let client = Client::connect(&server);
    client.request_join("lobby");
    assert_eq!(client.take(), ["rejected  This is not possible now."]);
    client.request(&json!({ "type": "enter", "name": "Ada", "key": "0123456789abcdef" }));
    client.wait_for(|event| event["type"] == "welcome");
    client.request(&json!({ "type": "enter", "name": "Bo", "key": "0123456789abcdef" }));
    client.wait_for(|event| event["reason"] == "This is not possible now.");
}

#[test]
fn without_redis_users_of_a_node_continue_and_others_cannot_enter() {
    let Some(mut redis) = RedisServer::start() else { return };
    let server = Server::in_cluster(&redis.url(), "");
    let [ada, bo] = ["Ada", "Bo"].map(|name| {
        let client = Client::enter(&server, name);
        client.join("lobby");
        client
    });
    redis.kill();
    ada.send("lobby", "still here", "r1");
    let message = bo.wait_for(|event| event["text"] == "still here");
    assert!(message["id"].is_null(), "{message}");
    ada.wait_for(|event| event["type"] == "servers" && event["reachable"] == false);
    bo.request_join("river");
    bo.wait_for(|event| event["type"] == "rejected" && event["request"] == "join");
    let guest = Client::connect(&server);
    guest.request(&json!({ "type": "enter", "name": "Guest", "key": "0123456789abcdef" }));
    assert_eq!(guest.next(), Event::Closed(CloseCode::Again));
}

#[test]
fn only_the_pages_of_nodes_may_connect() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::in_cluster(&redis.url(), "http://a.example,https://b.example");
    let page = server.request("GET", "/", "");
    assert!(page.contains(r#"data-rooms="shared" data-nodes="http://a.example https://b.example""#));
    assert!(page.contains("connect-src 'self' ws://a.example wss://b.example;"));
    for (origin, status) in [("http://a.example", 101), ("https://b.example", 101), ("http://c.example", 403)]
    {
        let upgrade = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n"
        );
        assert_eq!(server.status_of_upgrade(&upgrade), status, "{origin}");
    }
}

/// The node learns that its lease has ended, and that the name of its user belongs to someone else.
#[test]
fn a_user_whose_name_was_taken_must_choose_another_one() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::in_cluster(&redis.url(), "");
    let ada = Client::enter(&server, "Ada");
    ada.join("lobby");
    let mut other = redis.node();
    // The server can enter its user again first.
    loop {
        redis.execute(&["DEL", "chat:nodes"]);
        other.begin_lease().unwrap();
        other.renew(std::iter::empty()).unwrap();
        if other.enter(&identity("ADA")).is_ok() {
            break;
        }
    }
    let rejected = ada.wait_for(|event| event["type"] == "rejected");
    assert_eq!(
        (&rejected["request"], &rejected["reason"]),
        (&json!("enter"), &json!("This name, or one that looks like it, is already in use."))
    );
    ada.send("lobby", "under the old name", "r1");
    ada.wait_for(|event| event["reason"] == "This is not possible now.");
    ada.request(&json!({ "type": "enter", "name": "Bo", "key": "0123456789abcdef" }));
    ada.wait_for(|event| event["type"] == "welcome" && event["name"] == "Bo");
}

/// Redis evicts keys if its memory is too small.
#[test]
fn a_page_whose_user_is_lost_enters_again() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::in_cluster(&redis.url(), "");
    let ada = Client::enter(&server, "Ada");
    redis.execute(&["DEL", &format!("chat:user:{:0>32}", "Ada")]);
    let code = std::iter::repeat_with(|| ada.next()).find(|event| matches!(event, Event::Closed(_)));
    assert_eq!(code, Some(Event::Closed(CloseCode::Again)));
    Client::enter(&server, "Ada").join("lobby");
}
