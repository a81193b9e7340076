//! H19: every outcome of `on_request`, and what becomes of the connection.

use std::io;

use sockeye::{Error, ErrorKind, QueueError, Request, Response, Result};

use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::End;
use sockeye_test_support::script::Script;

/// What `on_request` returns, for each path.
fn outcome(path: &str) -> Result<Response> {
    let fail = |kind| Err(Error::new(kind, "no"));
    match path {
        "/403" => Ok(Response::new(403, "Forbidden", b"go away".to_vec())),
        "/302" => {
            let mut response = Response::new(302, "Found", Vec::new());
            response.set_header("Location", "/elsewhere")?;
            Ok(response)
        }
        "/page" => Ok(Response::new(200, "OK", b"<h1>Salmon</h1>".to_vec())),
        "/204" => Ok(Response::new(204, "", Vec::new())),
        "/internal" => fail(ErrorKind::Internal),
        "/capacity" => fail(ErrorKind::Capacity),
        "/protocol" => fail(ErrorKind::Protocol),
        "/encoding" => fail(ErrorKind::Encoding(String::from_utf8(vec![0xff]).unwrap_err().utf8_error())),
        "/queue" => fail(ErrorKind::Queue(QueueError::Full)),
        "/http" => fail(ErrorKind::Http(httparse::Error::Token)),
        "/custom" => fail(ErrorKind::Custom("mine".into())),
        _ => fail(ErrorKind::Io(io::ErrorKind::Other.into())),
    }
}

#[test]
fn h19_every_result_of_on_request_sends_a_response_and_ends_the_connection() {
    let server = Script::new().on_request(|req| outcome(req.resource())).serve();
    let page = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let upgrade = |path: &str| UPGRADE.replace("/chat", path);
    // Path, status of a page, status of an upgrade, calls of the handler.
    let outcomes = [
        ("/403", 403, 403, ""),
        ("/302", 302, 302, ""),
        ("/page", 200, 200, ""),
        ("/204", 204, 204, ""),
        ("/internal", 500, 500, "error Internal, "),
        ("/capacity", 500, 500, "error Capacity, "),
        ("/protocol", 426, 400, "error Protocol, "),
        ("/encoding", 500, 500, "error Encoding, "),
        ("/queue", 500, 500, "error Queue, "),
        ("/http", 500, 500, "error Http, "),
        ("/custom", 500, 500, "error Custom, "),
    ];
    let mut id = 0;
    for (path, of_page, of_upgrade, received) in outcomes {
        for (request, status) in [(page(path), of_page), (upgrade(path), of_upgrade)] {
            for pipelined in ["", &page("/pipelined"), "\u{81}\u{85}\0\0\0\0hello"] {
                let mut peer = server.peer();
                peer.send(format!("{request}{pipelined}").as_bytes());
                let answer = peer.answer();
                assert_eq!((answer.status(), answer.end), (status, End::Fin), "{path}");
                drop(peer);
                let story = format!("made, request GET {path}, {received}lost");
                assert_eq!(server.journal.story_of_lost(id), story);
                id += 1;
            }
        }
    }
    server.wait_for_sockets(0);
    assert_eq!(server.journal.count("request GET /pipelined"), 0);
    server.assert_idle();
}

#[test]
fn h19_an_invalid_response_status_is_replaced() {
    let server = Script::new()
        .on_request(|req| match req.resource()[1..].parse() {
            Ok(status) => Ok(Response::new(status, "", Vec::new())),
            // The answer to a request for a WebSocket, which this is not.
            Err(_) => Response::from_request(&Request::from_url(&"ws://a/".parse().unwrap())?),
        })
        .serve();
    let statuses =
        [("/0", 500), ("/99", 500), ("/100", 500), ("/199", 500), ("/1000", 500), ("/x", 426), ("/299", 299)];
    for (path, status) in statuses {
        let mut peer = server.peer();
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(peer.answer().status(), status, "{path}");
    }
    server.journal.wait_for("lost", statuses.len());
    assert_eq!(server.journal.count("error Protocol"), statuses.len() - 1);
}

#[test]
fn h19_an_io_error_of_on_request_drops_the_connection() {
    let server = Script::new().on_request(|req| outcome(req.resource())).serve();
    let mut peer = server.peer();
    peer.send(UPGRADE.as_bytes());
    assert!(peer.rest().0.is_empty());
    assert_eq!(server.journal.story_of_lost(0), "made, request GET /chat, error Io, lost");
}

#[test]
fn h19_the_response_to_head_has_no_body() {
    let server = Script::new().on_request(|req| outcome(req.resource())).serve();
    for (path, status, len) in
        [("/page", 200, Some("15")), ("/internal", 500, None), ("/protocol", 426, None)]
    {
        let mut peer = server.peer();
        peer.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = peer.answer();
        assert_eq!((answer.status(), answer.body.as_slice()), (status, &b""[..]), "{path}");
        assert!(len.is_none() || answer.head.header("Content-Length") == len);
    }
    let mut peer = server.peer();
    peer.send(UPGRADE.replace("GET", "HEAD").as_bytes());
    let answer = peer.answer();
    assert_eq!((answer.status(), answer.body.len()), (405, 0));
}

#[test]
fn h19_a_slow_reader_receives_all_of_a_large_page() {
    let page: Vec<u8> = (0..=250).cycle().take(8 * 1024 * 1024).collect();
    let sent = page.clone();
    let server = Script::new()
        .on_request(move |_| Ok(Response::new(200, "OK", sent.clone())))
        .settings(|it| it.close_timeout = LIMIT)
        .serve();
    let mut peer = server.peer();
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.end_writing();
    // Others come and go before it reads.
    for _ in 0..3 {
        let mut other = server.peer();
        other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(other.answer().body.len(), page.len());
    }
    let answer = peer.answer();
    assert!(answer.end == End::Fin && answer.body == page, "{} bytes", answer.body.len());
}
