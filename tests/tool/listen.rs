//! The options of `sockeye listen`. The clients are other processes of the tool.

use crate::support::{File, Run, Tool, run, start};
use crate::tls::{CLIENT, CLIENT_KEY, ROOT, SERVER, SERVER_KEY};

/// Starts a server on a free port. Returns its URL as well.
fn listen(options: &str) -> (Tool, String) {
    let mut tool = start(format!("listen|0|{options}").replace("||", "|").trim_end_matches('|'));
    let line = tool.status("listening on ");
    let url = line.rsplit(' ').next().expect("a URL").replace("127.0.0.1", "localhost");
    (tool, url)
}

/// Connects to the server, sends a line, and disconnects.
fn connect(url: &str, options: &str) -> Run {
    run(format!("connect|{url}|--wait|0|{options}").trim_end_matches('|'), "hi\n")
}

#[test]
fn messages_have_the_number_of_the_client_and_lines_are_sent_to_all() {
    let (mut tool, url) = listen("");
    let mut clients = [1, 2].map(|number| {
        let client = start(&format!("connect|{url}|--no-close"));
        tool.status(&format!("[{number}] "));
        client
    });
    clients[1].write("from the second one\n");
    assert_eq!(tool.line(), "[2] from the second one");
    tool.write("to all\n");
    for client in &mut clients {
        assert_eq!(client.line(), "to all");
    }
}

#[test]
fn address() {
    let mut tool = start("listen|[::1]:0|--json");
    let listening: serde_json::Value = serde_json::from_str(&tool.line()).unwrap();
    assert!(listening["url"].as_str().unwrap().starts_with("ws://[::1]:"), "{listening}");
    let occupied = listening["url"].as_str().unwrap().trim_start_matches("ws://").trim_end_matches('/');
    let second = run(&format!("listen|{occupied}"), "");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert_eq!(run("listen|nowhere", "").code, Some(2));
}

#[test]
fn echo() {
    let (_tool, url) = listen("--echo");
    let done = run(&format!("connect|{url}|--max-messages|1"), "hello\n");
    assert_eq!((done.text().as_str(), done.code), ("hello\n", Some(0)));
}

#[test]
fn oneshot() {
    let (tool, url) = listen("--oneshot");
    assert_eq!(connect(&url, "").code, Some(0));
    let done = tool.wait();
    assert_eq!((done.code, done.text().as_str()), (Some(0), "[1] hi\n"));
}

#[test]
fn header() {
    let (_tool, url) = listen("-H|X-Served-By: sockeye");
    let done = connect(&url, "--json");
    let headers = done.event("open")["response_headers"].clone();
    assert!(
        headers.as_array().unwrap().contains(&serde_json::json!(["X-Served-By", "sockeye"])),
        "{headers}"
    );
}

#[test]
fn origin() {
    let (_tool, url) = listen("--origin|https://example.com");
    assert_eq!(connect(&url, "--origin|https://example.com").code, Some(0));
    let other = connect(&url, "--origin|https://example.org");
    assert_eq!(other.code, Some(5));
    assert!(other.stderr.contains("403"), "{}", other.stderr);
}

#[test]
fn subprotocol() {
    let (_tool, url) = listen("-s|a|-s|b");
    let done = connect(&url, "-s|b|--json");
    assert_eq!(done.event("open")["subprotocol"], "b");
}

#[test]
fn basic_auth() {
    let (_tool, url) = listen("--basic-auth|user:password");
    assert_eq!(connect(&url, "--basic-auth|user:password").code, Some(0));
    let wrong = connect(&url, "--basic-auth|user:other|--json");
    assert_eq!((wrong.code, &wrong.event("rejected")["status"]), (Some(5), &401.into()));
    assert_eq!(connect(&url, "").code, Some(5));
}

#[test]
fn bearer() {
    let (_tool, url) = listen("--bearer|token");
    assert_eq!(connect(&url, "--bearer|token").code, Some(0));
    assert_eq!(connect(&url, "--bearer|other").code, Some(5));
}

#[test]
fn cert() {
    let (_tool, url) = listen(&format!("--cert|{SERVER}|--key|{SERVER_KEY}"));
    assert!(url.starts_with("wss://"), "{url}");
    assert_eq!(connect(&url, &format!("--cacert|{ROOT}")).code, Some(0));
}

#[test]
fn key() {
    assert_eq!(run(&format!("listen|0|--cert|{SERVER}"), "").code, Some(2));
    assert_eq!(run(&format!("listen|0|--cert|{SERVER}|--key|{CLIENT_KEY}"), "").code, Some(1));
}

#[test]
fn cacert() {
    let (_tool, url) = listen(&format!("--cert|{SERVER}|--key|{SERVER_KEY}|--cacert|{ROOT}"));
    let known = connect(&url, &format!("--cacert|{ROOT}|--cert|{CLIENT}|--key|{CLIENT_KEY}"));
    assert_eq!(known.code, Some(0), "{}", known.stderr);
    assert_eq!(connect(&url, &format!("--cacert|{ROOT}")).code, Some(4));
}

#[test]
fn compress() {
    let (_tool, url) = listen("--compress");
    assert_eq!(connect(&url, "--compress|--json").event("open")["compressed"], true);
}

#[test]
fn no_compress() {
    let (_tool, url) = listen("--compress|--no-compress");
    assert_eq!(connect(&url, "--compress|--json").event("open")["compressed"], false);
}

#[test]
fn connect_timeout() {
    let (mut tool, url) = listen("--connect-timeout|0.05|-vv");
    let address = url.trim_start_matches("ws://").trim_end_matches('/').replace("localhost", "127.0.0.1");
    let silent = std::net::TcpStream::connect(address).unwrap();
    tool.status("the opening handshake took too long");
    drop(silent);
}

