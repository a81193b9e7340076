//! The opening handshake of a client.

use sockeye::futures::{Answer, Builder, Error};

use crate::support::{acceptance, asking, frame, header, now, open_client, pipe, ready};

/// What a client makes of an answer.
fn answered(builder: &Builder, answer: impl FnOnce(&str) -> String) -> sockeye::futures::Result<Answer> {
    let (mut client, request, raw) = asking(builder);
    raw.write(answer(&request));
    raw.end();
    ready(client.handshake())
}

fn is_protocol(answer: sockeye::futures::Result<Answer>) -> bool {
    matches!(answer, Err(Error::Protocol(_)))
}

#[test]
fn c4_c5_a_builder_adds_and_removes_headers() {
    let builder = Builder::new().add_header("Origin", "https://a.example").unwrap();
    let builder = builder.add_header("X-One", "1").unwrap().add_header("X-One", "2").unwrap();
    let builder = builder.add_header("X-Two", "2").unwrap().remove_header("x-two");
    let (_client, request, _raw) = asking(&builder);
    assert!(request.starts_with("GET /chat HTTP/1.1\r\n"));
    assert_eq!(header(&request, "Origin"), Some("https://a.example"));
    assert_eq!(request.matches("X-One: ").count(), 2);
    assert_eq!(header(&request, "X-Two"), None);
}

#[test]
fn c6_c7_several_subprotocols_are_offered_and_one_is_chosen() {
    let builder = Builder::new().add_subprotocol("soap").add_subprotocol("x").add_subprotocol("wamp");
    let (mut client, request, raw) = asking(&builder.remove_subprotocol("x"));
    assert_eq!(header(&request, "Sec-WebSocket-Protocol"), Some("soap,wamp"));
    raw.write(acceptance(&request, "Sec-WebSocket-Protocol: wamp\r\n"));
    let answer = ready(client.handshake()).unwrap();
    assert_eq!(answer, Answer::Accepted { protocol: Some("wamp".into()) });
    let socket = client.into_socket().unwrap();
    assert_eq!(socket.protocol(), Some("wamp"));
    let (sender, receiver) = socket.split();
    assert_eq!((sender.protocol(), receiver.protocol()), (Some("wamp"), Some("wamp")));
}

#[test]
fn c8_both_halves_return_the_headers_of_the_response() {
    let (mut client, request, raw) = asking(&Builder::new());
    raw.write(acceptance(&request, "X-Server: pike\r\n"));
    ready(client.handshake()).unwrap();
    let (sender, receiver) = client.into_socket().unwrap().split();
    assert_eq!(sender.response().unwrap().header("x-server"), Some(&b"pike".to_vec()));
    assert_eq!(receiver.response().unwrap().header("x-server"), Some(&b"pike".to_vec()));
}

#[test]
fn c9_c10_a_rejection_contains_the_status_headers_and_body() {
    let (mut client, _, raw) = asking(&Builder::new());
    raw.write("HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 8\r\n\r\nno en");
    assert!(now(client.handshake()).is_none(), "the body is not there yet");
    raw.write("try");
    assert_eq!(ready(client.handshake()).unwrap(), Answer::Rejected { status: 403 });
    let response = client.response().unwrap();
    assert_eq!(response.header("X-Why"), Some(&b"no".to_vec()));
    assert_eq!(response.body(), b"no entry");
    let err = client.into_socket().unwrap_err();
    assert_eq!(err.rejected().unwrap().response().body(), b"no entry");
}

#[test]
fn c11_a_redirect_contains_its_location() {
    for status in [301, 302, 303, 307, 308] {
        let redirect =
            format!("HTTP/1.1 {status} x\r\nLocation: wss://b.example/c\r\nContent-Length: 0\r\n\r\n");
        let answer = answered(&Builder::new(), |_| redirect);
        assert_eq!(answer.unwrap(), Answer::Redirect { status, location: "wss://b.example/c".into() });
    }
}

#[test]
fn c12_the_accept_value_is_verified() {
    assert!(is_protocol(answered(&Builder::new(), |_| acceptance("Sec-WebSocket-Key: other", ""))));
}

#[test]
fn c13_an_unsolicited_subprotocol_is_rejected() {
    let headers = "Sec-WebSocket-Protocol: chat\r\n";
    assert!(is_protocol(answered(&Builder::new(), |request| acceptance(request, headers))));
}

#[test]
fn c14_an_unsolicited_extension_is_rejected() {
    let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert!(is_protocol(answered(&Builder::new(), |request| acceptance(request, headers))));
}

#[test]
fn c15_bytes_after_the_response_are_kept() {
    let (mut client, request, raw) = asking(&Builder::new());
    raw.write([acceptance(&request, "").into_bytes(), frame(0x81, b"early")].concat());
    ready(client.handshake()).unwrap();
    let mut socket = client.into_socket().unwrap();
    assert_eq!(ready(socket.receive()).unwrap(), Some("early".into()));
}

#[test]
fn c16_the_raw_stream_is_returned_with_the_bytes_read_ahead() {
    let (socket, raw) = open_client(&Builder::new());
    drop(socket.into_inner().unwrap());
    assert_eq!(raw.read(), b"", "no Close was sent");

    let (mut client, request, raw) = asking(&Builder::new());
    raw.write([acceptance(&request, "").into_bytes(), b"not a frame".to_vec()].concat());
    ready(client.handshake()).unwrap();
    assert_eq!(client.into_inner().unwrap().1, b"not a frame");
}

#[test]
fn c1_the_request_contains_the_query_host_and_port_of_the_url() {
    let (end, raw) = pipe();
    let mut client = Builder::new().client(end, "ws://example.com:81/a?token=1#no").unwrap();
    assert!(now(client.handshake()).is_none());
    let request = raw.read_text();
    assert!(request.starts_with("GET /a?token=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "Host"), Some("example.com:81"));
}

#[test]
fn a_list_in_connection_and_a_missing_reason_phrase_are_accepted() {
    let answer = |request: &str| {
        acceptance(request, "")
            .replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")
            .replace("101 Switching Protocols", "101 ")
    };
    assert!(matches!(answered(&Builder::new(), answer), Ok(Answer::Accepted { .. })));
}

#[test]
fn headers_with_line_breaks_are_refused() {
    assert!(Builder::new().add_header("X", "a\r\nInjected: yes").is_err());
    assert!(Builder::new().add_header("X\r\nY", "a").is_err());
}

#[test]
fn l6_the_size_of_a_response_head_is_limited() {
    let endless = format!("HTTP/1.1 101 x\r\nX: {}\r\n", "a".repeat(20_000));
    assert!(is_protocol(answered(&Builder::new(), |_| endless)));
}

#[test]
fn the_announced_length_of_a_body_is_not_allocated() {
    let answer = "HTTP/1.1 403 x\r\nContent-Length: 70368744177664\r\n\r\nabc".to_owned();
    assert_eq!(answered(&Builder::new(), |_| answer).unwrap(), Answer::Rejected { status: 403 });
    let answer = format!("HTTP/1.1 403 x\r\n\r\n{}", "a".repeat(100_000));
    assert_eq!(answered(&Builder::new(), |_| answer).unwrap(), Answer::Rejected { status: 403 });
}

#[test]
fn a_disconnect_during_the_handshake_is_an_error() {
    let answer = answered(&Builder::new(), |_| "HTTP/1.1 101".to_owned());
    assert!(matches!(answer, Err(Error::ConnectionLost(_))), "{answer:?}");
}
