//! Settings: by functional update, by assignment, handed to a builder; and what some of them do.

use std::cell::RefCell;

use ws::{Builder, CloseCode, Error, ErrorKind, Frame, Handler, Message, OpCode, Result, Sender, Settings};

use crate::support::{Peer, Server, guarded, unmasked};

/// Every field that `ws` had, by name and type.
#[test]
fn settings_have_all_fields_of_ws() {
    let settings = Settings {
        max_connections: 200,
        queue_size: 50,
        panic_on_new_connection: false,
        panic_on_shutdown: false,
        fragments_capacity: 10,
        fragments_grow: true,
        fragment_size: 4096,
        max_fragment_size: 1 << 20,
        in_buffer_capacity: 2048,
        in_buffer_grow: true,
        out_buffer_capacity: 2048,
        out_buffer_grow: true,
        panic_on_internal: false,
        panic_on_capacity: false,
        panic_on_protocol: false,
        panic_on_encoding: false,
        panic_on_queue: false,
        panic_on_io: false,
        panic_on_timeout: false,
        shutdown_on_interrupt: false,
        masking_strict: true,
        key_strict: true,
        method_strict: true,
        encrypt_server: false,
        tcp_nodelay: true,
        ..Settings::default()
    };
    let copy = settings;
    assert_eq!((copy.max_connections, settings.queue_size), (200, 50));
    assert!(format!("{settings:?}").contains("max_connections: 200"));
}

#[test]
fn some_defaults_are_those_of_ws() {
    let settings = Settings::default();
    assert_eq!(settings.fragment_size, 65_535);
    assert_eq!((settings.fragments_capacity, settings.fragments_grow), (10, true));
    assert_eq!((settings.in_buffer_capacity, settings.out_buffer_capacity), (2048, 2048));
    assert!(settings.in_buffer_grow && settings.out_buffer_grow && !settings.encrypt_server);
}

#[test]
#[expect(clippy::field_reassign_with_default, reason = "many programs do it")]
fn settings_can_be_assigned_and_a_builder_can_be_reused() {
    guarded(|| {
        let mut settings = Settings::default();
        settings.max_connections = 5;
        settings.tcp_nodelay = true;
        let mut builder = Builder::new();
        builder.with_settings(settings);
        let first = builder.build(|_| |_| Ok(())).unwrap().bind("127.0.0.1:0").unwrap();
        let second =
            builder.build(|out: Sender| move |msg| out.send(msg)).unwrap().bind("127.0.0.1:0").unwrap();
        assert_ne!(first.local_addr().unwrap(), second.local_addr().unwrap());
        let copied = builder;
        copied.build(|_| |_| Ok(())).unwrap();
        Builder::default().build(|_| |_| Ok(())).unwrap();
    });
}

#[test]
fn a_strict_server_rejects_unmasked_frames() {
    guarded(|| {
        let settings = Settings { masking_strict: true, ..Default::default() };
        let server = Server::run_with(settings, || |out: Sender| move |msg| out.send(msg));
        let mut peer = Peer::open(server.addr);
        peer.send(&unmasked(Frame::message(b"bare".to_vec(), OpCode::Text, true)));
        assert_eq!(peer.close_code(), Some(1002));
        drop(peer);
        server.stop();
    });
}

#[test]
fn a_lenient_server_accepts_unmasked_frames() {
    guarded(|| {
        let settings = Settings { masking_strict: false, ..Default::default() };
        let server = Server::run_with(settings, || |out: Sender| move |msg| out.send(msg));
        let mut peer = Peer::open(server.addr);
        peer.send(&unmasked(Frame::message(b"bare".to_vec(), OpCode::Text, true)));
        assert_eq!(peer.next_frame().unwrap().into_data(), b"bare");
        drop(peer);
        server.stop();
    });
}

/// Closes at the first message, and stores the kind of the first error.
struct Limited<'a> {
    out: Sender,
    error: &'a RefCell<Option<ErrorKind>>,
}

impl Handler for Limited<'_> {
    fn on_message(&mut self, _: Message) -> Result<()> {
        self.out.close(CloseCode::Normal)
    }

    fn on_error(&mut self, err: Error) {
        self.error.borrow_mut().get_or_insert(err.kind);
    }
}

fn client_error(settings: Settings, server: &Server) -> Option<ErrorKind> {
    let error = RefCell::new(None);
    let mut client = Builder::new()
        .with_settings(settings)
        .build(|out: Sender| {
            out.send("nine ch's").unwrap();
            Limited { out, error: &error }
        })
        .unwrap();
    client.connect(server.url().parse().unwrap()).unwrap();
    drop(client.run().unwrap());
    error.into_inner()
}

#[test]
fn a_frame_over_the_limit_is_rejected() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let limited = |max_fragment_size| Settings { max_fragment_size, ..Settings::default() };
        assert!(client_error(limited(9), &server).is_none());
        assert!(client_error(limited(8), &server).is_some());
        server.stop();
    });
}

#[test]
fn the_number_of_fragments_is_limited_unless_it_can_grow() {
    guarded(|| {
        let parts = Settings { fragment_size: 2, ..Settings::default() };
        let server = Server::run_with(parts, || |out: Sender| move |msg| out.send(msg));
        let limited =
            |fragments_grow| Settings { fragments_capacity: 3, fragments_grow, ..Settings::default() };
        assert!(client_error(limited(true), &server).is_none());
        assert!(matches!(client_error(limited(false), &server), Some(ErrorKind::Capacity)));
        server.stop();
    });
}

#[test]
fn the_factory_is_not_called_beyond_max_connections() {
    guarded(|| {
        let settings = Settings { max_connections: 1, queue_size: 100, ..Settings::default() };
        let server = Server::run_with(settings, || {
            let mut made = 0;
            move |out: Sender| {
                made += 1;
                assert_eq!(made, 1);
                move |msg| out.send(msg)
            }
        });
        let mut first = Peer::open(server.addr);
        let second = Peer::connect(server.addr).rest_text();
        assert!(!second.starts_with("HTTP/1.1 101"), "{second}");
        first.send(Frame::message(b"still served".to_vec(), OpCode::Text, true));
        assert_eq!(first.next_frame().unwrap().into_data(), b"still served");
        drop(first);
        server.stop();
    });
}
