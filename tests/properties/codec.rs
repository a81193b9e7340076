//! A15: the codec by itself, for programs that have a connection of their own: headers, masks, whole frames.

use proptest::prelude::*;
use sockeye::protocol::{Header, ProtocolError, mask};
use sockeye::{Frame, OpCode};

fn header() -> impl Strategy<Value = Header> {
    let opcode = prop_oneof![
        Just(OpCode::Continue),
        Just(OpCode::Text),
        Just(OpCode::Binary),
        Just(OpCode::Close),
        Just(OpCode::Ping),
        Just(OpCode::Pong)
    ];
    let len = prop_oneof![0u64..130, 65_530u64..65_540, 0u64..=i64::MAX as u64];
    (any::<bool>(), 0u8..8, opcode, any::<Option<[u8; 4]>>(), len).prop_map(|(fin, rsv, opcode, key, len)| {
        let is_control = opcode.is_control();
        Header {
            fin: fin || is_control,
            rsv: rsv << 4,
            opcode,
            key,
            len: if is_control { len % 126 } else { len },
        }
    })
}

proptest! {
    #[test]
    fn a15_an_encoded_header_decodes_to_the_same_header(header in header(), behind: [u8; 3]) {
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        let len = bytes.len();
        prop_assert_eq!(header.encoded_len(), len);
        // Not before it is all there.
        for cut in 0..len {
            prop_assert_eq!(Header::decode(&bytes[..cut], u64::MAX).unwrap(), None);
        }
        bytes.extend(behind);
        prop_assert_eq!(Header::decode(&bytes, u64::MAX).unwrap(), Some((header, len)));
    }
}

#[test]
fn a15_invalid_headers_are_errors() {
    for (bytes, err) in [
        (&[0x83, 0x00][..], ProtocolError::ReservedOpCode),
        (&[0x09, 0x00], ProtocolError::FragmentedControl),
        (&[0x88, 126, 0, 200], ProtocolError::ControlTooLong),
        (&[0x82, 126, 0, 5], ProtocolError::NonMinimalLength),
        (&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0], ProtocolError::LengthOverflow),
        (&[0x82, 0x05], ProtocolError::FrameTooLong),
    ] {
        assert_eq!(Header::decode(bytes, 4).unwrap_err(), err);
    }
}

#[test]
fn a15_the_limit_of_a_frame_does_not_apply_to_control_frames() {
    let (header, len) = Header::decode(&[0x88, 59], 3).unwrap().unwrap();
    assert_eq!((header.opcode, header.len, len), (OpCode::Close, 59, 2));
}

#[test]
fn a15_a_frame_encoded_in_parts_is_parsed_as_a_whole() {
    let payload = b"salmon".repeat(100);
    let key = [9, 8, 7, 6];
    let mut bytes = Vec::new();
    Header { fin: true, rsv: 0x20, opcode: OpCode::Binary, key: Some(key), len: 600 }.encode(&mut bytes);
    let start = bytes.len();
    bytes.extend(&payload);
    // In pieces, as they might go out.
    mask::apply(key, 0, &mut bytes[start..start + 7]);
    mask::apply(key, 7, &mut bytes[start + 7..]);
    let frame = Frame::parse(&mut std::io::Cursor::new(bytes), 600).unwrap().unwrap();
    assert!(frame.has_rsv2() && frame.payload() == &payload);
}
