//! Frames that arrive in pieces, some of which are written into memory that the decoder lends.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::*;
use crate::protocol::Config;
use crate::protocol::framing::header::{Reserved, Room};
use crate::random_inputs;

/// The distance between the splits that are tried. A release build tries each of them.
const STEP: usize = if cfg!(debug_assertions) { 37 } else { 1 };

/// What a decoder has returned: the frames, the error that ended them, and how many pieces were necessary.
type Decoded = (Vec<(OpCode, Vec<u8>)>, Option<ProtocolError>, usize);

/// How the pieces reach the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pushed,
    /// Through the memory that the decoder lends, where it lends some.
    Lent,
}

fn rules(in_message: bool) -> Rules {
    Rules {
        role: Role::Server,
        masking_strict: true,
        reserved: Reserved::None,
        in_message,
        max_frame: u64::MAX,
        room: Room { bytes: u64::MAX, fragments: 100, empty_fragments: 100 },
        headroom: 0,
    }
}

/// Returns a masked frame.
fn frame(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let (mut bytes, key) = (Vec::new(), [1, 2, 3, 4]);
    Header { fin, rsv: 0, opcode, key: Some(key), len: len64(payload.len()) }.encode(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(key, 0, &mut bytes[start..]);
    bytes
}

/// Decodes pieces of a stream. All fragments follow one of a text.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, way: Way) -> Decoded {
    let (mut decoder, mut frames) = (FrameDecoder::default(), Vec::new());
    let text = Frame::message(Vec::new(), OpCode::Text, false);
    let message = Assembler::begin(text, None, &Config::default()).unwrap();
    let mut count = 0;
    for piece in pieces {
        count += 1;
        let (mut piece, mut at) = (piece.to_vec(), 0);
        while at < piece.len() {
            let mut input = &mut piece[at..];
            let before = input.len();
            let decoded = match decoder.lend().filter(|_| way == Way::Lent) {
                Some(memory) => {
                    let len = memory.len().min(before);
                    memory[..len].copy_from_slice(&input[..len]);
                    input = &mut input[len..];
                    decoder.add_lent(len)
                }
                None => {
                    // The third frame is a fragment.
                    let rules = rules(frames.len() == 2);
                    decoder.next_frame(&mut input, &rules, Some(&message), DataFrames::Keep)
                }
            };
            at += before - input.len();
            match decoded {
                Ok(frame) => frames.extend(frame.map(|frame| (frame.opcode(), frame.into_data()))),
                Err(err) => return (frames, Some(err), count),
            }
        }
    }
    (frames, None, count)
}

/// A binary message, a text, a fragment of a text and a short message, as one stream.
fn stream() -> Vec<u8> {
    let text = "sälmon 🐟 ".repeat(700);
    let binary: Vec<u8> = (0..=250).cycle().take(9000).collect();
    [
        frame(true, OpCode::Binary, &binary),
        frame(true, OpCode::Text, text.as_bytes()),
        frame(false, OpCode::Continue, text.as_bytes()),
        frame(true, OpCode::Binary, b"short"),
    ]
    .concat()
}

#[test]
fn f12_every_split_gives_the_same_frames_also_through_lent_memory() {
    let stream = stream();
    let (frames, err, _) = decode([stream.as_slice()], Way::Pushed);
    assert_eq!((frames.len(), err), (4, None));
    let whole = (frames, None, 2);
    for at in (0..=stream.len()).step_by(STEP) {
        let (first, second) = stream.split_at(at);
        assert!(decode([first, second], Way::Pushed) == whole, "split at {at}");
        assert!(decode([first, second], Way::Lent) == whole, "split at {at}, lent");
    }
}

/// Returns random pieces of a stream.
fn pieces<'a>(rng: &mut StdRng, mut rest: &'a [u8]) -> Vec<&'a [u8]> {
    let (mut pieces, longest) = (Vec::new(), random_inputs::choose(rng, &[50, 3000, 20_000]));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.random_range(1..=longest).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn f6_f12_random_splits_find_invalid_text_in_the_same_piece() {
    random_inputs::for_each(|rng| {
        let mut stream = stream();
        if rng.random() {
            // Some bytes of the texts become invalid.
            let at = rng.random_range(9100..stream.len());
            stream[at] = rng.random();
        }
        let pieces = pieces(rng, &stream);
        let pushed = decode(pieces.iter().copied(), Way::Pushed);
        assert!(decode(pieces.iter().copied(), Way::Lent) == pushed);
    });
}

#[test]
fn f1_lent_memory_grows_with_what_has_arrived() {
    let mut decoder = FrameDecoder::default();
    let mut bytes = Vec::new();
    Header { fin: true, rsv: 0, opcode: OpCode::Binary, key: Some([0; 4]), len: 1 << 30 }.encode(&mut bytes);
    let mut input = bytes.as_mut_slice();
    decoder.next_frame(&mut input, &rules(false), None, DataFrames::Keep).unwrap();
    assert!(decoder.lend().is_none(), "nothing has arrived");
    let mut arrived = 3000;
    decoder.next_frame(&mut vec![7; arrived].as_mut_slice(), &rules(false), None, DataFrames::Keep).unwrap();
    for _ in 0..6 {
        let lent = decoder.lend().unwrap().len();
        assert!(lent <= 3 * arrived, "{lent} for {arrived}");
        decoder.add_lent(lent).unwrap();
        arrived += lent;
        assert_eq!(decoder.missing(), (1 << 30) - len64(arrived));
    }
}

