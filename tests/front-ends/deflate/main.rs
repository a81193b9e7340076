//! Compression in the event loop: the setting, the wrapper of `ws`, and the choice for single messages.

#![cfg(all(feature = "reactor", feature = "permessage-deflate"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::mpsc::{self, Receiver};
use std::thread;

use sockeye::deflate::{DeflateBuilder, DeflateHandler, DeflateSettings};
use sockeye::{
    Builder, CloseCode, Deflate, Error, ErrorKind, Frame, Handler, Handshake, Message, Response, Result,
    Sender, Settings,
};
use sockeye_test_support::LIMIT;
use sockeye_test_support::server::Server;

const EAGER: Deflate = Deflate {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    accept_no_context_takeover: true,
    level: 6,
    threshold: 1,
};

fn with(deflate: Deflate) -> Settings {
    Settings { deflate: Some(deflate), ..Settings::default() }
}

/// What a handler has seen.
#[derive(Debug, PartialEq)]
enum Seen {
    Open(String),
    Response,
    /// A data frame: whether it was compressed, and its payload.
    Frame(bool, Vec<u8>),
    Message(Message),
    Error(String),
    Close(CloseCode),
}

/// Records all calls, and does one thing when the connection opens.
struct Witness {
    out: Sender,
    seen: mpsc::Sender<Seen>,
    at_first: fn(&Sender) -> Result<()>,
}

impl Witness {
    fn record(&self, seen: Seen) {
        let _ = self.seen.send(seen);
    }
}

impl Handler for Witness {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.record(Seen::Open(shake.response.extensions()?.join(", ")));
        (self.at_first)(&self.out)
    }

    fn on_response(&mut self, _: &Response) -> Result<()> {
        self.record(Seen::Response);
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if !frame.is_control() {
            self.record(Seen::Frame(frame.has_rsv1(), frame.payload().clone()));
        }
        Ok(Some(frame))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.record(Seen::Message(msg));
        Ok(())
    }

    fn on_error(&mut self, err: Error) {
        let is_capacity = matches!(err.kind, ErrorKind::Capacity);
        self.record(Seen::Error(format!("{is_capacity}")));
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.record(Seen::Close(code));
    }
}

/// Runs a client that has something to do, until its connection ends.
fn client<H: Handler + 'static>(
    settings: Settings,
    url: String,
    at_first: fn(&Sender) -> Result<()>,
    wrap: fn(Witness) -> H,
) -> Receiver<Seen> {
    let (rx, seen) = mpsc::channel();
    thread::spawn(move || {
        let factory = |out| wrap(Witness { out, seen: rx.clone(), at_first });
        let mut socket = Builder::new().with_settings(settings).build(factory).unwrap();
        socket.connect(url.parse().unwrap()).unwrap();
        let _ = socket.run();
    });
    seen
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(LIMIT).unwrap()
}

fn echo(settings: Settings) -> Server {
    Server::run_with(settings, || |out: Sender| move |msg: Message| out.send(msg))
}

fn text() -> Message {
    Message::text("over and over ".repeat(100))
}

/// The echo of a message, and whether it came compressed.
fn comes_back(seen: &Receiver<Seen>) -> bool {
    let Seen::Frame(is_compressed, payload) = next(seen) else { panic!("a frame comes first") };
    assert_eq!(next(seen), Seen::Message(text()));
    assert_eq!(payload.len() < 200, is_compressed);
    is_compressed
}

#[test]
fn the_deflate_setting_compresses_in_both_roles() {
    let server = echo(with(EAGER));
    let seen = client(with(EAGER), server.url(), |out| out.send(text()), |witness| witness);
    assert_eq!(next(&seen), Seen::Response);
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(next(&seen), Seen::Open(answer.to_owned()));
    assert!(comes_back(&seen));
    server.stop();
    assert_eq!(next(&seen), Seen::Close(CloseCode::Away));
}

#[test]
fn messages_are_not_compressed_unless_both_ends_have_the_setting() {
    for (ours, theirs) in [(Settings::default(), with(EAGER)), (with(EAGER), Settings::default())] {
        let server = echo(theirs);
        let seen = client(ours, server.url(), |out| out.send(text()), |witness| witness);
        assert_eq!((next(&seen), next(&seen)), (Seen::Response, Seen::Open(String::new())));
        assert!(!comes_back(&seen));
        server.stop();
    }
}

#[test]
fn the_wrapper_of_ws_compresses_like_the_setting() {
    let threshold = Message::text("0123456789".repeat(200));
    assert!(threshold.len() > Deflate::default().threshold);
    let server = Server::run_with(Settings::default(), || {
        |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg))
    });
    for wrapped in [false, true] {
        let at_first: fn(&Sender) -> Result<()> = |out| out.send("0123456789".repeat(200));
        let seen = match wrapped {
            true => client(Settings::default(), server.url(), at_first, DeflateHandler::new),
            false => client(with(EAGER), server.url(), at_first, |witness| witness),
        };
        // The inner handler receives every call.
        assert_eq!(next(&seen), Seen::Response);
        assert!(matches!(next(&seen), Seen::Open(answer) if answer.starts_with("permessage-deflate")));
        assert!(matches!(next(&seen), Seen::Frame(true, payload) if payload.len() < 100));
        assert_eq!(next(&seen), Seen::Message(threshold.clone()));
    }
    server.stop();
}

