//! The Sockeye process of the tests in `tests/interoperability`. It executes commands from its standard input, and
//! writes the events of its handlers to its standard output. Each line is a JSON object.
//!
//! The process listens on a free port and reports it as `{"event": "listening", "port": 4000}`. It echoes all messages
//! in both roles, and shuts down at the end of its input. The name of a connection is the resource of its URL, so that
//! both ends know it.
//!
//! | command | effect |
//! |---|---|
//! | `{"connect": "ws://127.0.0.1:4001/7"}` | connects, as a client |
//! | `{"to": "/7", "text": "hello"}` | sends a text message |
//! | `{"to": "/7", "bytes": 1000}` | sends a binary message of this length |
//! | `{"to": "/7", "count": 1000}` | sends this many text messages: `0`, `1`, ... |
//! | `{"to": "/7", "ping": "hello"}`, `{"to": "/7", "pong": "hello"}` | sends this control frame |
//! | `{"to": "/7", "close": 1000, "reason": "bye"}` | closes; 0 means no code |
//!
//! The argument is a JSON object with settings: `fragment_size`, `subprotocols` and `origins`; `deflate`, which enables
//! compression and states whether contexts are kept; `tls`, the folder of the certificate that both sides use and
//! trust.

#![expect(clippy::print_stdout, reason = "the test reads events from standard output")]

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::mpsc;
use std::{env, thread};

use serde_json::{Value, json};
use sockeye::{
    Builder, CloseCode, Deflate, Error, ErrorKind, Factory, Frame, Handler, Handshake, Message, OpCode,
    Origins, Request, Response, Result, Sender, Settings, WebSocket,
};
use url::Url;

fn main() -> Result<()> {
    let (names, named) = mpsc::channel();
    let wanted = env::args().nth(1).unwrap_or_else(|| "{}".to_owned());
    let wanted = serde_json::from_str(&wanted).map_err(internal)?;
    let socket = Builder::new().with_settings(settings_of(&wanted)).build(Reporters { names })?;
    let socket = encrypt(socket, wanted["tls"].as_str())?.bind("127.0.0.1:0")?;
    println!("{}", json!({ "event": "listening", "port": socket.local_addr()?.port() }));
    let all = socket.broadcaster();
    let orders = thread::spawn(move || execute_all(&all, &named));
    socket.run()?;
    orders.join().unwrap_or_else(|_| Err(internal("the thread that executes the commands has panicked")))
}

fn settings_of(wanted: &Value) -> Settings {
    let defaults = Settings::default();
    let fragment_size = wanted["fragment_size"].as_u64().and_then(|size| usize::try_from(size).ok());
    Settings {
        fragment_size: fragment_size.unwrap_or(defaults.fragment_size),
        subprotocols: leak(&wanted["subprotocols"]),
        origins: if wanted["origins"].is_array() {
            Origins::Only(leak(&wanted["origins"]))
        } else {
            Origins::Any
        },
        deflate: wanted["deflate"].as_bool().map(compression),
        // The longest message of the tests exceeds the default. It would be refused while the response of the handshake is unsent.
        max_buffered: 64 << 20,
        ..defaults
    }
}

#[cfg(all(feature = "rustls", feature = "ssl"))]
fn encrypt<F: Factory>(socket: WebSocket<F>, folder: Option<&str>) -> Result<WebSocket<F>> {
    let Some(folder) = folder else { return Ok(socket) };
    let (certificate, key) = (format!("{folder}/certificate.pem"), format!("{folder}/key.pem"));
    use sockeye_test_support::tls::{client_tls, engine};

    let client = client_tls().trust_only(&certificate).build()?;
    let server = sockeye::ServerTls::builder_from_files(&certificate, key).engine(engine()).build()?;
    Ok(socket.with_server_tls(server).with_client_tls(client))
}

#[cfg(not(all(feature = "rustls", feature = "ssl")))]
fn encrypt<F: Factory>(socket: WebSocket<F>, folder: Option<&str>) -> Result<WebSocket<F>> {
    folder.map_or(Ok(socket), |_| Err(internal("this program was built without TLS")))
}

fn compression(keeps_contexts: bool) -> Deflate {
    Deflate {
        server_no_context_takeover: !keeps_contexts,
        client_no_context_takeover: !keeps_contexts,
        threshold: 1,
        ..Deflate::default()
    }
}

/// Returns a list with a static lifetime. `Settings` needs it, because its lists are constants in most programs.
fn leak(list: &Value) -> &'static [&'static str] {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<&'static str> = words.map(|word| &*word.to_owned().leak()).collect();
    words.leak()
}

