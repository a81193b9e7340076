//! Redirects, and what does not follow them.

use std::thread;

use sockeye_test_support::host::{Host, answer_to};
use sockeye_test_support::peer::Head;

use super::clients::{CLIENTS, Client, Failure, Plan};

/// Receives the request of a client, and redirects it.
fn send_elsewhere(host: &Host, location: &str) -> Head {
    let mut peer = host.accept();
    let head = peer.head();
    peer.send(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    peer.rest();
    head
}

/// Accepts the request of a client, and returns its first message.
fn echo(host: &Host) -> Head {
    let mut peer = host.accept();
    let head = peer.head();
    peer.send(answer_to(&head, "").as_bytes());
    let message = peer.message();
    peer.send_text(&message);
    head
}

/// Runs a client while this thread serves it.
fn while_connecting<R>(
    client: Client,
    plan: &Plan,
    serve: impl FnOnce() -> R,
) -> (Result<String, Failure>, R) {
    thread::scope(|scope| {
        let client = scope.spawn(|| client(plan));
        let served = serve();
        (client.join().unwrap(), served)
    })
}

fn plan(host: &Host) -> Plan {
    Plan { max_redirects: 2, ..Plan::new(format!("ws://user:secret@{}/chat", host.address())) }
}

fn has_secrets(head: &Head) -> (bool, bool) {
    (head.header("Authorization").is_some(), head.header("Cookie").is_some())
}

#[test]
fn a_redirect_is_an_error_by_default() {
    for (name, client) in CLIENTS {
        let host = Host::new();
        let plan = Plan { max_redirects: 0, ..plan(&host) };
        let (outcome, _) = while_connecting(client, &plan, || send_elsewhere(&host, "/next"));
        assert!(outcome.unwrap_err().text.contains("302"), "{name}");
    }
}

#[test]
fn redirects_within_the_origin_keep_the_credentials() {
    for (name, client) in CLIENTS {
        let host = Host::new();
        let (outcome, heads) =
            while_connecting(client, &plan(&host), || [send_elsewhere(&host, "/next"), echo(&host)]);
        assert_eq!(outcome.unwrap(), "hello", "{name}");
        assert_eq!(heads[1].line, "GET /next HTTP/1.1");
        assert_eq!(heads.each_ref().map(has_secrets), [(true, true); 2], "{name}");
    }
}

#[test]
fn k5_redirects_to_another_origin_are_followed_on_request_without_secrets() {
    for (name, client) in CLIENTS {
        let (host, other) = (Host::new(), Host::new());
        let plan = Plan { crosses_origins: true, ..plan(&host) };
        // The way back does not return the secrets.
        let there = format!("http://user:secret@{}/there", other.address());
        let back = format!("ws://user:secret@{}/back", host.address());
        let (outcome, heads) = while_connecting(client, &plan, || {
            [send_elsewhere(&host, &there), send_elsewhere(&other, &back), echo(&host)]
        });
        assert_eq!(outcome.unwrap(), "hello", "{name}");
        let lines = heads.each_ref().map(|head| head.line.as_str());
        assert_eq!(lines, ["GET /chat HTTP/1.1", "GET /there HTTP/1.1", "GET /back HTTP/1.1"]);
        let expected = [(true, true), (false, false), (false, false)];
        assert_eq!(heads.each_ref().map(has_secrets), expected, "{name}");
    }
}

#[test]
fn k5_redirects_to_another_origin_are_not_followed_by_default() {
    for (name, client) in CLIENTS {
        let (host, other) = (Host::new(), Host::new());
        let location = format!("ws://{}/", other.address());
        let (outcome, _) = while_connecting(client, &plan(&host), || send_elsewhere(&host, &location));
        assert!(outcome.unwrap_err().text.contains("302"), "{name}");
        assert!(other.try_accept().is_none(), "{name}");
    }
}

#[test]
fn the_credentials_of_a_url_are_not_sent_if_that_is_disabled() {
    for (name, client) in CLIENTS {
        for sends_credentials in [true, false] {
            let host = Host::new();
            let plan = Plan { sends_credentials, ..plan(&host) };
            let (outcome, head) = while_connecting(client, &plan, || echo(&host));
            assert_eq!(outcome.unwrap(), "hello", "{name}");
            assert_eq!(has_secrets(&head), (sends_credentials, true), "{name}");
        }
    }
}