#[test]
fn the_builder_of_ws_sets_the_negotiated_parameters() {
    let server = echo(Settings {
        deflate: Some(Deflate { server_no_context_takeover: false, ..EAGER }),
        ..with(EAGER)
    });
    let agreed = |wrap: fn(Witness) -> DeflateHandler<Witness>| {
        let seen = client(Settings::default(), server.url(), |_| Ok(()), wrap);
        assert_eq!(next(&seen), Seen::Response);
        next(&seen)
    };
    let asking = |witness| {
        let settings = DeflateSettings {
            max_window_bits: 10,
            request_no_context_takeover: true,
            ..DeflateSettings::default()
        };
        DeflateBuilder::new().with_settings(settings).build(witness)
    };
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                  server_max_window_bits=10; client_max_window_bits=10";
    assert_eq!(agreed(asking), Seen::Open(answer.to_owned()));
    server.stop();

    // A client that insists on its context does not open with a server that wants none.
    let server = echo(with(EAGER));
    let insisting = |witness| {
        let settings = DeflateSettings { accept_no_context_takeover: false, ..DeflateSettings::default() };
        DeflateBuilder::new().with_settings(settings).build(witness)
    };
    let seen = client(Settings::default(), server.url(), |_| Ok(()), insisting);
    assert_eq!(next(&seen), Seen::Error("false".to_owned()));
    server.stop();
}

#[test]
fn the_builder_of_ws_limits_fragments_unless_they_can_grow() {
    for (fragments_grow, code) in [(true, CloseCode::Away), (false, CloseCode::Policy)] {
        let limits = DeflateSettings { fragments_capacity: 3, fragments_grow, ..DeflateSettings::default() };
        let server = Server::run_with(Settings::default(), move || {
            move |_| DeflateBuilder::new().with_settings(limits).build(|_: Message| Ok(()))
        });
        let cutting = Settings { fragment_size: 2, ..with(EAGER) };
        let seen = client(cutting, server.url(), |out| out.send("abcdefghijkl"), |witness| witness);
        assert_eq!(next(&seen), Seen::Response);
        assert!(matches!(next(&seen), Seen::Open(_)));
        if fragments_grow {
            server.stop();
            assert_eq!(next(&seen), Seen::Close(code));
        } else {
            assert_eq!(next(&seen), Seen::Close(code));
            server.stop();
        }
    }
}

#[test]
fn a_message_can_be_sent_uncompressed() {
    let (rx, at_server) = mpsc::channel();
    let server = Server::run_with(with(EAGER), move || {
        move |out| Witness { out, seen: rx.clone(), at_first: |_| Ok(()) }
    });
    let at_first: fn(&Sender) -> Result<()> = |out| {
        out.send(text())?;
        out.send_uncompressed(text())?;
        out.send(text())
    };
    let _seen = client(with(EAGER), server.url(), at_first, |witness| witness);
    assert!(matches!(next(&at_server), Seen::Open(_)));
    assert_eq!([(); 3].map(|()| comes_back(&at_server)), [true, false, true]);
    server.stop();
}

#[test]
fn m11_a_broadcast_is_compressed_only_for_connections_with_deflate() {
    let server = echo(with(EAGER));
    let clients = [(); 3].map(|()| client(with(EAGER), server.url(), |_| Ok(()), |witness| witness));
    let plain = client(Settings::default(), server.url(), |_| Ok(()), |witness| witness);
    for seen in clients.iter().chain([&plain]) {
        assert_eq!(next(seen), Seen::Response);
        assert!(matches!(next(seen), Seen::Open(_)));
    }
    server.all.send(text()).unwrap();
    assert!(clients.iter().all(comes_back) && !comes_back(&plain));
    server.all.send_uncompressed(text()).unwrap();
    assert!(!clients.iter().chain([&plain]).any(comes_back));
    server.stop();
}

#[test]
fn a_boxed_wrapped_closure_receives_compressed_messages() {
    let server = Server::run_with(with(EAGER), || {
        |out: Sender| -> Box<dyn Handler> { Box::new(DeflateHandler::new(move |msg: Message| out.send(msg))) }
    });
    let seen = client(with(EAGER), server.url(), |out| out.send(text()), |witness| witness);
    assert_eq!(next(&seen), Seen::Response);
    assert!(matches!(next(&seen), Seen::Open(_)));
    assert!(comes_back(&seen));
    server.stop();
}

#[test]
fn d1_a_bomb_closes_only_its_own_connection() {
    let server = echo(Settings { max_message_size: 100_000, ..with(EAGER) });
    let good = client(with(EAGER), server.url(), |_| Ok(()), |witness| witness);
    assert_eq!(next(&good), Seen::Response);
    assert!(matches!(next(&good), Seen::Open(_)));
    let bad = client(with(EAGER), server.url(), |out| out.send(vec![0; 10_000_000]), |witness| witness);
    assert_eq!(next(&bad), Seen::Response);
    assert!(matches!(next(&bad), Seen::Open(_)));
    assert_eq!(next(&bad), Seen::Close(CloseCode::Size));
    server.all.send(text()).unwrap();
    assert!(comes_back(&good));
    server.stop();
}

#[test]
fn settings_out_of_range_are_rejected() {
    let nonsense = [
        Deflate { level: 0, ..EAGER },
        Deflate { level: 10, ..EAGER },
        Deflate { server_max_window_bits: 8, ..EAGER },
        Deflate { server_max_window_bits: 16, ..EAGER },
        Deflate { client_max_window_bits: 0, ..EAGER },
        Deflate { client_max_window_bits: 255, ..EAGER },
    ];
    for deflate in nonsense {
        let built = Builder::new().with_settings(with(deflate)).build(|_| |_| Ok(()));
        let err = built.err().unwrap();
        assert!(err.details.contains("Settings::deflate"), "{err}");
    }
    assert!(Builder::new().with_settings(with(EAGER)).build(|_| |_| Ok(())).is_ok());
}
