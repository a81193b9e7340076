//! What is new: more kinds of handlers and messages, and things that took a handler before and are a setting now.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use ws::{
    CloseCode, Handler, Handshake, Message, Origins, Request, Response, Result, Sender, Settings,
    TrustedProxies, connect,
};

use crate::support::{Peer, Server, guarded, upgrade_request};

/// Records the control frames that the handler sees.
struct Frames(Rc<RefCell<Vec<String>>>, Sender);

impl Handler for Frames {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.1.ping(b"mine".to_vec())
    }

    fn on_frame(&mut self, frame: ws::Frame) -> Result<Option<ws::Frame>> {
        self.0.borrow_mut().push(format!("received {}", frame.opcode()));
        if frame.opcode() == ws::OpCode::Close {
            self.1.shutdown()?;
        }
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: ws::Frame) -> Result<Option<ws::Frame>> {
        self.0.borrow_mut().push(format!("sent {}", frame.opcode()));
        Ok(Some(frame))
    }
}

#[test]
fn automatic_pings_are_shown_to_on_send_frame_only() {
    guarded(|| {
        let interval = Some(std::time::Duration::from_millis(20));
        let settings = Settings { ping_interval: interval, ..Settings::default() };
        let frames = Rc::<RefCell<Vec<String>>>::default();
        let socket = ws::Builder::new()
            .with_settings(settings)
            .build(|out| Frames(Rc::clone(&frames), out))
            .unwrap()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("ws://{}", socket.local_addr().unwrap());
        let client = std::thread::spawn(move || {
            // The peer answers Pings by itself, and closes after the third one.
            connect(url, |out| Counter { out, pings: 0 })
        });
        socket.run().unwrap();
        client.join().unwrap().unwrap();
        let frames = frames.borrow();
        let count = |what: &str| frames.iter().filter(|frame| *frame == what).count();
        assert!(count("sent PING") >= 3 && count("received PONG") == 1, "{frames:?}");
    });
}

/// Closes after three Pings that this program did not ask for, and one that it did.
struct Counter {
    out: Sender,
    pings: usize,
}

impl Handler for Counter {
    fn on_frame(&mut self, frame: ws::Frame) -> Result<Option<ws::Frame>> {
        self.pings += usize::from(frame.opcode() == ws::OpCode::Ping);
        if self.pings == 4 {
            self.out.close(CloseCode::Normal)?;
        }
        Ok(Some(frame))
    }
}

#[test]
fn a_closure_with_mutable_state_can_be_a_handler() {
    guarded(|| {
        let server = Server::run(|| {
            |out: Sender| {
                let mut count = 0;
                move |msg: Message| {
                    count += msg.len();
                    out.send(count.to_string())
                }
            }
        });
        let answers = RefCell::new(Vec::new());
        connect(server.url(), |out| {
            ["a", "bb", "ccc"].iter().for_each(|text| out.send(*text).unwrap());
            let (answers, mut left) = (&answers, 3);
            move |msg: Message| {
                answers.borrow_mut().push(msg.into_text()?);
                left -= 1;
                if left == 0 { out.close(CloseCode::Normal) } else { Ok(()) }
            }
        })
        .unwrap();
        assert_eq!(answers.into_inner(), ["1", "3", "6"]);
        server.stop();
    });
}

struct Greeter(Sender);

impl Handler for Greeter {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.send("a struct")
    }
}

#[test]
fn a_boxed_handler_can_be_a_handler() {
    guarded(|| {
        let server = Server::run(|| {
            |out: Sender| -> Box<dyn Handler> {
                match out.connection_id() {
                    0 => Box::new(Greeter(out)),
                    _ => {
                        out.send("a closure").unwrap();
                        Box::new(move |msg| out.send(msg))
                    }
                }
            }
        });
        for greeting in ["a struct", "a closure"] {
            assert_eq!(Peer::open(server.addr).next_frame().unwrap().into_data(), greeting.as_bytes());
        }
        server.stop();
        Server::run(|| |out| -> Box<dyn Handler + Send> { Box::new(Greeter(out)) }).stop();
    });
}

#[test]
fn messages_convert_from_cows_and_boxes() {
    assert_eq!(Message::from(Cow::from("lent")), Message::text("lent"));
    assert_eq!(Message::from(Cow::from(vec![1])), Message::binary([1]));
    assert_eq!(Message::from(Box::<str>::from("boxed")), Message::text("boxed"));
    assert_eq!(Message::from(Box::<[u8]>::from([1, 2])), Message::binary([1, 2]));
}

