//! `CloseCode` and `OpCode`, and the numbers behind them.

use ws::{CloseCode, OpCode};

#[test]
fn close_codes_have_numbers() {
    use ws::CloseCode::*;
    let named = [
        (Normal, 1000),
        (Away, 1001),
        (Protocol, 1002),
        (Unsupported, 1003),
        (Status, 1005),
        (Abnormal, 1006),
        (Invalid, 1007),
        (Policy, 1008),
        (Size, 1009),
        (Extension, 1010),
        (Error, 1011),
        (Restart, 1012),
        (Again, 1013),
        (Tls, 1015),
        (Empty, 0),
    ];
    for (code, number) in named {
        let back: u16 = code.into();
        assert_eq!(back, number);
        assert_eq!(CloseCode::from(number), code);
    }
}

#[test]
fn close_codes_keep_other_numbers() {
    for number in [3000, 3999, 4000, 4999, 65535] {
        assert_eq!(CloseCode::from(number), CloseCode::Other(number));
        let back: u16 = CloseCode::Other(number).into();
        assert_eq!(back, number);
    }
    let code: CloseCode = 1001.into();
    assert_eq!(code, CloseCode::Away);
}

#[test]
fn close_codes_can_be_matched() {
    fn explain(code: CloseCode) -> String {
        match code {
            CloseCode::Normal | CloseCode::Away => "goodbye".into(),
            CloseCode::Abnormal => "gone without a word".into(),
            CloseCode::Other(number) if number >= 4000 => format!("the application's own {number}"),
            code => format!("{code:?}"),
        }
    }
    let codes = [CloseCode::Away, CloseCode::Abnormal, CloseCode::Other(4242), CloseCode::Size];
    assert_eq!(codes.map(explain), ["goodbye", "gone without a word", "the application's own 4242", "Size"]);
}

#[test]
fn op_codes_have_numbers_and_names() {
    let all = [
        (OpCode::Continue, 0, "CONTINUE", false),
        (OpCode::Text, 1, "TEXT", false),
        (OpCode::Binary, 2, "BINARY", false),
        (OpCode::Close, 8, "CLOSE", true),
        (OpCode::Ping, 9, "PING", true),
        (OpCode::Pong, 10, "PONG", true),
    ];
    for (opcode, number, name, control) in all {
        let back: u8 = opcode.into();
        assert_eq!(back, number);
        assert_eq!(OpCode::from(number), opcode);
        assert_eq!(opcode.to_string(), name);
        assert_eq!(opcode.is_control(), control);
    }
    for number in [3, 7, 11, 15, 255] {
        assert_eq!(OpCode::from(number), OpCode::Bad);
    }
    assert_eq!(OpCode::Bad.to_string(), "BAD");
    assert!(OpCode::Bad.is_control());
}
