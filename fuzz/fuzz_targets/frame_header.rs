//! The header of a frame: a rule is enforced by the first byte that breaks it, and an encoded header is the decoded one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::Header;
use sockeye_fuzz::Reader;

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let most = match reader.below(4) {
        0 => 125,
        1 => u64::from(reader.short()),
        2 => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    let bytes = reader.rest();
    let whole = Header::decode(bytes, most);
    let mut is_decided = false;
    for len in 0..=bytes.len().min(16) {
        let part = Header::decode(&bytes[..len], most);
        if !is_decided && let Ok(Some((_, own_len))) = part {
            assert_eq!(own_len, len, "a header is complete with its last byte");
        }
        assert!(part != Ok(None) || !is_decided);
        is_decided |= part != Ok(None);
        if is_decided {
            assert_eq!(part, whole, "the first {len} bytes decide");
        }
    }
    assert!(is_decided || whole == Ok(None));
    if let Ok(Some((header, len))) = whole {
        // Control frames have a limit of their own.
        assert!(header.len <= if header.opcode.is_control() { 125 } else { most });
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        assert_eq!(encoded, &bytes[..len]);
        assert_eq!(header.encoded_len(), len);
    }
});
