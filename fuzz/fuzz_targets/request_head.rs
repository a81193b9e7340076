//! The head of a request: all that a server or a program reads from it.

#![no_main]

use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::Config;
use sockeye::{Origins, Request, Response};
use sockeye_fuzz::end::End;

fn read_all_of(request: &Request) {
    let _ = (request.protocols(), request.extensions(), request.origin(), request.client_addr());
    let _ = (request.key(), request.hashed_key(), request.version(), request.is_upgrade());
    let _ = Origins::SameHost.allows(request);
    let text = request.to_string();
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\r' && c != '\n'),
        "{text:?} is written to a log"
    );
    let mut again = Vec::new();
    request.encode(&mut again).expect("what was received can be sent");
    let parsed = Request::parse(&again).expect("what is sent is valid").expect("what is sent is complete");
    assert_eq!((parsed.method(), parsed.resource()), (request.method(), request.resource()));
    assert_eq!(parsed.headers(), request.headers());
    if let Ok(mut response) = Response::from_request(request) {
        response.choose_protocol(request, &["chat", "b"]);
        let mut out = Vec::new();
        response.encode(&mut out).expect("the response can be sent");
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = Request::parse(input);
    if let Ok(Some(request)) = &whole {
        read_all_of(request);
    }
    // A part of a head is incomplete, or as invalid as the whole.
    if let Some((_, part)) = input.split_last() {
        match (Request::parse(part), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(part)), Ok(Some(whole))) => assert_eq!(part.headers(), whole.headers()),
            (part, whole) => panic!("{part:?} becomes {whole:?}"),
        }
    }
    let config =
        Config { subprotocols: vec!["b".to_owned()], origins: Origins::SameHost.into(), ..Config::default() };
    let mut server = End::server(Arc::new(config), Instant::now());
    server.feed(&mut input.to_vec(), &mut |_| ());
    assert!(whole.is_err() || whole.is_ok_and(|whole| whole.is_none()) == server.out.is_empty());
});
