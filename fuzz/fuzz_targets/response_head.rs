//! The head of a response, and its body: all that a client or a program reads from it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::Response;
use sockeye::protocol::handshake::Body;

fn read_all_of(response: &Response) {
    let _ = (response.key(), response.protocol(), response.extensions());
    let text = response.to_string();
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\r' && c != '\n'),
        "{text:?} is written to a log"
    );
    let mut again = Vec::new();
    if response.encode(&mut again).is_ok() {
        let parsed =
            Response::parse(&again).expect("what is sent is valid").expect("what is sent is complete");
        assert_eq!(parsed.status(), response.status());
        assert_eq!(parsed.headers(), response.headers());
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = Response::parse(input);
    if let Ok(Some(response)) = &whole {
        read_all_of(response);
        let end = input.windows(4).position(|four| four == b"\r\n\r\n").map_or(input.len(), |at| at + 4);
        let body = &input[end..];
        let mut at_once = Body::of(response, 64);
        let is_complete = at_once.push(body);
        let mut in_pieces = Body::of(response, 64);
        let ended = body.chunks(3).position(|piece| in_pieces.push(piece));
        assert!(ended.is_none() || is_complete, "complete in pieces only");
        let (at_once, in_pieces) = (at_once.finish(), in_pieces.finish());
        assert!(at_once.len() <= 64, "more than the limit");
        assert_eq!(at_once, in_pieces);
    }
    if let Some((_, part)) = input.split_last() {
        match (Response::parse(part), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(part)), Ok(Some(whole))) => assert_eq!(part.headers(), whole.headers()),
            (part, whole) => panic!("{part:?} becomes {whole:?}"),
        }
    }
});
