//! M3, M4, M5: how long a message may be, of how many fragments, of how many empty ones.

use std::io::Write;

use sockeye::{CloseCode, ErrorKind, Frame, OpCode, Settings};

use sockeye_test_support::peer::{Ending, Peer, masked};
use sockeye_test_support::probes::Probes;

/// The bytes of a message in fragments of these lengths.
fn fragments(lengths: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut opcode = OpCode::Binary;
    let mut lengths = lengths.into_iter().peekable();
    while let Some(len) = lengths.next() {
        bytes.extend(masked(Frame::message(vec![7; len], opcode, lengths.peek().is_none())));
        opcode = OpCode::Continue;
    }
    bytes
}

/// What becomes of a message: its length, or the code with which it is refused.
fn send(settings: Settings, message: &[u8]) -> std::result::Result<usize, CloseCode> {
    let (server, calls) = Probes::listen(settings, |hook, out| match hook {
        sockeye_test_support::probes::Hook::Message => out.close(CloseCode::Normal),
        _ => Ok(()),
    });
    let mut peer = Peer::open(server.addr);
    peer.stream.write_all(message).unwrap();
    let outcome = match peer.ending() {
        Ending::Close(CloseCode::Normal) => Ok(calls.find(|_, call| match call {
            sockeye_test_support::probes::HandlerCall::Message(message) => Some(message.len()),
            _ => None,
        })),
        Ending::Close(code) => {
            let _: ErrorKind = calls.error();
            Err(code)
        }
        Ending::Cut => panic!("no Close"),
    };
    drop(peer);
    server.stop();
    outcome
}

#[test]
fn m3_the_message_size_limit_is_inclusive_for_any_fragmentation() {
    let settings = Settings { max_message_size: 1000, ..Settings::default() };
    for lengths in [vec![1000], vec![600, 400], vec![1; 1000], vec![0, 1000, 0]] {
        assert_eq!(send(settings, &fragments(lengths)), Ok(1000));
    }
    for lengths in [vec![1001], vec![600, 401], vec![1; 1001], vec![1000, 1], vec![0, 1000, 0, 1]] {
        assert_eq!(send(settings, &fragments(lengths)), Err(CloseCode::Size));
    }
}

#[test]
fn m3_a_message_over_the_limit_is_rejected_before_it_arrives() {
    let settings = Settings { max_message_size: 1000, ..Settings::default() };
    // The header alone, of a fragment that would be too long together with the first.
    let mut bytes = fragments([600, 401]);
    bytes.truncate(bytes.len() - 401);
    assert_eq!(send(settings, &bytes), Err(CloseCode::Size));
}

#[test]
fn m4_the_fragment_limits_are_inclusive() {
    let settings = Settings { max_message_size: 1 << 20, ..Settings::default() };
    assert_eq!(send(settings, &fragments(vec![1; 65_536])), Ok(65_536));
    assert_eq!(send(settings, &fragments(vec![1; 65_537])), Err(CloseCode::Policy));
    let settings = Settings { fragments_grow: false, fragments_capacity: 10, ..Settings::default() };
    assert_eq!(send(settings, &fragments(vec![1; 10])), Ok(10));
    assert_eq!(send(settings, &fragments(vec![1; 11])), Err(CloseCode::Policy));
}

#[test]
fn m5_the_limit_of_empty_fragments_is_inclusive() {
    let settings = Settings::default();
    let with_empty = |count: usize| fragments(std::iter::repeat_n(0, count).chain([5]));
    assert_eq!(send(settings, &with_empty(1024)), Ok(5));
    assert_eq!(send(settings, &with_empty(1025)), Err(CloseCode::Policy));
}
