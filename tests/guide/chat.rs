//! The programs of the tutorial, which grow from an echo server into a chat.

use sockeye_test_support::bytes::BINARY;
use sockeye_test_support::peer::Peer;

use crate::process::Program;

#[test]
fn part_1_echoes() {
    let program = Program::start("first_server");
    program.open("/").echo("hello");
}

#[test]
fn part_1_counts_the_messages_of_a_connection() {
    let program = Program::start("second_server");
    let mut client = program.open("/");
    assert_eq!(client.message(), "welcome");
    for expected in ["1: hello", "2: hello"] {
        client.send_text("hello");
        assert_eq!(client.message(), expected);
    }
    client.finish();
}

#[test]
fn part_2_has_rooms() {
    let program = Program::start("first_rooms");
    let (mut ann, mut bob, mut eve) =
        (program.open("/kitchen"), program.open("/kitchen?a=b"), program.open("/garden"));
    ann.send_text("hello");
    assert_eq!(bob.message(), "hello");
    let mut kim = program.open("/garden");
    kim.send_text("in the garden");
    assert_eq!(eve.message(), "in the garden");
}

/// Opens a connection of a member who enters a room, and reads the announcement.
fn enter(program: &Program, room: &str, name: &str) -> Peer {
    let mut member = program.open(&format!("/room/{room}?name={name}"));
    assert_eq!(member.message(), format!("{name} enters."));
    member
}

/// Two members write to each other, and one of them leaves.
fn check_chat(program: &Program) {
    let mut ann = enter(program, "kitchen", "Ann");
    let mut bob = enter(program, "kitchen", "Bob");
    assert_eq!(ann.message(), "Bob enters.");
    let _eve = enter(program, "garden", "Eve");
    ann.send_text("hello");
    assert_eq!((ann.message(), bob.message()), ("Ann: hello".into(), "Ann: hello".into()));
    bob.finish();
    assert_eq!(ann.message(), "Bob leaves.");
    ann.send_frame(BINARY, b"\xff");
    assert_eq!(ann.close_code(), Some(1007));
}

fn check_pages(program: &Program) {
    let (status, body) = program.page("/");
    assert!(status == 200 && body.starts_with("<!doctype html>"), "{status} {body}");
    assert_eq!(program.page("/other").0, 404);
    assert_eq!(program.page("/room/kitchen").0, 426);
    let long = format!("/room/{}", "a".repeat(100));
    assert_eq!(program.request(&long, "").1.status(), 404);
}

#[test]
fn part_2_is_a_chat_with_a_page() {
    let program = Program::start("chat_with_page");
    check_pages(&program);
    check_chat(&program);
}

#[cfg(all(feature = "signals", unix))]
#[test]
fn part_3_limits_reports_and_drains() {
    let mut program = Program::start("deployed_chat");
    check_pages(&program);
    check_chat(&program);
    assert_eq!(program.page("/health").0, 200);
    assert!(program.page("/metrics").1.contains("\nsockeye_connections_open "));
    let (_, head) = program.request("/room/kitchen", "Origin: https://other.example\r\n");
    assert_eq!(head.status(), 403);
    // In another room, because Bob must not see whether Ann has left when the server ends.
    let mut ann = enter(&program, "cellar", "Ann");
    ann.send_text(&"a".repeat(4097));
    assert_eq!(ann.close_code(), Some(1009));
    let mut bob = enter(&program, "kitchen", "Bob");
    program.terminate();
    let message = bob.message();
    assert!(message.starts_with("The server restarts."), "{message}");
    assert_eq!(bob.close_code(), Some(1012));
    drop(bob);
    assert!(program.wait().success());
}
