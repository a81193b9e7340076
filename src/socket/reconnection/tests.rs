//! The clock of these tests moves only when a test moves it.

use std::io;
use std::time::Duration;

use super::*;
use crate::close::CloseCode;
use crate::protocol::handshake::{Rejected, Response};
use crate::socket::InvalidUrl;

const SECOND: Duration = Duration::from_secs(1);

/// A client whose waits are as long as possible, and the time.
struct Client {
    state: Reconnection,
    now: Instant,
}

impl Client {
    fn new() -> Self {
        Self { state: Reconnection::new(Reconnect::default()), now: Instant::now() }
    }

    fn step(&mut self) -> Step {
        self.state.step(self.now)
    }

    fn open(&mut self) {
        assert_eq!(self.step(), Step::Connect);
        self.state.opened(self.now);
        assert_eq!(self.step(), Step::Receive);
    }

    fn lose(&mut self, code: CloseCode) {
        let closed = Closed { code, reason: String::new(), was_clean: code != CloseCode::Abnormal };
        self.state.lost(None, Some(closed), 0, self.now, 1.0);
    }

    fn fail(&mut self, error: Error) {
        assert_eq!(self.step(), Step::Connect);
        self.state.lost(Some(error), None, 0, self.now, 1.0);
    }

    fn lost(&mut self) -> &mut Lost {
        match self.state.event(Happened::Lost) {
            Some(ReconnectEvent::Lost { lost, .. }) => lost,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self) -> Option<Error> {
        assert_eq!(self.step(), Step::End);
        self.state.end::<()>().err()
    }
}

fn refused() -> Error {
    Error::Connect { target: "example.com:80".into(), source: io::ErrorKind::ConnectionRefused.into() }
}

fn rejected(status: u16, headers: &[(&str, &str)]) -> Error {
    let mut response = Response::new(status, "", Vec::new());
    for (name, value) in headers {
        assert!(response.add_header(name, value).is_ok());
    }
    Rejected::new(response).into()
}

#[test]
fn a_client_waits_exactly_until_its_next_attempt() {
    let mut client = Client::new();
    client.fail(refused());
    let until = client.now + SECOND / 2;
    assert_eq!(client.step(), Step::Wait(Some(until)));
    client.now = until - Duration::from_nanos(1);
    assert_eq!(client.step(), Step::Wait(Some(until)));
    client.now = until;
    client.open();
}

#[test]
fn the_wait_counts_from_the_loss() {
    let mut client = Client::new();
    client.open();
    client.lose(CloseCode::Abnormal);
    let until = client.now + SECOND / 2;
    // The program handles the loss during this time.
    client.now += SECOND / 4;
    assert_eq!(client.step(), Step::Wait(Some(until)));
    client.now += SECOND;
    assert_eq!(client.step(), Step::Connect);
}

#[test]
fn the_program_changes_the_plan_until_the_next_step() {
    let mut client = Client::new();
    client.fail(refused());
    client.lost().retry_in(SECOND * 7);
    let until = client.now + SECOND * 7;
    assert_eq!(client.step(), Step::Wait(Some(until)));
    client.now = until;
    client.fail(refused());
    client.lost().stop();
    assert!(matches!(client.end(), Some(Error::Connect { .. })), "the error is returned once");
    assert!(client.end().is_none());

    let mut client = Client::new();
    client.fail(rejected(401, &[]));
    assert_eq!(client.lost().status(), Some(401));
    client.lost().retry_in(Duration::ZERO);
    client.open();
}

#[test]
fn a_wait_without_end_only_ends_with_the_client() {
    let mut client = Client::new();
    client.fail(refused());
    client.lost().retry_in(Duration::MAX);
    assert_eq!(client.step(), Step::Wait(None));
    client.now += SECOND * 1_000_000;
    assert_eq!(client.step(), Step::Wait(None));
    client.state.stop(None);
    assert!(client.end().is_none());
}

#[test]
fn a_clean_end_is_no_error() {
    for (code, stops) in [
        (CloseCode::Normal, true),
        (CloseCode::Policy, true),
        (CloseCode::Away, false),
        (CloseCode::Restart, false),
        (CloseCode::Again, false),
        (CloseCode::Abnormal, false),
        (CloseCode::Other(4000), false),
    ] {
        let mut client = Client::new();
        client.open();
        client.lose(code);
        assert_eq!(client.step() == Step::End, stops, "{code}");
        assert_eq!(client.state.closed().map(|closed| closed.code), stops.then_some(code));
        assert_eq!(client.lost().wait().is_none(), stops);
        if stops {
            assert!(client.end().is_none());
        }
    }
}

#[test]
fn errors_stop_the_client_if_another_attempt_would_fail_in_the_same_way() {
    let permanent = [
        rejected(401, &[]),
        rejected(404, &[]),
        InvalidUrl::unsuitable("x:", "it has no host").into(),
        Error::TlsDisabled("example.com".into()),
        ProtocolError::UnsendableHead.into(),
    ];
    for error in permanent {
        let (mut client, text) = (Client::new(), error.to_string());
        client.fail(error);
        assert_eq!(client.end().map(|error| error.to_string()), Some(text));
        assert_eq!(client.state.closed(), None);
    }
    let temporary = [
        refused(),
        rejected(429, &[]),
        rejected(500, &[]),
        Error::Tls("the certificate has expired".into()),
        Error::Timeout(crate::socket::TimeoutKind::Connect),
        Error::ConnectionLost(io::ErrorKind::UnexpectedEof.into()),
        ProtocolError::HandshakeTimeout.into(),
    ];
    for error in temporary {
        let (mut client, text) = (Client::new(), error.to_string());
        client.fail(error);
        assert!(matches!(client.step(), Step::Wait(Some(_))), "{text}");
    }
}

#[test]
fn retry_after_is_respected() {
    let mut client = Client::new();
    client.fail(rejected(503, &[("Retry-After", "7")]));
    let until = client.now + SECOND * 7 + SECOND / 2;
    assert_eq!(client.step(), Step::Wait(Some(until)));
}

#[test]
fn a_loss_is_reported_with_its_error_and_what_was_not_sent() {
    let mut client = Client::new();
    client.open();
    let error = Error::Timeout(crate::socket::TimeoutKind::Idle);
    client.state.lost(Some(error), Some(Closed::abnormal()), 42, client.now, 0.5);
    let Some(ReconnectEvent::Lost { lost, error: Some(Error::Timeout(_)) }) =
        client.state.event(Happened::Lost)
    else {
        panic!("there is a loss with its error");
    };
    assert_eq!((lost.unsent(), lost.attempts(), lost.status()), (42, 0, None));
    assert_eq!(lost.closed(), Some(&Closed::abnormal()));
}

#[test]
fn a_client_that_was_ended_by_the_program_does_nothing_more() {
    let mut client = Client::new();
    client.open();
    let closed = Closed { code: CloseCode::Normal, reason: "done".into(), was_clean: true };
    client.state.stop(Some(closed.clone()));
    assert!(client.end().is_none());
    assert_eq!(client.state.closed(), Some(&closed));
    // A second end changes nothing.
    client.state.stop(None);
    assert_eq!(client.state.closed(), Some(&closed));
}