#[test]
fn protocols_and_extensions_are_removed_by_name() {
    let mut req = Request::from_url(&"ws://localhost/".parse().unwrap()).unwrap();
    ["a", "b"].iter().for_each(|name| {
        req.add_protocol(name);
        req.add_extension(name);
    });
    req.remove_protocol("a");
    req.remove_extension("b");
    assert_eq!((req.protocols().unwrap(), req.extensions().unwrap()), (vec!["b"], vec!["a"]));
    let mut res = Response::from_request(&req).unwrap();
    res.add_extension("a");
    res.add_extension("b");
    res.remove_extension("a");
    assert_eq!(res.extensions().unwrap(), ["b"]);
    assert!(res.header("upgrade").is_some() && req.is_upgrade());
}

#[test]
fn a_setting_selects_a_subprotocol() {
    guarded(|| {
        let settings = Settings { subprotocols: &["v2", "v1"], ..Settings::default() };
        let server = Server::run_with(settings, || |_| |_| Ok(()));
        let mut peer = Peer::connect(server.addr);
        let offer = "\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n";
        peer.send(upgrade_request(server.addr, "GET").replace("\r\n\r\n", offer).as_bytes());
        let head = peer.head().text;
        assert!(head.contains("Sec-WebSocket-Protocol: v2\r\n"), "{head}");
        drop(peer);
        server.stop();
    });
}

#[test]
fn a_setting_checks_the_origin() {
    guarded(|| {
        let settings = Settings { origins: Origins::SameHost, ..Settings::default() };
        let server = Server::run_with(settings, || |_| |_| Ok(()));
        for (origin, status) in
            [("http://evil.example", 403), (server.url().replace("ws:", "http:").as_str(), 101)]
        {
            let mut peer = Peer::connect(server.addr);
            let from = format!("\r\nOrigin: {origin}\r\n\r\n");
            peer.send(upgrade_request(server.addr, "GET").replace("\r\n\r\n", &from).as_bytes());
            let head = peer.head().text;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin} {head}");
        }
        server.stop();
    });
}

struct Mirror(Sender);

impl Handler for Mirror {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.0.send(shake.remote_addr()?.unwrap_or_default())
    }
}

#[test]
fn a_forwarded_address_is_used_only_from_trusted_proxies() {
    guarded(|| {
        for (trusted_proxies, expected) in
            [(TrustedProxies::None, "127.0.0.1"), (TrustedProxies::Loopback, "192.0.2.7")]
        {
            let settings = Settings { trusted_proxies, ..Settings::default() };
            let server = Server::run_with(settings, || Mirror);
            let mut peer = Peer::connect(server.addr);
            let forwarded = "\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
            peer.send(upgrade_request(server.addr, "GET").replace("\r\n\r\n", forwarded).as_bytes());
            peer.head();
            assert_eq!(peer.next_frame().unwrap().into_data(), expected.as_bytes());
            drop(peer);
            server.stop();
        }
    });
}

/// A handler that remembers what `on_open` receives.
#[derive(Default)]
struct Visitor {
    path: String,
    client: Option<String>,
}

impl Handler for Visitor {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.path = shake.request.resource().to_owned();
        self.client = shake.remote_addr()?;
        Ok(())
    }
}

/// In `ws`, a test creates the `Handshake` as a literal. Here it has private fields, and `Handshake::new`.
#[test]
fn a_handler_can_be_tested_without_a_connection() {
    let mut request = Request::from_url(&"ws://localhost/salmon".parse().unwrap()).unwrap();
    request.headers_mut().push(("X-Forwarded-For".into(), b"203.0.113.7".to_vec()));
    let response = Response::from_request(&request).unwrap();
    let mut shake = Handshake::new(request, response).with_trusted_proxies(TrustedProxies::Loopback);
    assert_eq!((shake.peer_addr, shake.local_addr, shake.tls_version()), (None, None, None));
    shake.peer_addr = Some("127.0.0.1:4000".parse().unwrap());
    let mut visitor = Visitor::default();
    visitor.on_open(shake).unwrap();
    assert_eq!((visitor.path.as_str(), visitor.client.as_deref()), ("/salmon", Some("203.0.113.7")));
}
