//! The options of `sockeye bench`.

use serde_json::Value;
use sockeye::{Deflate, Message, OpCode, Response, ServerTls, Settings, TlsEngine};

use crate::support::{Run, Server, Setup, accept_handshake, drain, echo, http_proxy, raw_server, run};
use crate::tls::{CLIENT, CLIENT_KEY, ROOT, SERVER, SERVER_KEY};

fn measured(url: &str, options: &str) -> (Run, Value) {
    let done = run(&format!("bench|{url}|--json|{options}"), "");
    assert_eq!(done.code, Some(0), "{} {}", done.text(), done.stderr);
    let result = done.json().remove(0);
    (done, result)
}

fn frames_of(server: &Server, opcode: OpCode) -> Vec<Vec<u8>> {
    server.frames.try_iter().filter(|(other, _)| *other == opcode).map(|(_, payload)| payload).collect()
}

#[test]
fn count() {
    let server = echo();
    let (_, result) = measured(&server.url(), "--count|7");
    assert_eq!((&result["sent"], &result["returned"]), (&7.into(), &7.into()));
    assert_eq!(frames_of(&server, OpCode::Text).len(), 7);
}

#[test]
fn connections() {
    let server = echo();
    let (_, result) = measured(&server.url(), "--connections|5|--count|50");
    assert_eq!(result["connections"], serde_json::json!({"opened": 5, "failed": 0, "lost": 0}));
    assert_eq!(server.requests.try_iter().count(), 5);
}

#[test]
fn size() {
    let server = echo();
    let (_, result) = measured(&server.url(), "--size|3K|--count|2");
    assert_eq!(result["bytes_per_message"], 3072);
    assert!(frames_of(&server, OpCode::Text).iter().all(|payload| payload.len() == 3072));
}

#[test]
fn binary() {
    let server = echo();
    measured(&server.url(), "--binary|--count|3");
    assert_eq!(frames_of(&server, OpCode::Binary), vec![vec![b'x'; 20]; 3]);
}

/// The server answers the first two messages together, so that one in flight would wait for ever.
#[test]
fn in_flight() {
    fn serve(mut stream: std::net::TcpStream) {
        use std::io::{Read, Write};
        accept_handshake(&mut stream);
        // A masked frame with one byte of text, twice.
        let mut frames = [0; 14];
        stream.read_exact(&mut frames).expect("the tool sends two messages");
        stream.write_all(b"\x81\x01x\x81\x01x").expect("the tool reads");
        drain(&mut stream);
    }
    let address = raw_server(serve);
    let done = run(&format!("bench|ws://{address}/|--json|--in-flight|2|--count|2|--size|1"), "");
    assert_eq!(done.json()[0]["returned"], 2, "{}", done.stderr);
}

#[test]
fn rate() {
    let server = echo();
    // Nine intervals of 20 ms lie between ten messages.
    let (_, result) = measured(&server.url(), "--rate|50|--count|10");
    assert_eq!(result["returned"], 10);
    assert!(result["seconds"].as_f64().unwrap() >= 0.18, "{result}");
}

#[test]
fn duration() {
    let server = echo();
    let (_, result) = measured(&server.url(), "--duration|0.2");
    assert!(result["returned"].as_u64().unwrap() > 0 && result["sent"] == result["returned"], "{result}");
}

#[test]
fn json() {
    let server = echo();
    let (_, result) = measured(&server.url(), "--count|100|--connections|2");
    let latency = &result["latency_ms"];
    let values: Vec<f64> =
        ["min", "p50", "p90", "p99", "p99.9", "max"].map(|name| latency[name].as_f64().unwrap()).to_vec();
    assert!(values.is_sorted() && values[0] > 0.0, "{values:?}");
    // A round trip needs several system calls, and the sum of all is less than the time of both connections.
    let (mean, seconds) = (latency["mean"].as_f64().unwrap(), result["seconds"].as_f64().unwrap());
    assert!(mean > 0.002 && mean * 100.0 / 1000.0 <= 2.0 * seconds * 1.01, "{result}");
    assert!(result["messages_per_second"].as_f64().unwrap() > 0.0, "{result}");
}

