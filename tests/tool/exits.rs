//! The exit codes of `sockeye --help` and `docs/tool.md`.

use std::io::Write;
use std::net::TcpListener;

use sockeye::{CloseCode, Response};

use crate::support::{Setup, accept_handshake, drain, echo, raw_server, run, start};

#[test]
fn code_0_for_a_connection_that_the_server_closes_properly() {
    for code in [CloseCode::Normal, CloseCode::Away, CloseCode::Status] {
        let server = match code {
            CloseCode::Normal => {
                Setup { on_open: |out| out.close(CloseCode::Normal), ..Setup::default() }.start()
            }
            CloseCode::Away => {
                Setup { on_open: |out| out.close(CloseCode::Away), ..Setup::default() }.start()
            }
            _ => Setup { on_open: |out| out.close(CloseCode::Status), ..Setup::default() }.start(),
        };
        let done = run(&format!("connect|{}|--no-close", server.url()), "");
        assert_eq!(done.code, Some(0), "{code:?}: {}", done.stderr);
    }
}

#[test]
fn code_0_if_the_reader_of_the_output_has_ended() {
    let server = echo();
    let mut tool = start(&format!("connect|{}|--no-close|--quiet", server.url()));
    tool.write("first\n");
    assert_eq!(tool.line(), "first");
    tool.close_output();
    // The thread that reads notices it with the next line, so the pipe breaks with the one after it.
    for _ in 0..1000 {
        tool.write("x\n");
    }
    let done = tool.end();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn code_1_for_input_that_cannot_be_sent() {
    let server = echo();
    let done = run(&format!("connect|{}", server.url()), [b'a', 0xff, b'\n']);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("message 1 of the input is not UTF-8"), "{}", done.stderr);
}

#[test]
fn code_2_for_a_wrong_command_line() {
    for arguments in ["", "connect", "connect|host|--nonsense", "connect|ftp://host", "bench", "listen"] {
        let done = run(arguments, "");
        assert_eq!((done.code, done.text().as_str()), (Some(2), ""), "{arguments}");
        assert!(!done.stderr.is_empty(), "{arguments}");
    }
    let header = run("connect|ws://127.0.0.1:1|-H|no header", "");
    assert_eq!(header.code, Some(2));
}

#[test]
fn code_3_for_a_server_that_cannot_be_reached() {
    // The port was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = run(&format!("connect|ws://{address}/"), "");
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    assert!(done.stderr.contains("cannot connect to ws://127.0.0.1"), "{}", done.stderr);
}

#[test]
fn code_4_for_a_server_that_does_not_speak_tls() {
    let address = raw_server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(&mut stream);
    });
    let done = run(&format!("connect|wss://{address}/|--insecure"), "");
    assert_eq!(done.code, Some(4), "{}", done.stderr);
}

#[test]
fn code_5_for_a_rejected_handshake() {
    let respond = |_: &sockeye::Request| Ok(Response::new(403, "Forbidden", b"members only".to_vec()));
    let server = Setup { respond, ..Setup::default() }.start();
    let done = run(&format!("connect|{}", server.url()), "");
    assert_eq!(done.code, Some(5));
    assert!(done.stderr.contains("error: the server answered 403 Forbidden\n"), "{}", done.stderr);
    let json = run(&format!("connect|{}|--json", server.url()), "");
    assert_eq!((json.code, &json.event("rejected")["status"]), (Some(5), &403.into()));
}

#[test]
fn code_6_for_another_close_code() {
    let on_open = |out: &sockeye::Sender| out.close_with_reason(CloseCode::Policy, "go away");
    let server = Setup { on_open, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--no-close", server.url()), "");
    assert_eq!(done.code, Some(6));
    assert!(done.stderr.contains("closed with 1008 Policy: go away"), "{}", done.stderr);
}

#[test]
fn code_7_for_a_violation_of_the_protocol() {
    let address = raw_server(|mut stream| {
        accept_handshake(&mut stream);
        // A frame of a server must not be masked.
        stream.write_all(b"\x81\x81\0\0\0\0x").unwrap();
        drain(&mut stream);
    });
    let done = run(&format!("connect|ws://{address}/|--no-close"), "");
    assert_eq!(done.code, Some(7), "{}", done.stderr);
    let no_http = raw_server(|mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").unwrap();
        drain(&mut stream);
    });
    assert_eq!(run(&format!("connect|ws://{no_http}/"), "").code, Some(7));
}

#[test]
fn code_9_for_a_lost_connection() {
    let address = raw_server(|mut stream| accept_handshake(&mut stream));
    let done = run(&format!("connect|ws://{address}/|--no-close"), "");
    assert_eq!(done.code, Some(9), "{}", done.stderr);
    assert!(done.stderr.contains("the connection was lost"), "{}", done.stderr);
}

#[cfg(unix)]
#[test]
fn code_130_after_an_interrupt_that_closes_with_1000() {
    let server = echo();
    let tool = start(&format!("connect|{}", server.url()));
    server.request();
    let mut tool = tool;
    tool.status("connected");
    tool.interrupt();
    let done = tool.wait();
    assert_eq!(done.code, Some(130));
    assert_eq!(server.frame(), (sockeye::OpCode::Close, 1000_u16.to_be_bytes().to_vec()));
}

/// The server never answers the Close frame. The second interrupt does not wait for it.
#[cfg(unix)]
#[test]
fn code_130_after_a_second_interrupt_without_waiting() {
    let address = raw_server(|mut stream| {
        accept_handshake(&mut stream);
        drain(&mut stream);
    });
    let mut tool = start(&format!("connect|ws://{address}/|-vv"));
    tool.status("connected");
    tool.interrupt();
    tool.interrupt();
    assert_eq!(tool.wait().code, Some(130));
}

#[cfg(unix)]
#[test]
fn code_130_for_a_server_and_a_measurement() {
    let mut listening = start("listen|0");
    listening.status("listening");
    listening.interrupt();
    assert_eq!(listening.wait().code, Some(130));
    let server = echo();
    let measuring = start(&format!("bench|{}|--duration|1000|--json", server.url()));
    server.text();
    measuring.interrupt();
    let done = measuring.wait();
    assert_eq!(done.code, Some(130));
    assert!(done.json()[0]["returned"].as_u64().is_some(), "the result so far is printed");
}
