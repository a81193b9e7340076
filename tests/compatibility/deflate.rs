//! Handlers that are wrapped to compress, by themselves, by a builder, and behind other handlers.
//!
//! `ws` 0.9.2 compiles these programs, and aborts in them: it makes up a function that is not there, and no compiler of
//! these days lets it.

use std::cell::RefCell;
use std::rc::Rc;

use ws::deflate::{DeflateBuilder, DeflateHandler, DeflateSettings};
use ws::{
    Builder, CloseCode, Frame, Handler, Handshake, Message, Request, Response, Result, Sender, Settings,
    connect,
};

use crate::support::{Peer, Server, guarded, upgrade_request};

fn long_text() -> String {
    "around and around ".repeat(200)
}

/// Sends a message, notes what was agreed on and what comes back, and closes.
struct Asker {
    out: Sender,
    extensions: Rc<RefCell<String>>,
    answers: Rc<RefCell<Vec<Message>>>,
    message: Message,
}

impl Handler for Asker {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        *self.extensions.borrow_mut() = shake.response.extensions()?.join(", ");
        self.out.send(self.message.clone())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.answers.borrow_mut().push(msg);
        self.out.close(CloseCode::Normal)
    }
}

/// What a client that asks has agreed on with the server, and the one answer that it gets.
fn ask<H: Handler>(url: String, message: Message, wrap: impl Fn(Asker) -> H) -> (String, Message) {
    let (extensions, answers) = (Rc::default(), Rc::default());
    connect(url, |out| {
        let (extensions, answers) = (Rc::clone(&extensions), Rc::clone(&answers));
        wrap(Asker { out, extensions, answers, message: message.clone() })
    })
    .unwrap();
    let answer = answers.borrow_mut().remove(0);
    (extensions.take(), answer)
}

#[test]
fn wrapped_handlers_compress_their_messages() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)));
        for message in
            [Message::text(long_text()), Message::binary(vec![7; 100_000]), Message::text("short"), "".into()]
        {
            let (agreed, answer) = ask(server.url(), message.clone(), DeflateHandler::new);
            assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
            assert_eq!(answer, message);
        }
        server.stop();
    });
}

#[test]
fn a_wrapped_handler_communicates_with_an_unwrapped_peer() {
    guarded(|| {
        let wrapped = Server::run(|| |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)));
        let plain = Server::run(|| |out: Sender| move |msg: Message| out.send(msg));
        let message = Message::text(long_text());
        assert_eq!(ask(wrapped.url(), message.clone(), |asker| asker), (String::new(), message.clone()));
        assert_eq!(ask(plain.url(), message.clone(), DeflateHandler::new), (String::new(), message));
        wrapped.stop();
        plain.stop();
    });
}

/// Fragments of a compressed message, as in the program of `ws` that tests this.
#[test]
fn a_compressed_message_is_sent_in_fragments() {
    guarded(|| {
        let settings = Settings { fragment_size: 4, ..Settings::default() };
        let server = Server::run_with(settings, || {
            |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg))
        });
        let (_, answer) = ask(server.url(), Message::text(long_text()), DeflateHandler::new);
        assert_eq!(answer, Message::text(long_text()));
        server.stop();
    });
}

#[test]
fn the_settings_of_a_builder_are_negotiated() {
    guarded(|| {
        let defaults = DeflateSettings::default();
        assert_eq!((defaults.max_window_bits, defaults.fragments_capacity), (15, 10));
        assert!(!defaults.request_no_context_takeover);
        assert!(defaults.accept_no_context_takeover && defaults.fragments_grow);
        let mut builder = DeflateBuilder::new();
        builder.with_settings(DeflateSettings {
            max_window_bits: 12,
            request_no_context_takeover: true,
            ..DeflateSettings::default()
        });
        let server = Server::run(|| |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)));
        let (agreed, answer) = ask(server.url(), Message::text(long_text()), |asker| builder.build(asker));
        assert!(agreed.contains("server_no_context_takeover"), "{agreed}");
        assert!(agreed.contains("server_max_window_bits=12"), "{agreed}");
        assert_eq!(answer, Message::text(long_text()));
        server.stop();
    });
}

