//! The payload of a Close frame, compared with a model of §5.5.1 and §7.4.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sockeye::CloseCode;
use sockeye::protocol::{Config, Connection, Event, Header, ProtocolError, Role, State};
use sockeye_fuzz::Reader;

static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(Config::default()));
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns the code and the reason, or the error of a payload.
fn expected(payload: &[u8]) -> Result<(u16, &str), ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok((1005, "")),
        [_] => return Err(ProtocolError::TruncatedCloseCode),
        [high, low, reason @ ..] => (u16::from(*high) << 8 | u16::from(*low), reason),
    };
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(ProtocolError::InvalidCloseCode),
    }
    std::str::from_utf8(reason).map(|reason| (code, reason)).map_err(|_| ProtocolError::InvalidUtf8)
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let flags = reader.byte();
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let payload = reader.take(125);
    let mut bytes = Vec::with_capacity(140);
    let key = (role == Role::Server).then_some([0; 4]);
    let len = u64::try_from(payload.len()).expect("the payload is short");
    Header { fin: true, rsv: 0, opcode: sockeye::OpCode::Close, key, len }.encode(&mut bytes);
    bytes.extend_from_slice(payload);

    let (now, mut out) = (*NOW, Vec::new());
    let mut end =
        Connection::after_handshake(role, Arc::clone(&CONFIG), &[], now).expect("nothing is listed");
    if flags & 2 != 0 {
        end.close(CloseCode::Away, "first", now, &mut out).expect("the connection is open");
        out.clear();
    }
    let received = end.receive(&mut bytes.as_mut_slice(), now, &mut out);
    assert_eq!(end.state(), State::Closing);
    let reply = match expected(payload) {
        Ok((code, reason)) => {
            let Ok(Some(Event::Close(received, text))) = received else { panic!("no Close: {received:?}") };
            assert_eq!((u16::from(received), text.as_str()), (code, reason));
            // The reply has the same code, or none.
            if code == 1005 { vec![] } else { code.to_be_bytes().to_vec() }
        }
        Err(err) => {
            assert_eq!(received.unwrap_err(), err);
            u16::from(err.close_code()).to_be_bytes().to_vec()
        }
    };
    if flags & 2 != 0 {
        assert!(out.is_empty(), "a second Close is sent");
        return;
    }
    let (header, len) =
        Header::decode(&out, 125).expect("the reply is valid").expect("the reply is complete");
    assert_eq!(header.opcode, sockeye::OpCode::Close);
    let mut payload = out.split_off(len);
    if let Some(key) = header.key {
        sockeye::protocol::mask::apply(key, 0, &mut payload);
    }
    assert_eq!(payload, reply);
});
