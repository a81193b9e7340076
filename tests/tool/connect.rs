//! The options of `sockeye connect`. The options of TLS are tested in `tls`.

use sockeye::util::Token;
use sockeye::{CloseCode, Deflate, Message, OpCode, Response, Settings};

use crate::support::{File, Setup, accept_handshake, drain, echo, http_proxy, raw_server, run, start};

#[test]
fn lines_are_messages() {
    let server = echo();
    let done = run(&format!("connect|{}|--max-messages|2", server.url()), "one\ntwo\n");
    assert_eq!((done.text().as_str(), done.code), ("one\ntwo\n", Some(0)));
    assert!(
        done.stderr.contains("connected to ") && done.stderr.contains("closed with 1000 Normal"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_name_of_the_command_can_be_left_out() {
    let server = echo();
    let done = run(&format!("{}|--max-messages|1", server.address), "one\n");
    assert_eq!((done.text().as_str(), done.code), ("one\n", Some(0)));
}

#[test]
fn header() {
    let server = echo();
    let done =
        run(&format!("connect|{}|-H|X-One: 1|--header|Host: other|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!(done.code, Some(0));
    let request = server.request();
    assert_eq!((request.header_text("X-One"), request.header_text("Host")), (Some("1"), Some("other")));
}

#[test]
fn origin() {
    let server = echo();
    run(&format!("connect|{}|--origin|https://example.com|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!(server.request().origin().unwrap(), Some("https://example.com"));
}

#[test]
fn subprotocol() {
    let server = Setup { subprotocols: &["chat.v2", "chat.v1"], ..Setup::default() }.start();
    let done = run(&format!("connect|{}|-s|chat.v1|-s|chat.v2|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!(server.request().protocols().unwrap(), ["chat.v1", "chat.v2"]);
    assert!(done.stderr.contains("subprotocol chat.v2"), "{}", done.stderr);
}

#[test]
fn basic_auth() {
    let server = echo();
    run(&format!("connect|{}|--basic-auth|user:pass word|-x|hi|--max-messages|1", server.url()), "");
    let expected = Some(("user".to_owned(), "pass word".to_owned()));
    assert_eq!(server.request().basic_credentials(), expected);
    run(&format!("connect|ws://user:pass%20word@{}/|-x|hi|--max-messages|1", server.address), "");
    assert_eq!(server.request().basic_credentials(), expected);
}

#[test]
fn bearer() {
    let server = echo();
    run(&format!("connect|{}|--bearer|secret|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!(server.request().bearer_token(), Some("secret"));
}

#[test]
fn location() {
    let respond = |request: &sockeye::Request| match request.resource() {
        "/" => {
            let mut response = Response::new(302, "Found", Vec::new());
            response.set_header("Location", "/there")?;
            Ok(response)
        }
        _ => Response::from_request(request),
    };
    let server = Setup { respond, ..Setup::default() }.start();
    let refused = run(&format!("connect|{}|-x|hi", server.url()), "");
    assert_eq!((refused.code, refused.text().as_str()), (Some(5), ""));
    let followed = run(&format!("connect|{}|--location|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!((followed.code, followed.text().as_str()), (Some(0), "hi\n"));
}

#[test]
fn compress() {
    let settings = Settings { deflate: Some(Deflate::default()), ..Settings::default() };
    let server = Setup { settings, ..Setup::default() }.start();
    let options = "--compress=level=9,client_max_window_bits=12|-x|hi|--max-messages|1";
    let done = run(&format!("connect|{}|{options}", server.url()), "");
    assert!(done.stderr.contains(", compressed"), "{}", done.stderr);
    let offered = server.request().extensions().unwrap().join(", ");
    assert!(
        offered.starts_with("permessage-deflate") && offered.contains("client_max_window_bits=12"),
        "{offered}"
    );
}

#[test]
fn no_compress() {
    let settings = Settings { deflate: Some(Deflate::default()), ..Settings::default() };
    let server = Setup { settings, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--compress|--no-compress|-x|hi|--max-messages|1", server.url()), "");
    assert!(!done.stderr.contains("compressed"), "{}", done.stderr);
    assert!(server.request().extensions().unwrap().is_empty());
}

/// Loses the first connection, and closes the second one when it has received a message.
fn lose_one(listener: std::net::TcpListener) {
    use std::io::{Read, Write};
    let (mut first, _) = listener.accept().expect("the tool connects");
    accept_handshake(&mut first);
    drop(first);
    let (mut second, _) = listener.accept().expect("the tool connects");
    accept_handshake(&mut second);
    // A masked frame with one byte of text.
    second.read_exact(&mut [0; 7]).expect("the tool sends a message");
    second.write_all(b"\x81\x05again\x88\x02\x03\xe8").expect("the tool reads");
    drain(&mut second);
}

#[test]
fn reconnect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || lose_one(listener));
    let mut tool = start(&format!("connect|ws://{address}/|--reconnect|--reconnect-wait|0.01|--no-close"));
    tool.status("the connection was lost");
    tool.status("connecting again in 0.0 s");
    tool.status("connected");
    tool.write("x\n");
    let done = tool.wait();
    assert_eq!((done.code, done.text().as_str()), (Some(0), "again\n"), "{}", done.stderr);
    server.join().unwrap();
}

#[test]
fn reconnect_wait() {
    // The port was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = run(&format!("connect|ws://{address}/|--reconnect=3|--reconnect-wait|0.01|--json"), "");
    assert_eq!(done.code, Some(3), "{}", done.text());
    let waits: Vec<f64> = done.json().iter().filter_map(|object| object["wait_ms"].as_f64()).collect();
    assert!(waits.len() == 3 && waits.iter().all(|wait| *wait <= 10.0), "{waits:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_wait_for_the_next_attempt() {
    let address = raw_server(|mut stream| accept_handshake(&mut stream));
    let mut tool = start(&format!("connect|ws://{address}/|--reconnect|--reconnect-wait|1000"));
    tool.status("connecting again");
    tool.interrupt();
    assert_eq!(tool.wait().code, Some(130));
}

#[test]
fn proxy() {
    let server = echo();
    let (address, proxy) = http_proxy("Basic dXNlcjpwYXNz");
    let done = run(
        &format!("connect|{}|--proxy|http://user:pass@{address}|-x|hi|--max-messages|1", server.url()),
        "",
    );
    assert_eq!((done.code, done.text().as_str()), (Some(0), "hi\n"), "{}", done.stderr);
    assert!(proxy.join().unwrap().starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)));
    let (address, proxy) = http_proxy("Basic dXNlcjpwYXNz");
    let refused = run(&format!("connect|{}|--proxy|http://{address}|-x|hi", server.url()), "");
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("407"), "{}", refused.stderr);
    proxy.join().unwrap();
    assert_eq!(run("connect|host|--proxy|ftp://host", "").code, Some(2));
}

#[test]
fn connect_timeout() {
    let address = raw_server(|mut stream| drain(&mut stream));
    let done = run(&format!("connect|ws://{address}/|--connect-timeout|0.05"), "");
    assert_eq!(done.code, Some(8), "{}", done.stderr);
    assert!(done.stderr.contains("handshake took too long"), "{}", done.stderr);
}

#[test]
fn idle_timeout() {
    let address = raw_server(|mut stream| {
        accept_handshake(&mut stream);
        drain(&mut stream);
    });
    let done = run(&format!("connect|ws://{address}/|--idle-timeout|0.1|--receive-only"), "");
    assert_eq!(done.code, Some(8), "{}", done.stderr);
}

#[test]
fn a_peer_that_answers_pings_is_not_idle() {
    let server = echo();
    let mut tool = start(&format!("connect|{}|--idle-timeout|0.2", server.url()));
    // Each Ping is sent before the timeout, so three of them take longer than it.
    for _ in 0..3 {
        let (opcode, payload) = server.frame();
        assert_eq!((opcode, payload.starts_with(b"keepalive")), (OpCode::Ping, true));
    }
    tool.write("still here\n");
    assert_eq!(tool.line(), "still here");
}

#[test]
fn max_message_size() {
    let server = Setup { on_open: |out| out.send("x".repeat(2049)), ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--max-message-size|2K|--receive-only", server.url()), "");
    assert_eq!((done.code, done.text().as_str()), (Some(7), ""), "{}", done.stderr);
    assert!(done.stderr.contains("a message is too long"), "{}", done.stderr);
}

#[test]
fn ping_interval() {
    let server = echo();
    let mut tool = start(&format!("connect|{}|--ping-interval|0.01", server.url()));
    let line = tool.status("pong \"ping 2\" after ");
    assert!(line.ends_with(" ms"), "{line}");
    assert_eq!(server.frame(), (OpCode::Ping, b"ping 1".to_vec()));
    assert_eq!(server.frame(), (OpCode::Ping, b"ping 2".to_vec()));
}

#[test]
fn binary() {
    let server = echo();
    let done = run(&format!("connect|{}|--binary|--max-messages|1", server.url()), [0, 255, 10]);
    assert_eq!(server.frame(), (OpCode::Binary, vec![0, 255, 10]));
    assert_eq!(done.stdout, [0, 255, 10]);
}

#[test]
fn null() {
    let server = echo();
    let done = run(&format!("connect|{}|--null|--max-messages|2", server.url()), "one\ntwo\0three\0");
    assert_eq!((server.text(), server.text()), ("one\ntwo".to_owned(), "three".to_owned()));
    assert_eq!(done.stdout, b"one\ntwo\0three\0");
}

#[test]
fn one_message() {
    let server = echo();
    let done = run(&format!("connect|{}|--one-message|--max-messages|1", server.url()), "one\ntwo\n");
    assert_eq!(server.text(), "one\ntwo\n");
    assert_eq!(done.text(), "one\ntwo\n\n");
}

#[test]
fn slash() {
    let server = echo();
    let mut tool = start(&format!("connect|{}|--slash", server.url()));
    tool.write("/ping data\n/binary 00ff\n//text\n");
    assert_eq!(server.frame(), (OpCode::Ping, b"data".to_vec()));
    assert_eq!(server.frame(), (OpCode::Binary, vec![0, 255]));
    assert_eq!(server.text(), "/text");
    tool.status("pong \"data\" after ");
    tool.write("/close 4001 bye\n");
    assert_eq!(server.frame(), (OpCode::Close, [&4001_u16.to_be_bytes()[..], b"bye"].concat()));
    assert_eq!(tool.wait().code, Some(0));
}

#[test]
fn without_slash_commands_are_text() {
    let server = echo();
    run(&format!("connect|{}|--max-messages|1", server.url()), "/ping\n");
    assert_eq!(server.text(), "/ping");
}

#[test]
fn receive_only() {
    let on_open = |out: &sockeye::Sender| {
        out.send("news")?;
        out.close(CloseCode::Normal)
    };
    let server = Setup { on_open, ..Setup::default() }.start();
    let mut tool = start(&format!("connect|{}|--receive-only", server.url()));
    tool.write("unread\n");
    let done = tool.wait();
    assert_eq!((done.code, done.text().as_str()), (Some(0), "news\n"));
    let frames: Vec<_> = server.frames.try_iter().collect();
    assert!(frames.iter().all(|(opcode, _)| *opcode == OpCode::Close), "{frames:?}");
}

#[test]
fn execute() {
    let server = echo();
    let done = run(&format!("connect|{}|-x|one|--execute|two|--max-messages|2", server.url()), "unread\n");
    assert_eq!((done.text().as_str(), done.code), ("one\ntwo\n", Some(0)));
    assert_eq!((server.text(), server.text()), ("one".to_owned(), "two".to_owned()));
}

/// The server answers after the tool has sent everything.
#[test]
fn wait() {
    let on_message = |out: &sockeye::Sender, _: Message| out.send("late");
    let server = Setup { on_message, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--wait|0.3", server.url()), "hello\n");
    assert_eq!((done.text().as_str(), done.code), ("late\n", Some(0)));
    assert!(done.stderr.contains("closed with 1000"), "{}", done.stderr);
    let at_once = run(&format!("connect|{}|--wait|0|-x|hello", server.url()), "");
    assert_eq!(at_once.code, Some(0));
}

#[test]
fn no_close() {
    // The server closes after a timer, and the tool stays connected until then.
    let on_message = |out: &sockeye::Sender, _: Message| out.timeout(50, Token(1));
    let server = Setup { on_message, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--no-close", server.url()), "hello\n");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(server.text(), "hello");
    // The Close frame of the tool repeats the code of the server. It is the only further frame.
    assert_eq!(server.frame(), (OpCode::Close, 1000_u16.to_be_bytes().to_vec()));
}

#[test]
fn max_messages() {
    let on_open = |out: &sockeye::Sender| (0..5).try_for_each(|number| out.send(number.to_string()));
    let server = Setup { on_open, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--max-messages|3|--no-close", server.url()), "");
    assert_eq!((done.text().as_str(), done.code), ("0\n1\n2\n", Some(0)));
}

#[test]
fn json() {
    let on_open = |out: &sockeye::Sender| {
        out.send("a\n\"b\"")?;
        out.send(vec![0, 255])?;
        out.ping(b"p".to_vec())?;
        out.close_with_reason(CloseCode::Away, "bye")
    };
    let server = Setup { on_open, subprotocols: &["x"], ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--json|-s|x|-H|Cookie: a=b|--no-close", server.url()), "");
    assert_eq!(done.stderr, "");
    let kinds: Vec<_> =
        done.json().iter().map(|object| object["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["open", "message", "message", "ping", "close"]);
    let open = done.event("open");
    assert_eq!((&open["status"], &open["subprotocol"]), (&101.into(), &"x".into()));
    let headers = open["request_headers"].as_array().unwrap();
    assert!(headers.contains(&serde_json::json!(["Cookie", "..."])), "{headers:?}");
    let messages = done.json();
    assert_eq!((&messages[1]["type"], &messages[1]["data"]), (&"text".into(), &"a\n\"b\"".into()));
    assert_eq!((&messages[2]["type"], &messages[2]["data"]), (&"binary".into(), &"AP8=".into()));
    let close = done.event("close");
    assert_eq!((&close["code"], &close["reason"]), (&1001.into(), &"bye".into()));
}

#[test]
fn base64() {
    let server = echo();
    let done = run(&format!("connect|{}|--binary|--base64|--max-messages|1", server.url()), [0, 255]);
    assert_eq!(done.text(), "AP8=\n");
}

#[test]
fn hex() {
    let server = echo();
    let done = run(&format!("connect|{}|--binary|--hex|--max-messages|1", server.url()), [0, 255]);
    assert_eq!(done.text(), "00ff\n");
}

#[test]
fn show_ping_pong() {
    let on_open = |out: &sockeye::Sender| {
        out.ping(b"are you there".to_vec())?;
        out.pong(b"unasked".to_vec())?;
        out.close(CloseCode::Normal)
    };
    let server = Setup { on_open, ..Setup::default() }.start();
    let shown = run(&format!("connect|{}|--show-ping-pong|--no-close", server.url()), "");
    assert!(
        shown.stderr.contains("ping \"are you there\"\npong \"unasked\" without a ping\n"),
        "{}",
        shown.stderr
    );
    let hidden = run(&format!("connect|{}|--no-close", server.url()), "");
    assert!(!hidden.stderr.contains("ping") && !hidden.stderr.contains("pong"), "{}", hidden.stderr);
}

#[test]
fn timestamps() {
    let server = echo();
    let done = run(&format!("connect|{}|--timestamps|-x|hi|--max-messages|1", server.url()), "");
    let text = done.text();
    let (time, message) = text.trim_end().split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{text}");
    assert_eq!(message, "hi");
}

#[test]
fn quiet() {
    let server = echo();
    let done = run(&format!("connect|{}|--quiet|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!((done.text().as_str(), done.stderr.as_str()), ("hi\n", ""));
}

#[test]
fn verbose() {
    let server = echo();
    let done = run(&format!("connect|{}|-v|--bearer|secret|-x|hi|--max-messages|1", server.url()), "");
    assert!(
        done.stderr.contains("\n  GET /\n") && done.stderr.contains("\n  Sec-WebSocket-Version: 13\n"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("\n  101 Switching Protocols\n"), "{}", done.stderr);
    assert!(!done.stderr.contains("secret"), "{}", done.stderr);
    let logged = run(&format!("connect|{}|-vv|-x|hi|--max-messages|1", server.url()), "");
    assert!(logged.stderr.contains("\nlog: "), "{}", logged.stderr);
}

/// `tests/tool/terminal` tests that the history is used.
#[test]
fn history() {
    let file = File::new("history", "");
    let server = echo();
    let done =
        run(&format!("connect|{}|--history|{}|--max-messages|1", server.url(), file.path()), "from a pipe\n");
    assert_eq!(done.code, Some(0));
    assert_eq!(std::fs::read(&file.0).unwrap(), b"", "only what is typed becomes part of the history");
}

#[test]
fn no_history() {
    let contradiction = run("connect|host|--no-history|--history|x", "");
    assert_eq!(contradiction.code, Some(2));
    let server = echo();
    let done = run(&format!("connect|{}|--no-history|-x|hi|--max-messages|1", server.url()), "");
    assert_eq!(done.code, Some(0));
}

#[test]
fn a_pipe_that_is_faster_than_the_network_loses_nothing() {
    let server = echo();
    let lines: String = (0..20_000).map(|number| format!("{number:0100}\n")).collect();
    let done = run(&format!("connect|{}|--max-messages|20000|--quiet", server.url()), &lines);
    assert!(done.text() == lines, "{} of {} bytes", done.stdout.len(), lines.len());
    assert_eq!(done.code, Some(0));
}
