//! The order in which hooks are called, for a server's connection and for a client's.

use std::rc::Rc;

use ws::util::{Timeout, Token};
use ws::{CloseCode, Frame, Handler, Handshake, OpCode, Result, Sender};

use crate::support::{Server, guarded};
use crate::trace::{Log, Plan, client_trace, server_trace};

fn text(text: &str) -> Frame {
    Frame::message(text.into(), OpCode::Text, true)
}

#[test]
fn hooks_of_a_server_whose_peer_closes_are_called_in_order() {
    guarded(|| {
        let trace = server_trace(Plan::Echo, |mut peer| {
            peer.send(text("hi"));
            assert_eq!(peer.next_frame().unwrap().into_data(), b"hi");
            peer.send(Frame::ping(Vec::new()));
            assert_eq!(peer.next_frame().unwrap().opcode(), OpCode::Pong);
            peer.send(Frame::close(CloseCode::Away, "done"));
            assert_eq!(peer.next_frame().unwrap().payload(), &[3, 233]);
            assert!(peer.next_frame().is_none());
        });
        let expected = [
            "server_connected",
            "on_request",
            "on_open",
            "on_frame TEXT",
            "on_message hi",
            "on_send_frame TEXT",
            "on_frame PING",
            "on_send_frame PONG",
            "on_frame CLOSE",
            "on_close Away \"done\"",
            "on_send_frame CLOSE",
            "connection_lost",
            "factory on_shutdown",
        ];
        assert_eq!(trace, expected);
    });
}

#[test]
fn hooks_of_a_server_that_closes_are_called_in_order() {
    guarded(|| {
        let trace = server_trace(Plan::Close, |mut peer| {
            peer.send(text("go away"));
            assert_eq!(peer.close_code(), Some(1000));
            peer.send(Frame::close(CloseCode::Normal, "fine"));
            assert!(peer.next_frame().is_none());
        });
        let expected = [
            "server_connected",
            "on_request",
            "on_open",
            "on_frame TEXT",
            "on_message go away",
            "on_send_frame CLOSE",
            "on_frame CLOSE",
            "on_close Normal \"fine\"",
            "connection_lost",
            "factory on_shutdown",
        ];
        assert_eq!(trace, expected);
    });
}

#[test]
fn hooks_of_a_server_whose_handler_fails_are_called_in_order() {
    guarded(|| {
        let trace = server_trace(Plan::Fail, |mut peer| {
            peer.send(text("go wrong"));
            assert_eq!(peer.close_code(), Some(1002));
            peer.send(Frame::close(CloseCode::Protocol, ""));
            assert!(peer.next_frame().is_none());
        });
        let expected = [
            "server_connected",
            "on_request",
            "on_open",
            "on_frame TEXT",
            "on_message go wrong",
            "on_error planned",
            "on_send_frame CLOSE",
            "on_frame CLOSE",
            "on_close Protocol \"\"",
            "connection_lost",
            "factory on_shutdown",
        ];
        assert_eq!(trace, expected);
    });
}

#[test]
fn hooks_of_a_server_whose_peer_disconnects_are_called_in_order() {
    guarded(|| {
        let trace = server_trace(Plan::Echo, drop);
        let expected = [
            "server_connected",
            "on_request",
            "on_open",
            "on_close Abnormal \"\"",
            "connection_lost",
            "factory on_shutdown",
        ];
        assert_eq!(trace, expected);
    });
}

#[test]
fn hooks_of_a_client_that_closes_are_called_in_order() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let trace = client_trace(Plan::Close, &server);
        let expected = [
            "client_connected",
            "build_request",
            "on_send_frame TEXT",
            "on_response",
            "on_open",
            "on_frame TEXT",
            "on_message first words",
            "on_send_frame CLOSE",
            "on_frame CLOSE",
            "on_close Normal \"\"",
            "connection_lost",
            "factory on_shutdown",
        ];
        // What was sent before the connection was open may meet `on_send_frame` before or after `on_open`.
        let sent = |what: &&String| what.as_str() == "on_send_frame TEXT";
        assert_eq!(trace.iter().filter(sent).count(), 1);
        let others = |what: &&String| !sent(what);
        assert!(
            trace.iter().filter(others).eq(expected.iter().filter(|what| **what != "on_send_frame TEXT")),
            "{trace:?}"
        );
        server.stop();
    });
}

#[test]
fn hooks_of_a_client_whose_server_closes_are_called_in_order() {
    guarded(|| {
        let server =
            Server::run(|| |out: Sender| move |_| out.close_with_reason(CloseCode::Other(4321), "enough"));
        let trace = client_trace(Plan::Echo, &server);
        let end = [
            "on_open",
            "on_frame CLOSE",
            "on_close Other(4321) \"enough\"",
            "on_send_frame CLOSE",
            "connection_lost",
            "factory on_shutdown",
        ];
        let trace: Vec<_> = trace.iter().filter(|what| *what != "on_send_frame TEXT").collect();
        assert_eq!(trace[..3], ["client_connected", "build_request", "on_response"]);
        assert_eq!(trace[3..], end);
        server.stop();
    });
}

/// Calls made in a hook take effect after it has returned, in the order in which they were made.
#[test]
fn calls_in_a_hook_take_effect_after_it_returns() {
    struct Busy {
        out: Sender,
        log: Log,
    }
    impl Handler for Busy {
        fn on_open(&mut self, _: Handshake) -> Result<()> {
            self.out.send("one")?;
            self.out.ping(vec![])?;
            self.out.timeout(60_000, Token(1))?;
            self.out.send("two")?;
            self.out.close(CloseCode::Normal)?;
            self.log.borrow_mut().push("returned".into());
            Ok(())
        }
        fn on_new_timeout(&mut self, _: Token, _: Timeout) -> Result<()> {
            self.log.borrow_mut().push("timeout".into());
            Ok(())
        }
        fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
            self.log.borrow_mut().push(frame.opcode().to_string());
            Ok(Some(frame))
        }
    }
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let log = Log::default();
        ws::connect(server.url(), |out| Busy { out, log: Rc::clone(&log) }).unwrap();
        assert_eq!(*log.borrow(), ["returned", "TEXT", "PING", "timeout", "TEXT", "CLOSE"]);
        server.stop();
    });
}
