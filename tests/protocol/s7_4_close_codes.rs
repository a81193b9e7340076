//! §7.4: every number there is, in and out (F7).

use sockeye::CloseCode;
use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, CLOSE};
use sockeye_test_support::pair::{End, Pair, Seen};

/// The table of §7.4.1, the ranges of §7.4.2, and what IANA has registered since: 1012 to 1014.
fn may_be_sent(code: u16) -> bool {
    const NEVER_ON_THE_WIRE: [u16; 4] = [1004, 1005, 1006, 1015];
    let is_defined = (1000..=1014).contains(&code) && !NEVER_ON_THE_WIRE.contains(&code);
    is_defined || (3000..5000).contains(&code)
}

#[test]
fn f7_s7_4_every_received_code_is_accepted_or_rejected() {
    for code in 0..=u16::MAX {
        let mut client = End::open_cheaply();
        let seen = client.feed(&bytes::close_from(Role::Server, code, b"why"));
        let answer = bytes::only(&client.out);
        if may_be_sent(code) {
            assert_eq!(seen, [Seen::close(CloseCode::from(code), "why")]);
            assert!(answer.is(CLOSE, &code.to_be_bytes()), "{code}");
        } else {
            assert_eq!(seen, [Seen::Failed(ProtocolError::InvalidCloseCode)], "{code}");
            assert!(answer.is(CLOSE, &1002_u16.to_be_bytes()), "{code}");
        }
    }
}

#[test]
fn f7_s7_4_every_code_to_send_is_sent_or_rejected() {
    for number in 0..=u16::MAX {
        let mut client = End::open_cheaply();
        // These two stand for the absence of a code, and give a Close frame without one (§7.4.1: 1005 is not sent).
        let is_none = matches!(CloseCode::from(number), CloseCode::Status | CloseCode::Empty);
        let closed = client.close(CloseCode::from(number), "");
        if is_none || may_be_sent(number) {
            let payload = if is_none { vec![] } else { number.to_be_bytes().to_vec() };
            assert_eq!(closed, Ok(()));
            assert!(bytes::only(&client.out).is(CLOSE, &payload), "{number}");
        } else {
            assert_eq!(closed, Err(ProtocolError::UnsendableCloseCode), "{number}");
            assert_eq!((client.out.len(), client.state()), (0, State::Open));
        }
    }
}

#[test]
fn f7_s7_4_reserved_codes_are_never_sent() {
    for code in [CloseCode::Other(1005), CloseCode::Other(0), CloseCode::Abnormal, CloseCode::Tls] {
        let mut server = End::open(Role::Server, Config::default());
        assert_eq!(server.close(code, ""), Err(ProtocolError::UnsendableCloseCode));
    }
}

#[test]
fn f7_s5_5_1_a_close_frame_with_half_a_code_is_rejected() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::frame_from(Role::Client, CLOSE, &[3]));
    assert_eq!(seen, [Seen::Failed(ProtocolError::TruncatedCloseCode)]);
}

#[test]
fn f7_s7_1_5_a_close_frame_without_a_code_is_1005() {
    let mut pair = Pair::open();
    pair.client.close(CloseCode::Status, "").unwrap();
    let none = vec![Seen::close(CloseCode::Status, "")];
    assert_eq!(pair.run(), (none.clone(), none));
    assert_eq!(u16::from(CloseCode::Status), 1005);
}
