//! Compressed payloads, compared with another decoder, and with the same payload in fragments.

#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use sockeye::OpCode;
use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{Config, Deflate, Header, ProtocolError, Role};
use sockeye_fuzz::Reader;
use sockeye_fuzz::blocks::last_block_has_no_end;
use sockeye_fuzz::end::{End, Seen};
use sockeye_fuzz::memory::Meter;
use sockeye_fuzz::stream::split;

const MAX_MESSAGE: usize = 100_000;

fn frame(fin: bool, rsv: u8, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let len = u64::try_from(payload.len()).expect("the payload fits into memory");
    Header { fin, rsv, opcode, key: None, len }.encode(out);
    out.extend_from_slice(payload);
}

/// Returns the message, or the error.
fn receive(config: &Arc<Config>, extension: &Extension, bytes: &mut [u8]) -> Result<Vec<u8>, ProtocolError> {
    let now = Instant::now();
    let extensions = std::slice::from_ref(extension);
    let mut client = End::open(Role::Client, Arc::clone(config), extensions, now).expect("the list is valid");
    let mut received = None;
    let meter = Meter::begin();
    client.feed(bytes, &mut |seen| match seen {
        Seen::Message(_, payload) => received = Some(Ok(payload.to_vec())),
        Seen::Failed(err) => received = Some(Err(*err)),
        _ => {}
    });
    let peak = meter.peak();
    assert!(peak <= 4 * MAX_MESSAGE + (512 << 10), "{peak} bytes in use");
    received.expect("the message has ended")
}

thread_local! {
    /// The state and the output of the other decoder.
    static OTHER: RefCell<(Box<DecompressorOxide>, Vec<u8>)> = RefCell::new((Box::default(), vec![0; MAX_MESSAGE + 1]));
}

/// Decompresses with another decoder. The result is `FailedCannotMakeProgress` if there is no final block.
fn decompress_otherwise<R>(payload: &[u8], check: impl FnOnce(TINFLStatus, &[u8]) -> R) -> R {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    OTHER.with_borrow_mut(|(state, output)| {
        state.init();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, len) = decompress(state, &input, output, 0, flags);
        check(status, &output[..len])
    })
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let flags = reader.byte();
    let cuts = [reader.byte(), reader.byte(), reader.byte()];
    let payload = reader.rest();
    let params = match flags & 1 {
        0 => vec![],
        _ => vec![("server_no_context_takeover".to_owned(), None)],
    };
    let extension = Extension { name: "permessage-deflate".to_owned(), params };
    let deflate = Some(Deflate::default());
    let config = Arc::new(Config { max_message_size: MAX_MESSAGE, deflate, ..Config::default() });

    let mut whole = Vec::new();
    frame(true, 0x40, OpCode::Binary, payload, &mut whole);
    let whole = receive(&config, &extension, &mut whole);

    let (mut fragments, mut opcode, mut rsv) = (Vec::new(), OpCode::Binary, 0x40);
    for piece in split(payload, &cuts) {
        frame(false, rsv, opcode, piece, &mut fragments);
        (opcode, rsv) = (OpCode::Continue, 0);
    }
    frame(true, 0, OpCode::Continue, b"", &mut fragments);
    let fragments = receive(&config, &extension, &mut fragments);
    // Which of several rules is broken first can depend on the fragments.
    assert_eq!(whole.as_ref().ok(), fragments.as_ref().ok(), "whole and in fragments");
    if let Ok(message) = &whole {
        assert!(message.len() <= MAX_MESSAGE);
    }

    decompress_otherwise(payload, |status, other| match (status, whole) {
        // A final block, which ends the stream of the other decoder.
        (TINFLStatus::Done, _) => {}
        // A code that the payload does not use, because it ends within a block, is an error to one decoder only.
        (TINFLStatus::FailedCannotMakeProgress | TINFLStatus::Failed, Ok(message)) => {
            assert!(payload.is_empty() || message == other, "two decoders differ");
        }
        // A block that cannot end is an error to our decoder only.
        (TINFLStatus::FailedCannotMakeProgress, Err(ProtocolError::MalformedDeflate)) => {
            let mut room = vec![0; MAX_MESSAGE + 1];
            assert!(
                last_block_has_no_end(payload, &mut room),
                "the other decoder reads {} bytes",
                other.len()
            );
        }
        (TINFLStatus::FailedCannotMakeProgress, Err(err)) => {
            let is_limit = matches!(err, ProtocolError::MessageTooLong | ProtocolError::WastefulDeflate);
            assert!(is_limit, "{err:?}, but the other decoder reads {} bytes", other.len());
        }
        (TINFLStatus::HasMoreOutput, whole) => assert!(whole.is_err(), "more than the limit"),
        (TINFLStatus::Failed, Err(_)) => {}
        (status, _) => panic!("the other decoder returns {status:?}"),
    });
});
