//! The programs on the pages about other libraries.

use crate::process::Program;

#[test]
fn a_program_for_ws_broadcasts() {
    let program = Program::start("after_ws");
    let (mut ann, mut bob) = (program.open("/"), program.open("/"));
    ann.send_text("hello");
    assert_eq!((ann.message(), bob.message()), ("hello".into(), "hello".into()));
}

#[cfg(feature = "blocking")]
#[test]
fn the_blocking_program_after_tungstenite_echoes() {
    let program = Program::start("after_tungstenite");
    let (mut ann, mut bob) = (program.open("/"), program.open("/"));
    ann.echo("hello");
    bob.echo("hello");
    ann.finish();
    bob.echo("again");
}

#[test]
fn the_event_loop_after_tungstenite_echoes() {
    Program::start("event_loop_after_tungstenite").open("/").echo("hello");
}

#[test]
fn the_program_after_socket_io_has_events_and_rooms() {
    let program = Program::start("after_socket_io");
    let join = r#"{"type":"join","room":"kitchen"}"#;
    let hello = r#"{"type":"chat","room":"kitchen","text":"hello"}"#;
    let (mut ann, mut bob) = (program.open("/"), program.open("/"));
    ann.send_text(join);
    // Later, so that Ann has joined when Bob writes.
    bob.send_text(join);
    bob.send_text(hello);
    let received: serde_json::Value = serde_json::from_str(&ann.message()).unwrap();
    assert_eq!(received, serde_json::json!({ "type": "chat", "text": "hello" }));
    for invalid in ["", "[]", r#"{"type":"chat"}"#] {
        let mut client = program.open("/");
        client.send_text(invalid);
        assert_eq!(client.close_code(), Some(1008), "{invalid}");
    }
}

#[test]
fn the_program_after_uwebsockets_publishes_to_the_others() {
    let program = Program::start("after_uwebsockets");
    let (mut ann, mut bob) = (program.open("/"), program.open("/"));
    ann.send_text("first");
    bob.send_text("second");
    assert_eq!((ann.message(), bob.message()), ("second".into(), "first".into()));
}
