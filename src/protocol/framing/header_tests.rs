//! Every header against tables that are written from the RFC, not from the code (§5.2).

use rand::RngExt;
use rand::rngs::StdRng;

use super::*;
use crate::random_inputs::{self, bytes, choose};

/// The opcodes of §5.2 by their numbers.
const OPCODES: [OpCode; 16] = [
    OpCode::Continue,
    OpCode::Text,
    OpCode::Binary,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Close,
    OpCode::Ping,
    OpCode::Pong,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
    OpCode::Bad,
];

/// Rules that break nothing: no masking asked for, no limit reached.
fn lax() -> Rules {
    Rules {
        role: Role::Server,
        masking_strict: false,
        reserved: Reserved::None,
        in_message: false,
        max_frame: u64::MAX,
        room: room(u64::MAX),
        headroom: 0,
    }
}

fn room(bytes: u64) -> Room {
    Room { bytes, fragments: 1, empty_fragments: 1 }
}

/// All that a connection can be when a header comes.
fn situations() -> Vec<Rules> {
    let mut situations = Vec::new();
    for role in [Role::Client, Role::Server] {
        for reserved in [Reserved::None, Reserved::Deflate, Reserved::Any] {
            for in_message in [false, true] {
                for masking_strict in [false, true] {
                    situations.push(Rules { role, masking_strict, reserved, in_message, ..lax() });
                }
            }
        }
    }
    situations
}

/// The two bytes, one field after the other as §5.2 draws them.
struct Drawn {
    fin: bool,
    rsv: [bool; 3],
    opcode: u8,
    mask: bool,
    len7: u8,
}

impl Drawn {
    fn new(first: u8, second: u8) -> Self {
        let bit = |byte: u8, at: u32| byte << at & 0x80 != 0;
        Self {
            fin: bit(first, 0),
            rsv: [bit(first, 1), bit(first, 2), bit(first, 3)],
            opcode: first % 16,
            mask: bit(second, 0),
            len7: second % 128,
        }
    }

    /// Every sentence of the RFC that the two bytes violate.
    fn violations(&self, rules: &Rules) -> Vec<ProtocolError> {
        let is_data_start = self.opcode == 1 || self.opcode == 2;
        let is_control = self.opcode >= 8 && self.opcode <= 10;
        let rsv_has_meaning = match rules.reserved {
            Reserved::None => [false; 3],
            Reserved::Deflate => [is_data_start, false, false],
            Reserved::Any => [true; 3],
        };
        let sentences = [
            // §5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values".
            (self.rsv.iter().zip(rsv_has_meaning).any(|(set, ok)| *set && !ok), ProtocolError::ReservedBits),
            // §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_".
            ((self.opcode > 2 && self.opcode < 8) || self.opcode > 10, ProtocolError::ReservedOpCode),
            // §5.1: "The server MUST close the connection upon receiving a frame that is not masked".
            (self.is_wrongly_masked(rules, Role::Server, false), ProtocolError::UnmaskedFrame),
            // §5.1: "A client MUST close a connection if it detects a masked frame".
            (self.is_wrongly_masked(rules, Role::Client, true), ProtocolError::MaskedFrame),
            // §5.5: "All control frames MUST have a payload length of 125 bytes or less".
            (is_control && self.len7 >= 126, ProtocolError::ControlTooLong),
            // §5.5: "and MUST NOT be fragmented".
            (is_control && !self.fin, ProtocolError::FragmentedControl),
            // §5.4: a continuation continues a message, and "the fragments of one message MUST NOT be interleaved
            // between the fragments of another message".
            (self.opcode == 0 && !rules.in_message, ProtocolError::LoneContinuation),
            (is_data_start && rules.in_message, ProtocolError::InterruptedMessage),
        ];
        sentences.into_iter().filter_map(|(is_broken, error)| is_broken.then_some(error)).collect()
    }

    fn is_wrongly_masked(&self, rules: &Rules, reader: Role, mask: bool) -> bool {
        rules.masking_strict && rules.role == reader && self.mask == mask
    }
}

/// The first two bytes with a length and a key behind them that are beyond reproach.
fn completed(first: u8, second: u8) -> (Vec<u8>, u64) {
    let mut bytes = vec![first, second];
    let len = match second % 128 {
        126 => 126,
        127 => 0x1_0000,
        len => u64::from(len),
    };
    match second % 128 {
        126 => bytes.extend_from_slice(&[0, 126]),
        127 => bytes.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0]),
        _ => {}
    }
    if second >= 128 {
        bytes.extend_from_slice(b"keys");
    }
    (bytes, len)
}