#[test]
fn text_that_is_not_split_and_short_rests_are_not_lent() {
    for (opcode, len, arrived) in [(OpCode::Text, 100_000, 50_000), (OpCode::Binary, 50_100, 50_000)] {
        let (mut decoder, mut bytes) = (FrameDecoder::default(), frame(true, opcode, &vec![b'x'; len]));
        let mut input = &mut bytes[..arrived];
        decoder.next_frame(&mut input, &rules(false), None, DataFrames::Keep).unwrap();
        assert!(decoder.is_mid_frame() && decoder.lend().is_none());
    }
}

#[cfg(feature = "reactor")]
mod buffers {
    use super::*;

    const PAYLOAD: [u8; 9000] = [7; 9000];

    /// Returns a buffer that is suitable for the payload and contains these bytes.
    fn buffer(bytes: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(buffer_pool::capacity_for(PAYLOAD.len()) + 1000);
        buffer.extend_from_slice(bytes);
        buffer.resize(buffer.len().max(PAYLOAD.len() + MAX_HEADER), 9);
        buffer
    }

    #[test]
    fn a_buffer_with_a_message_becomes_the_message() {
        let bytes = frame(true, OpCode::Binary, &PAYLOAD);
        let (mut decoder, buffer) = (FrameDecoder::default(), buffer(&bytes));
        let place = buffer.as_ptr();
        let received = decoder.receive_buffer(&[], buffer, bytes.len(), Role::Server, 10_000);
        let ReceivedBuffer::Message(Message::Binary(message)) = received else { panic!("{received:?}") };
        assert!(message == PAYLOAD && message.as_ptr() == place, "nothing is copied");
        assert!(!decoder.is_mid_frame());
    }

    #[test]
    fn the_header_of_a_message_may_be_elsewhere() {
        let bytes = frame(true, OpCode::Binary, &PAYLOAD);
        for at in 0..=10 {
            let (head, rest) = bytes.split_at(at);
            let received =
                FrameDecoder::default().receive_buffer(head, buffer(rest), rest.len(), Role::Server, 10_000);
            match received {
                ReceivedBuffer::Message(message) => assert!(at <= 8 && message.as_bytes() == PAYLOAD),
                ReceivedBuffer::Input(returned) => assert!(at > 8 && returned.starts_with(rest)),
                ReceivedBuffer::Payload => panic!("the message is complete"),
            }
        }
    }

    #[test]
    fn f12_a_buffer_with_the_beginning_of_a_message_becomes_its_memory() {
        let bytes = frame(true, OpCode::Binary, &PAYLOAD);
        for at in (8..bytes.len()).step_by(STEP) {
            let (mut decoder, (first, second)) = (FrameDecoder::default(), bytes.split_at(at));
            let received = decoder.receive_buffer(&[], buffer(first), at, Role::Server, 10_000);
            assert!(matches!(received, ReceivedBuffer::Payload), "{received:?}");
            let mut second = second.to_vec();
            let mut input = second.as_mut_slice();
            let frame = decoder.next_frame(&mut input, &rules(false), None, DataFrames::Keep).unwrap();
            assert!(frame.unwrap().into_data() == PAYLOAD, "split at {at}");
        }
    }

    #[test]
    fn a_buffer_with_something_else_is_returned() {
        let message = frame(true, OpCode::Binary, &PAYLOAD);
        let inputs = [
            (frame(true, OpCode::Text, &PAYLOAD), 10_000, "a text"),
            (frame(false, OpCode::Binary, &PAYLOAD), 10_000, "a fragment"),
            (message.clone(), 8999, "too long a message"),
            ([&message[..], &[0x82]].concat(), 10_000, "more than a message"),
            (message[..7].to_vec(), 10_000, "a part of a header"),
            (Vec::new(), 10_000, "nothing"),
            (frame(true, OpCode::Binary, &[7; 5000]), 10_000, "a message for which the buffer is too large"),
            (
                frame(true, OpCode::Binary, &[7; 20_000])[..9000].to_vec(),
                50_000,
                "one for which it is too small",
            ),
        ];
        for (bytes, most, what) in inputs {
            let (mut decoder, buffer) = (FrameDecoder::default(), buffer(&bytes));
            let received = decoder.receive_buffer(&[], buffer.clone(), bytes.len(), Role::Server, most);
            let ReceivedBuffer::Input(returned) = received else { panic!("{what}: {received:?}") };
            assert!(returned == buffer && !decoder.is_mid_frame(), "{what}: it is unchanged");
        }
    }
}

#[test]
fn s5_3_an_unmasked_copy_does_not_depend_on_its_reused_buffer() {
    let key = [1, 2, 3, 4];
    for len in [20, 1000, 10_000] {
        let mut masked = vec![7; len];
        mask::apply(key, 0, &mut masked);
        for used in [0, len - 1, len, len + 3] {
            let mut buffer = Vec::with_capacity(len + 4);
            buffer.resize(used, 9);
            buffer_pool::give(buffer);
            let copy = unmasked_copy(&masked, Some(key));
            assert_eq!(copy.capacity(), len + 4, "the buffer is used again");
            assert_eq!(copy, vec![7; len], "{len} bytes, of which {used} were there");
        }
    }
}
