//! Time passes only when the test says so, and everything that depends on it happens.

use std::time::Duration;

use sockeye::protocol::Event;
use sockeye::testing::{Peer, TestLoop};
use sockeye::{CloseCode, Drain, Handler, Message, Result, Sender, Settings};

const SECOND: Duration = Duration::from_secs(1);

fn echo(out: Sender) -> impl Handler {
    move |msg: Message| out.send(msg)
}

fn idle_after_a_minute() -> Settings {
    Settings { idle_timeout: Some(60 * SECOND), ping_interval: None, ..Settings::default() }
}

#[test]
fn an_idle_client_is_closed_after_60_s() {
    let kit = TestLoop::with_settings(idle_after_a_minute(), echo);
    let client = kit.connect("/");
    kit.advance(30 * SECOND);
    client.send("still here");
    assert_eq!(client.receive(), "still here".into());
    kit.advance(60 * SECOND - Duration::from_millis(1));
    assert!(client.is_open());
    kit.advance(Duration::from_millis(1));
    assert_eq!(client.closed().code, CloseCode::Abnormal);
}

#[test]
fn a_client_that_answers_pings_stays_and_a_silent_one_does_not() {
    let settings =
        Settings { ping_interval: Some(20 * SECOND), idle_timeout: Some(50 * SECOND), ..Settings::default() };
    let kit = TestLoop::with_settings(settings, echo);
    let (client, silent) = (kit.connect("/"), kit.connect("/"));
    silent.fall_silent();
    kit.advance(45 * SECOND);
    assert!(client.is_open() && silent.is_open());
    assert!(matches!(client.receive_event(), Event::Ping(_)));
    kit.advance(3600 * SECOND);
    assert!(client.is_open() && !silent.is_open());
    // What has arrived in the meantime is read.
    silent.resume();
    assert!(matches!(silent.receive_event(), Event::Ping(_)));
    assert!(!silent.is_open());
}

#[test]
fn only_the_test_moves_the_clock() {
    let kit = TestLoop::with_settings(idle_after_a_minute(), echo);
    assert_eq!((kit.elapsed(), kit.next_timer()), (Duration::ZERO, None));
    let client = kit.connect("/");
    for _ in 0..100 {
        client.send("x");
        client.receive();
        kit.run_until_idle();
    }
    assert_eq!(kit.elapsed(), Duration::ZERO);
    kit.advance(Duration::from_millis(1500));
    assert_eq!(kit.elapsed(), Duration::from_millis(1500));
    assert_eq!(kit.next_timer(), Some(Duration::from_millis(58_501)), "rounded up to the next millisecond");
}

#[test]
fn an_opening_handshake_has_a_time_limit() {
    let kit = TestLoop::new(echo);
    let unused = kit.send_raw(b"GET / HTTP/1.1\r\n");
    assert!(unused.is_empty());
    let client = kit.connect("/");
    kit.advance(11 * SECOND);
    assert!(client.is_open());
}

/// Lets time pass in steps, and returns in which step each client received its Close.
fn closing_steps(
    kit: &TestLoop<'_>,
    clients: &[Peer<'_>],
    step: Duration,
    steps: usize,
) -> Vec<Option<usize>> {
    let mut closed = vec![None; clients.len()];
    for number in 0..steps {
        for (client, closed) in clients.iter().zip(&mut closed) {
            if closed.is_none() && !client.is_open() {
                *closed = Some(number);
            }
        }
        kit.advance(step);
    }
    closed
}

#[test]
fn a_drain_closes_clients_one_after_the_other() -> Result<()> {
    let kit = TestLoop::new(echo);
    let clients: Vec<_> = (0..5).map(|_| kit.connect("/")).collect();
    kit.sender().drain(Drain::new().over(10 * SECOND).code(CloseCode::Restart))?;
    let steps = closing_steps(&kit, &clients, SECOND, 12);
    assert_eq!(steps, [1, 2, 4, 6, 8].map(Some), "the first at once, and the others every two seconds");
    assert!(clients.iter().all(|client| client.closed().code == CloseCode::Restart));
    assert!(kit.has_ended());
    Ok(())
}

#[test]
fn a_drain_turns_new_clients_away_and_drops_silent_ones() -> Result<()> {
    let kit = TestLoop::new(echo);
    let client = kit.connect("/");
    client.fall_silent();
    kit.sender().drain(Drain::new().over(SECOND).deadline(20 * SECOND))?;
    kit.run_until_idle();
    let response = kit.client("/").open().response();
    assert_eq!((response.status(), response.header("Retry-After")), (503, Some(&b"20".to_vec())));
    kit.advance(19 * SECOND);
    assert!(!kit.has_ended() || !client.is_open());
    kit.advance(SECOND);
    assert!(kit.has_ended());
    assert_eq!(client.closed().code, CloseCode::Abnormal);
    Ok(())
}