#[test]
fn f3_every_pair_of_first_bytes_is_parsed_or_rejected_under_all_rules() {
    for rules in situations() {
        for start in 0..=u16::MAX {
            let [first, second] = start.to_be_bytes();
            let (bytes, len) = completed(first, second);
            let drawn = Drawn::new(first, second);
            let violations = drawn.violations(&rules);
            match Header::parse(&bytes, &rules) {
                Err(err) => assert!(violations.contains(&err), "{start:04x} {rules:?}: {err:?}"),
                Ok(None) => panic!("{start:04x} {rules:?}: the header is complete"),
                Ok(Some((header, read))) => {
                    assert_eq!(violations, [], "{start:04x} {rules:?}");
                    assert_eq!(read, bytes.len(), "{start:04x}");
                    let key = drawn.mask.then_some(*b"keys");
                    let opcode = OPCODES[usize::from(drawn.opcode)];
                    assert_eq!(header, Header { fin: drawn.fin, rsv: first & 0x70, opcode, key, len });
                }
            }
        }
    }
}

#[test]
fn f3_a_whole_message_is_one_that_breaks_no_rule() {
    let is_between_messages = |rules: &Rules| !rules.in_message && rules.reserved != Reserved::Any;
    for rules in situations().into_iter().filter(is_between_messages) {
        for start in 0..=u16::MAX {
            let [first, second] = start.to_be_bytes();
            let (bytes, len) = completed(first, second);
            let parsed = Header::parse(&bytes, &rules);
            let is_expected = matches!(first, 0x81 | 0x82)
                && Drawn::new(first, second).mask == (rules.role == Role::Server);
            let expected = if is_expected { parsed.ok().flatten() } else { None };
            assert_eq!(
                Header::parse_whole_message(&bytes, rules.role, len),
                expected,
                "{start:04x} {rules:?}"
            );
            assert_eq!(Header::parse_whole_message(&bytes[..bytes.len() - 1], rules.role, len), None);
            if let Some(less) = len.checked_sub(1) {
                assert_eq!(Header::parse_whole_message(&bytes, rules.role, less), None, "it is too long");
            }
        }
    }
    for form in [claim16(125), claim64(0xffff)] {
        assert_eq!(Header::parse_whole_message(&form, Role::Client, u64::MAX), None, "its form is too long");
    }
}

#[test]
fn f3_violations_are_detected_after_two_bytes() {
    for rules in situations() {
        for start in 0..=u16::MAX {
            let bytes = start.to_be_bytes();
            let parsed = Header::parse(&bytes, &rules);
            assert_eq!(parsed.is_err(), !Drawn::new(bytes[0], bytes[1]).violations(&rules).is_empty());
        }
    }
}

/// A binary frame, unmasked, that claims a length in one of the two long forms.
fn claim16(len: u16) -> Vec<u8> {
    [&[0x82, 126][..], &len.to_be_bytes()].concat()
}

fn claim64(len: u64) -> Vec<u8> {
    [&[0x82, 127][..], &len.to_be_bytes()].concat()
}

fn claimed(bytes: &[u8], rules: &Rules) -> Result<u64, ProtocolError> {
    Header::parse(bytes, rules).map(|parsed| parsed.unwrap().0.len)
}

#[test]
fn f1_lengths_in_the_shortest_form_are_accepted() {
    for len in [0, 1, 124, 125] {
        assert_eq!(claimed(&[0x82, len], &lax()), Ok(u64::from(len)));
    }
    for len in [126, 127, 128, 0x7fff, 0x8000, 0xffff] {
        assert_eq!(claimed(&claim16(len), &lax()), Ok(u64::from(len)));
    }
    for len in [1 << 16, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 53, (1 << 63) - 1] {
        assert_eq!(claimed(&claim64(len), &lax()), Ok(len));
    }
}

#[test]
fn f1_lengths_in_a_longer_form_are_rejected() {
    for len in [0, 1, 125] {
        assert_eq!(claimed(&claim16(len), &lax()), Err(ProtocolError::NonMinimalLength));
    }
    for len in [0, 1, 125, 126, 127, 0xfffe, 0xffff] {
        assert_eq!(claimed(&claim64(len), &lax()), Err(ProtocolError::NonMinimalLength));
    }
}

#[test]
fn f1_lengths_with_the_highest_bit_are_rejected() {
    for len in [1 << 63, (1 << 63) + 1, (1 << 63) + 125, u64::MAX - 1, u64::MAX] {
        assert_eq!(claimed(&claim64(len), &lax()), Err(ProtocolError::LengthOverflow));
    }
}