#[test]
fn the_result_is_text_with_a_histogram_and_without_a_progress_bar() {
    let server = echo();
    let done = run(&format!("bench|ws://user:secret@{}/|--count|20", server.address), "");
    let text = done.text();
    for expected in
        ["1 opened, 0 failed, 0 lost", "20 of 20 bytes returned, 20 sent", "  p99.9 ", "histogram\n", "#"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(done.stderr, "", "a pipe receives no progress");
}

#[test]
fn quiet() {
    let server = echo();
    let done = run(&format!("bench|{}|--quiet|--count|1", server.url()), "");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn header() {
    let server = echo();
    measured(&server.url(), "--count|1|-H|X-One: 1");
    assert_eq!(server.request().header_text("X-One"), Some("1"));
}

#[test]
fn origin() {
    let server = echo();
    measured(&server.url(), "--count|1|--origin|https://example.com");
    assert_eq!(server.request().origin().unwrap(), Some("https://example.com"));
}

#[test]
fn subprotocol() {
    let server = Setup { subprotocols: &["a"], ..Setup::default() }.start();
    measured(&server.url(), "--count|1|--subprotocol|a");
    assert_eq!(server.request().protocols().unwrap(), ["a"]);
}

#[test]
fn basic_auth() {
    let server = echo();
    measured(&server.url(), "--count|1|--basic-auth|a:b");
    assert_eq!(server.request().basic_credentials(), Some(("a".to_owned(), "b".to_owned())));
}

#[test]
fn bearer() {
    let server = echo();
    measured(&server.url(), "--count|1|--bearer|t");
    assert_eq!(server.request().bearer_token(), Some("t"));
}

#[test]
fn location() {
    let respond = |request: &sockeye::Request| match request.resource() {
        "/" => {
            let mut response = Response::new(307, "Temporary Redirect", Vec::new());
            response.set_header("Location", "/there")?;
            Ok(response)
        }
        _ => Response::from_request(request),
    };
    let server = Setup { respond, ..Setup::default() }.start();
    measured(&server.url(), "--count|1|--location=1");
    assert_eq!(run(&format!("bench|{}|--count|1", server.url()), "").code, Some(5));
}

fn secure(requires_certificates: bool) -> Server {
    let mut tls = ServerTls::builder_from_files(SERVER, SERVER_KEY).engine(TlsEngine::Rustls);
    if requires_certificates {
        tls = tls.require_certificates(ROOT);
    }
    Setup { tls: Some(tls.build().expect("valid certificates")), ..Setup::default() }.start()
}

#[test]
fn cacert() {
    let server = secure(false);
    measured(&server.secure_url(), &format!("--count|1|--cacert|{ROOT}"));
    assert_eq!(run(&format!("bench|{}|--count|1", server.secure_url()), "").code, Some(4));
}

#[test]
fn cert() {
    let server = secure(true);
    measured(&server.secure_url(), &format!("--count|1|--cacert|{ROOT}|--cert|{CLIENT}|--key|{CLIENT_KEY}"));
}

#[test]
fn key() {
    assert_eq!(run(&format!("bench|wss://localhost|--key|{CLIENT_KEY}"), "").code, Some(2));
}

#[test]
fn insecure() {
    measured(&secure(false).secure_url(), "--count|1|--insecure");
}

#[test]
fn no_sni() {
    measured(&secure(false).secure_url(), &format!("--count|1|--no-sni|--cacert|{ROOT}"));
}

#[test]
fn tls_min() {
    measured(&secure(false).secure_url(), &format!("--count|1|--tls-min|1.3|--cacert|{ROOT}"));
}

#[test]
fn tls_max() {
    measured(&secure(false).secure_url(), &format!("--count|1|--tls-max|1.2|--cacert|{ROOT}"));
}

#[test]
fn compress() {
    let settings = Settings { deflate: Some(Deflate::default()), ..Settings::default() };
    let server = Setup { settings, ..Setup::default() }.start();
    measured(&server.url(), "--count|2|--size|4K|--compress");
    assert_eq!(server.request().extensions().unwrap().len(), 1);
}

#[test]
fn no_compress() {
    let server = echo();
    measured(&server.url(), "--count|1|--compress|--no-compress");
    assert!(server.request().extensions().unwrap().is_empty());
}

#[test]
fn proxy() {
    let server = echo();
    let (address, proxy) = http_proxy("Basic YTpi");
    measured(&server.url(), &format!("--count|3|--proxy|http://a:b@{address}"));
    assert!(proxy.join().unwrap().starts_with("CONNECT "));
}

#[test]
fn connect_timeout() {
    let address = raw_server(|mut stream| drain(&mut stream));
    let done = run(&format!("bench|ws://{address}/|--connect-timeout|0.05"), "");
    assert_eq!(done.code, Some(8), "{}", done.stderr);
}

#[test]
fn idle_timeout() {
    let address = raw_server(|mut stream| {
        accept_handshake(&mut stream);
        drain(&mut stream);
    });
    let done = run(&format!("bench|ws://{address}/|--idle-timeout|0.05|--count|1|--json"), "");
    assert_eq!((done.code, &done.json()[0]["connections"]["lost"]), (Some(9), &1.into()), "{}", done.stderr);
}

#[test]
fn max_message_size() {
    let on_message = |out: &sockeye::Sender, _: Message| out.send("x".repeat(100));
    let server = Setup { on_message, ..Setup::default() }.start();
    let done = run(&format!("bench|{}|--count|1|--max-message-size|64|--json", server.url()), "");
    assert_eq!(done.code, Some(7), "{}", done.text());
}

#[test]
fn a_server_that_returns_something_else_is_no_echo_server() {
    let on_message = |out: &sockeye::Sender, _: Message| out.send("other");
    let server = Setup { on_message, ..Setup::default() }.start();
    let done = run(&format!("bench|{}|--count|1", server.url()), "");
    assert_eq!(done.code, Some(7));
    assert!(done.text().contains("another message"), "{}", done.text());
}