#[test]
fn idle_timeout() {
    let (mut tool, url) = listen("--idle-timeout|0.05");
    let address = url.trim_start_matches("ws://").trim_end_matches('/').replace("localhost", "127.0.0.1");
    let mut silent = std::net::TcpStream::connect(address).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    std::io::Write::write_all(&mut silent, request.as_bytes()).unwrap();
    tool.status("[1] the connection was lost");
}

#[test]
fn max_message_size() {
    let (mut tool, url) = listen("--max-message-size|4");
    let done = run(&format!("connect|{url}|--no-close"), "too long\n");
    assert_eq!(done.code, Some(6), "{}", done.stderr);
    assert!(done.stderr.contains("closed with 1009"), "{}", done.stderr);
    tool.status("a message is too long");
}

#[test]
fn binary() {
    let (mut tool, url) = listen("--binary");
    let client = start(&format!("connect|{url}|--max-messages|1|--hex"));
    tool.status("[1] ");
    tool.write([0, 255]);
    let done = client.wait();
    assert_eq!((done.text().as_str(), done.code), ("00ff\n", Some(0)));
}

#[test]
fn null() {
    let (mut tool, url) = listen("--null");
    tool.write("a\nb\0");
    let done = run(&format!("connect|{url}|--max-messages|1|--no-close"), "");
    assert_eq!(done.text(), "a\nb\n");
}

#[test]
fn one_message() {
    let (mut tool, url) = listen("--one-message");
    tool.write("a\nb\n");
    tool.close_input();
    // The message waits for the first client.
    let done = run(&format!("connect|{url}|--max-messages|1|--no-close"), "");
    assert_eq!(done.text(), "a\nb\n\n");
}

#[test]
fn slash() {
    let (mut tool, url) = listen("--slash");
    let client = start(&format!("connect|{url}|--no-close|-P"));
    let peer = tool.status("[1] ");
    let address = peer.split(' ').nth(1).unwrap().to_owned();
    tool.write("/clients\n");
    // The response of the opening handshake can still be unsent.
    let listed = tool.status("bytes unsent");
    assert!(listed.starts_with(&format!("[1] {address}, ")), "{listed}");
    tool.write("/to 1 only you\n/to 2 nobody\n/ping hello\n");
    tool.status("there is no client 2");
    tool.status("[1] pong \"hello\" after ");
    tool.write("/close 4000 enough\n");
    let done = client.wait();
    assert_eq!((done.text().as_str(), done.code), ("only you\n", Some(6)));
    assert!(
        done.stderr.contains("ping \"hello\"") && done.stderr.contains("closed with 4000: enough"),
        "{}",
        done.stderr
    );
    tool.write("/quit\n");
    assert_eq!(tool.wait().code, Some(0));
}

#[test]
fn receive_only() {
    let (mut tool, url) = listen("--receive-only|--echo");
    tool.write("unread\n");
    let done = run(&format!("connect|{url}|--max-messages|1"), "hello\n");
    assert_eq!(done.text(), "hello\n");
}

#[test]
fn history() {
    let file = File::new("server-history", "");
    let (_tool, url) = listen(&format!("--history|{}", file.path()));
    assert_eq!(connect(&url, "").code, Some(0));
    assert_eq!(std::fs::read(&file.0).unwrap(), b"");
}

#[test]
fn no_history() {
    assert_eq!(run("listen|0|--no-history|--history|x", "").code, Some(2));
    let (_tool, url) = listen("--no-history");
    assert_eq!(connect(&url, "").code, Some(0));
}

#[test]
fn execute() {
    let (_tool, url) = listen("-x|welcome|-x|to the server");
    let done = run(&format!("connect|{url}|--max-messages|2|--no-close"), "");
    assert_eq!(done.text(), "welcome\nto the server\n");
}

#[test]
fn json() {
    let mut tool = start("listen|0|--json|--oneshot");
    let listening: serde_json::Value = serde_json::from_str(&tool.line()).unwrap();
    let client = connect(listening["url"].as_str().unwrap(), "");
    assert_eq!(client.code, Some(0));
    let done = tool.wait();
    let events: Vec<_> =
        done.json().iter().map(|object| object["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["listening", "open", "message", "close"]);
    assert_eq!((&done.event("message")["client"], &done.event("message")["data"]), (&1.into(), &"hi".into()));
    assert_eq!(done.stderr, "");
}

#[test]
fn base64() {
    let (mut tool, url) = listen("--base64");
    run(&format!("connect|{url}|--wait|0|--binary"), [0, 255]);
    assert_eq!(tool.line(), "[1] AP8=");
}

#[test]
fn hex() {
    let (mut tool, url) = listen("--hex");
    run(&format!("connect|{url}|--wait|0|--binary"), [0, 255]);
    assert_eq!(tool.line(), "[1] 00ff");
}

#[test]
fn show_ping_pong() {
    let (mut tool, url) = listen("--show-ping-pong");
    run(&format!("connect|{url}|--slash"), "/ping hello\n/close\n");
    tool.status("[1] ping \"hello\"");
}

#[test]
fn timestamps() {
    let (mut tool, url) = listen("--timestamps");
    connect(&url, "");
    let line = tool.line();
    let (time, message) = line.split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    assert_eq!(message, "[1] hi");
}

/// Without the line with the address, the port must be known. It can be taken by another program, so this only tests the output.
#[test]
fn quiet() {
    let mut tool = start("listen|0|--quiet|--slash");
    tool.write("/quit\n");
    let done = tool.wait();
    assert_eq!((done.code, done.text().as_str(), done.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn verbose() {
    let (mut tool, url) = listen("--verbose");
    connect(&url, "-H|X-Mine: 1");
    tool.status("  X-Mine: 1");
}
