//! Connections whose opening handshake was performed elsewhere, in both roles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{Config, Connection, ProtocolError, Role, State};
use sockeye::{CloseCode, Frame, OpCode};

use sockeye_test_support::bytes::{self, CLOSE, TEXT};
use sockeye_test_support::pair::{End, Seen};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn resume(role: Role, config: Config, accepted: &str) -> Result<End, ProtocolError> {
    let now = Instant::now();
    // A response without extensions has no such header.
    let extensions = match accepted {
        "" => Vec::new(),
        accepted => Extension::parse_list(accepted.as_bytes())?,
    };
    let core = Connection::after_handshake(role, Arc::new(config), &extensions, now)?;
    Ok(End::resumed(core, now))
}

#[test]
fn a_connection_after_a_handshake_is_open_in_both_roles() {
    for role in ROLES {
        let mut end = resume(role, Config::without_timeouts(), "").unwrap();
        assert_eq!((end.core.role(), end.state(), end.core.deadline()), (role, State::Open, None));
        end.send("upstream");
        let sent = bytes::only(&end.take_out());
        assert!(sent.is(TEXT, b"upstream"));
        assert_eq!(sent.key.is_some(), role == Role::Client, "§5.1");
        assert_eq!(end.feed(&bytes::frame_from(!role, TEXT, b"back")), [Seen::text("back")]);
        assert_eq!(end.feed(&bytes::close_from(!role, 1000, b"")), [Seen::close(CloseCode::Normal, "")]);
        assert_eq!(bytes::only(&end.take_out()).first, CLOSE);
    }
}

#[test]
fn a_connection_after_a_handshake_receives_bytes_that_were_read_ahead() {
    for role in ROLES {
        let bytes = [bytes::frame_from(!role, TEXT, b"one"), bytes::frame_from(!role, TEXT, b"two")].concat();
        for cut in 0..=bytes.len() {
            let mut end = resume(role, Config::default(), "").unwrap();
            let (read_ahead, read_later) = bytes.split_at(cut);
            let seen = [end.feed(read_ahead), end.feed(read_later)].concat();
            assert_eq!(seen, [Seen::text("one"), Seen::text("two")], "cut at {cut}");
        }
    }
}

#[test]
fn a_connection_after_a_handshake_has_the_timeouts_of_its_configuration() {
    let config = Config { idle_timeout: Some(Duration::from_secs(60)), ..Config::without_timeouts() };
    let mut end = resume(Role::Server, config, "").unwrap();
    assert_eq!(end.core.deadline(), Some(end.now + Duration::from_secs(60)));
    assert_eq!(end.tick(), Err(ProtocolError::IdleTimeout));
}

#[test]
fn a_connection_after_a_handshake_leaves_other_extensions_to_the_caller() {
    let mut end = resume(Role::Server, Config::default(), "x-turn").unwrap();
    let mut frame = Frame::message(b"x".to_vec(), OpCode::Binary, true);
    frame.set_rsv2(true);
    end.core.send_frame(frame, end.now, &mut end.out).unwrap();
    assert_eq!(bytes::only(&end.take_out()).first, 0x82 | 0x20);
    let seen = end.feed(&bytes::frame_from(Role::Client, TEXT | 0x10, b"marked"));
    assert_eq!(seen, [Seen::text("marked")]);

    let mut end = resume(Role::Server, Config::default(), "").unwrap();
    let seen = end.feed(&bytes::frame_from(Role::Client, TEXT | 0x10, b"marked"));
    assert_eq!(seen, [Seen::Failed(ProtocolError::ReservedBits)]);
}

#[cfg(feature = "permessage-deflate")]
mod compression {
    use sockeye::Deflate;

    use super::*;

    fn deflate() -> Config {
        Config { deflate: Some(Deflate { threshold: 1, ..Deflate::default() }), ..Config::default() }
    }

    #[test]
    fn rfc7692_compression_continues_after_a_handshake() {
        let text = "all the salmon swim upstream. ".repeat(20);
        for accepted in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
        ] {
            for role in ROLES {
                let mut sender = resume(role, deflate(), accepted).unwrap();
                let mut receiver = resume(!role, deflate(), accepted).unwrap();
                for _ in 0..2 {
                    sender.send(text.as_str());
                    let bytes = sender.take_out();
                    assert!(bytes.len() < text.len() / 2, "{} bytes", bytes.len());
                    assert_eq!(bytes::only(&bytes).first, TEXT | 0x40);
                    assert_eq!(receiver.feed(&bytes), [Seen::text(&text)]);
                }
            }
        }
    }

    #[test]
    fn rfc7692_s7_1_parameters_that_are_invalid_in_a_response_are_an_error() {
        for accepted in [
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; unknown",
            "permessage-deflate, permessage-deflate",
        ] {
            let err = resume(Role::Client, deflate(), accepted).unwrap_err();
            assert_eq!(err, ProtocolError::ExtensionMismatch, "{accepted}");
        }
    }
}
