//! Lists of extensions, and the negotiation of permessage-deflate: what a server accepts, a client accepts too, and messages arrive
//! unchanged in both directions.

#![no_main]

use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{Config, Deflate, State};
use sockeye::{Message, Request};
use sockeye_fuzz::Reader;
use sockeye_fuzz::end::{Core, End, Seen};

fn deflate(reader: &mut Reader<'_>) -> Deflate {
    let (flags, bits) = (reader.byte(), reader.byte());
    Deflate {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: 9 + bits % 7,
        client_max_window_bits: 9 + bits / 7 % 7,
        threshold: 1,
        level: 1,
        ..Deflate::default()
    }
}

fn config(deflate: Deflate) -> Arc<Config> {
    Arc::new(Config { deflate: Some(deflate), ..Config::default() })
}

fn transfer(from: &mut End, to: &mut End) -> Vec<Vec<u8>> {
    let (mut bytes, mut messages) = (std::mem::take(&mut from.out), Vec::new());
    to.feed(&mut bytes, &mut |seen| match seen {
        Seen::Message(_, payload) => messages.push(payload.to_vec()),
        Seen::Failed(err) => panic!("an end rejects what the other one sends: {err:?}"),
        _ => {}
    });
    messages
}

fn send(end: &mut End, payload: &[u8]) {
    let Core::Automatic(connection) = &mut end.core else { return };
    connection.send(Message::binary(payload), end.now, &mut end.out).expect("the connection is open");
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let (wanted_by_client, wanted_by_server) = (deflate(&mut reader), deflate(&mut reader));
    let is_answer = reader.byte() & 1 != 0;
    let list = reader.rest();
    if let Ok(extensions) = Extension::parse_list(list) {
        let again = extensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(Extension::parse_list(again.as_bytes()).as_ref(), Ok(&extensions));
    }

    let now = Instant::now();
    let mut request =
        Request::from_url(&"ws://a/".parse().expect("the URL is valid")).expect("the URL has a host");
    if is_answer {
        let config = Config { key_strict: false, deflate: Some(wanted_by_client), ..Config::default() };
        let mut client = End::client(Arc::new(config), request, now).expect("the request is valid");
        let head =
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: ";
        let mut bytes = [&head[..], list, b"\r\n\r\n"].concat();
        client.feed(&mut bytes, &mut |_| ());
        if client.state() == State::Open {
            send(&mut client, b"payload payload payload payload");
        }
        return;
    }
    if request.add_header("Sec-WebSocket-Extensions", list).is_err() {
        return;
    }
    let Ok(mut client) = End::client(config(wanted_by_client), request, now) else { return };
    let mut server = End::server(config(wanted_by_server), now);
    transfer(&mut client, &mut server);
    transfer(&mut server, &mut client);
    if client.out.is_empty() && client.state() != State::Open {
        // The head is too large.
        assert_eq!((client.state(), server.state()), (State::Closed, State::Closing));
        return;
    }
    for payload in
        [b"salmon salmon salmon".repeat(20), b"salmon".to_vec(), vec![], b"trout salmon trout".repeat(9)]
    {
        send(&mut client, &payload);
        send(&mut server, &payload);
        let expected = [payload];
        assert_eq!(transfer(&mut client, &mut server), expected);
        assert_eq!(transfer(&mut server, &mut client), expected);
    }
});