/// Executes commands until the input ends, and then shuts the loop down.
fn execute_all(all: &Sender, named: &mpsc::Receiver<(String, Sender)>) -> Result<()> {
    let mut connections = HashMap::new();
    for line in io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line?).map_err(internal)?;
        // A test only uses connections that have been reported. Their names are sent before the report.
        connections.extend(named.try_iter());
        if let Some(url) = order["connect"].as_str() {
            all.connect(url.parse().map_err(internal)?)?;
        } else if let Some((name, out)) =
            order["to"].as_str().and_then(|name| connections.get_key_value(name))
        {
            if let Err(err) = execute(&order, out) {
                report(name, "refused", json!({ "why": err.to_string() }));
            }
        } else {
            return Err(internal(format!("unknown command {order}")));
        }
    }
    all.shutdown()
}

/// Returns the bytes 0 to 255 again and again. An unoptimized loop over single bytes would take a second for the longest messages.
fn counting_bytes(len: usize) -> Vec<u8> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut bytes = all.repeat(len.div_ceil(all.len()));
    bytes.truncate(len);
    bytes
}

fn execute(order: &Value, out: &Sender) -> Result<()> {
    let bytes_of = |name: &str| order[name].as_str().map(|text| text.as_bytes().to_vec());
    if let Some(text) = order["text"].as_str() {
        out.send(text)
    } else if let Some(len) = order["bytes"].as_u64() {
        out.send(counting_bytes(usize::try_from(len).map_err(internal)?))
    } else if let Some(count) = order["count"].as_u64() {
        (0..count).try_for_each(|number| out.send(number.to_string()))
    } else if let Some(payload) = bytes_of("ping") {
        out.ping(payload)
    } else if let Some(payload) = bytes_of("pong") {
        out.pong(payload)
    } else if let Some(code) = order["close"].as_u64().and_then(|code| u16::try_from(code).ok()) {
        out.close_with_reason(CloseCode::from(code), order["reason"].as_str().unwrap_or_default().to_owned())
    } else {
        Err(internal("unknown command"))
    }
}

struct Reporters {
    names: mpsc::Sender<(String, Sender)>,
}

impl Factory for Reporters {
    type Handler = Reporter;

    fn connection_made(&mut self, out: Sender) -> Reporter {
        Reporter {
            out,
            names: self.names.clone(),
            name: String::new(),
            role: "server",
            frames: 0,
            is_compressed: false,
        }
    }

    fn client_connected(&mut self, out: Sender) -> Reporter {
        Reporter { role: "client", ..self.connection_made(out) }
    }

    fn connection_lost(&mut self, reporter: Reporter) {
        reporter.report("lost", json!({}));
    }
}

/// Echoes messages, and reports events.
struct Reporter {
    out: Sender,
    names: mpsc::Sender<(String, Sender)>,
    name: String,
    role: &'static str,
    /// The number of frames of the current message that have been received, and whether the message is compressed.
    frames: usize,
    is_compressed: bool,
}

impl Reporter {
    fn report(&self, event: &str, details: Value) {
        report(&self.name, event, details);
    }

    fn is_called(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        // The receiver no longer exists after the end of the input.
        let _ = self.names.send((name.to_owned(), self.out.clone()));
    }
}

impl Handler for Reporter {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        let request = Request::from_url(url)?;
        self.is_called(request.resource());
        Ok(request)
    }

    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.is_called(req.resource());
        if req.resource().starts_with("/refuse") {
            return Ok(Response::new(403, "Forbidden", b"not today".to_vec()));
        }
        Response::from_request(req)
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let details = json!({
            "role": self.role,
            "subprotocol": shake.response.protocol()?,
            "offered_extensions": shake.request.extensions()?,
            "extensions": shake.response.extensions()?,
        });
        self.report("open", details);
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.opcode() {
            OpCode::Ping => {
                self.report("ping", json!({ "payload": String::from_utf8_lossy(frame.payload()) }));
            }
            OpCode::Pong => {
                self.report("pong", json!({ "payload": String::from_utf8_lossy(frame.payload()) }));
            }
            OpCode::Text | OpCode::Binary | OpCode::Continue => {
                self.frames += 1;
                self.is_compressed |= frame.has_rsv1();
            }
            _ => {}
        }
        Ok(Some(frame))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        let frames = std::mem::take(&mut self.frames);
        let is_compressed = std::mem::take(&mut self.is_compressed);
        let kind = if msg.is_text() { "text" } else { "binary" };
        let details =
            json!({ "kind": kind, "len": msg.len(), "frames": frames, "compressed": is_compressed });
        self.report("message", details);
        self.out.send(msg)
    }

    fn on_rejected(&mut self, res: &Response) {
        self.report("rejected", json!({ "status": res.status() }));
    }

    fn on_error(&mut self, err: Error) {
        let kind = format!("{:?}", err.kind);
        self.report("error", json!({ "kind": kind, "text": err.to_string() }));
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.report("close", json!({ "code": u16::from(code), "reason": reason }));
    }
}

fn report(name: &str, event: &str, mut details: Value) {
    details["name"] = name.into();
    details["event"] = event.into();
    println!("{details}");
}

fn internal(err: impl ToString) -> Error {
    Error::new(ErrorKind::Internal, err.to_string())
}