/// The first offer that can be accepted is.
#[test]
fn a_wrapped_server_accepts_the_first_acceptable_offer() {
    guarded(|| {
        let server = Server::run(|| |_| DeflateHandler::new(|_: Message| Ok(())));
        let answer_to = |offer: &str| {
            let mut peer = Peer::connect(server.addr);
            let request = upgrade_request(server.addr, "GET");
            let end = format!("Sec-WebSocket-Extensions: {offer}\r\n\r\n");
            peer.send(request.replace("\r\n\r\n", &format!("\r\n{end}")).as_bytes());
            peer.head().text
        };
        let head = answer_to("permessage-deflate; server_no_context_takeover");
        assert!(head.contains("permessage-deflate; server_no_context_takeover"), "{head}");
        let head = answer_to("permessage-deflate; server_max_window_bits=8");
        assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("permessage-deflate"), "{head}");
        let head = answer_to("permessage-deflate; server_max_window_bits=8, permessage-deflate");
        assert!(head.contains("permessage-deflate"), "{head}");
        server.stop();
    });
}

/// Decides with `on_request` who goes on, and hands on only what it knows of.
struct Chooser {
    out: Sender,
    inner: Box<dyn Handler>,
}

impl Handler for Chooser {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let out = self.out.clone();
        let echo = move |msg: Message| out.send(msg);
        self.inner = match req.resource() {
            "/compressed" => Box::new(DeflateHandler::new(echo)),
            _ => Box::new(echo),
        };
        self.inner.on_request(req)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.inner.on_message(msg)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner.on_frame(frame)
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.inner.on_send_frame(frame)
    }
}

#[test]
fn a_router_can_choose_a_wrapped_handler() {
    guarded(|| {
        let server = Server::run(|| {
            |out| {
                let undecided: Box<dyn Handler> = Box::new(|_: Message| Ok(()));
                Chooser { out, inner: undecided }
            }
        });
        let message = Message::text(long_text());
        let (agreed, answer) = ask(server.at("/compressed"), message.clone(), DeflateHandler::new);
        assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
        assert_eq!(answer, message);
        assert_eq!(ask(server.at("/plain"), message.clone(), DeflateHandler::new), (String::new(), message));
        server.stop();
    });
}

/// The wrapped handler decides on the upgrade, too.
struct Doorkeeper;

impl Handler for Doorkeeper {
    fn on_request(&mut self, _: &Request) -> Result<Response> {
        Ok(Response::new(403, "Forbidden", Vec::new()))
    }
}

#[test]
fn a_wrapped_handler_can_reject_a_request() {
    guarded(|| {
        let server = Server::run(|| |_| DeflateHandler::new(Doorkeeper));
        let mut peer = Peer::connect(server.addr);
        peer.send(upgrade_request(server.addr, "GET").as_bytes());
        let head = peer.head().text;
        assert!(head.starts_with("HTTP/1.1 403 ") && !head.contains("permessage-deflate"), "{head}");
        server.stop();
    });
}

/// Server and client in one loop.
#[test]
fn one_loop_can_have_a_wrapped_server_and_a_wrapped_client() {
    guarded(|| {
        let answers = RefCell::new(Vec::new());
        let mut count = 0;
        let factory = |out: Sender| {
            count += 1;
            let (is_client, answers) = (count == 1, &answers);
            if is_client {
                out.send(long_text()).unwrap();
            }
            DeflateHandler::new(move |msg: Message| {
                if !is_client {
                    return out.send(msg);
                }
                answers.borrow_mut().push(msg);
                out.shutdown()
            })
        };
        let mut socket = Builder::new().build(factory).unwrap().bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        socket.run().unwrap();
        assert_eq!(answers.into_inner(), [Message::text(long_text())]);
    });
}