#[test]
fn f1_limits_are_enforced_on_the_header() {
    let rules = Rules { max_frame: 1000, room: room(800), ..lax() };
    assert_eq!(claimed(&claim16(800), &rules), Ok(800));
    assert_eq!(claimed(&claim16(801), &rules), Err(ProtocolError::MessageTooLong));
    assert_eq!(claimed(&claim16(1001), &rules), Err(ProtocolError::FrameTooLong));
    for len in [1 << 16, 1 << 31, 1 << 32, 1 << 53, (1 << 63) - 1] {
        assert_eq!(claimed(&claim64(len), &rules), Err(ProtocolError::FrameTooLong));
    }
    // The key is not waited for.
    let mut masked = claim16(801);
    masked[1] |= 0x80;
    assert_eq!(Header::parse(&masked, &rules), Err(ProtocolError::MessageTooLong));
}

#[test]
fn f4_message_limits_do_not_apply_to_control_frames() {
    let rules = Rules { max_frame: 0, room: Room { bytes: 0, fragments: 0, empty_fragments: 0 }, ..lax() };
    for first in [0x88, 0x89, 0x8a] {
        assert_eq!(claimed(&[first, 125], &rules), Ok(125));
    }
}

#[test]
fn m4_m5_fragment_limits_are_enforced_on_the_header() {
    let parsed = |bytes: &[u8], fragments, empty_fragments| {
        let room = Room { bytes: 100, fragments, empty_fragments };
        let rules = Rules { in_message: bytes[0] & 0x0f == 0, room, ..lax() };
        Header::parse(bytes, &rules).map(|parsed| parsed.is_some())
    };
    let too_many = Err(ProtocolError::TooManyFragments);
    for first in [0x00, 0x80, 0x01, 0x02] {
        assert_eq!(parsed(&[first, 1], 1, 0), Ok(true));
        assert_eq!(parsed(&[first, 1], 0, 1), too_many);
        assert_eq!(parsed(&[first, 0], 1, 1), Ok(true));
        assert_eq!(parsed(&[first, 0], 1, 0), too_many);
    }
    for whole in [0x81, 0x82, 0x89] {
        assert_eq!(parsed(&[whole, 0], 0, 0), Ok(true), "a whole message is no fragment");
    }
}

/// Returns a header that can be encoded. Short payloads are as likely as long ones.
fn random_header(rng: &mut StdRng) -> Header {
    let opcodes = [OpCode::Continue, OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong];
    let opcode = choose(rng, &opcodes);
    let is_control = opcode.is_control();
    let len = rng.random::<u64>() >> rng.random_range(1..64);
    Header {
        fin: rng.random() || is_control,
        rsv: rng.random_range(0..8) << 4,
        opcode,
        key: rng.random::<bool>().then(|| rng.random()),
        len: if is_control { len % 126 } else { len },
    }
}

fn rules_for(header: &Header) -> Rules {
    Rules { reserved: Reserved::Any, in_message: header.opcode == OpCode::Continue, ..lax() }
}

#[test]
fn s5_2_an_encoded_header_parses_to_the_same_header() {
    random_inputs::for_each(|rng| {
        let header = random_header(rng);
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        let len = encoded.len();
        assert_eq!(len, header.encoded_len());
        assert!(len <= MAX_HEADER);
        encoded.extend_from_slice(&bytes(rng, 0..100));
        assert_eq!(Header::parse(&encoded, &rules_for(&header)), Ok(Some((header, len))));
    });
}

#[test]
fn f12_a_truncated_header_is_incomplete() {
    random_inputs::for_each(|rng| {
        let header = random_header(rng);
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        for at in 0..encoded.len() {
            assert_eq!(Header::parse(&encoded[..at], &rules_for(&header)), Ok(None));
        }
    });
}

#[test]
fn f12_a_truncated_header_gives_the_final_result_or_none() {
    random_inputs::for_each(|rng| {
        let encoded: [u8; MAX_HEADER] = rng.random();
        let (max_frame, bytes_left) = (rng.random(), rng.random());
        for mut rules in situations() {
            (rules.max_frame, rules.room.bytes) = (max_frame, bytes_left);
            let whole = Header::parse(&encoded, &rules);
            for at in 0..encoded.len() {
                let cut = Header::parse(&encoded[..at], &rules);
                assert!(cut == Ok(None) || cut == whole, "{at}: {cut:?}, {whole:?}");
            }
        }
    });
}
