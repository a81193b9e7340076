use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn closed(code: CloseCode) -> End {
    End::Closed(Closed { code, reason: String::new(), was_clean: code != CloseCode::Abnormal })
}

fn rejected(status: u16, retry_after: Option<u64>) -> End {
    End::Rejected { status, retry_after: retry_after.map(Duration::from_secs) }
}

/// A client whose random numbers are all the same.
struct Client {
    reconnector: Reconnector,
    now: Instant,
    random: f64,
}

impl Client {
    fn new(settings: Reconnect, random: f64) -> Self {
        Self { reconnector: Reconnector::new(settings), now: Instant::now(), random }
    }

    /// Loses a connection that was open for a number of seconds. Returns the wait in seconds.
    fn lose_after(&mut self, open_for: f64, end: End) -> Option<f64> {
        self.reconnector.on_open(self.now);
        self.now += Duration::from_secs_f64(open_for);
        self.fail(end)
    }

    /// Loses a connection, or an attempt. Returns the wait in seconds.
    fn fail(&mut self, end: End) -> Option<f64> {
        let lost = self.reconnector.on_lost(end, 0, self.now, self.random);
        self.reconnector.begin_attempt(&lost).map(|wait| wait.as_secs_f64())
    }
}

#[test]
fn the_waits_grow_while_the_server_is_away() {
    let mut client = Client::new(Reconnect::default(), 1.0);
    assert_eq!(client.lose_after(60.0, closed(CloseCode::Abnormal)), Some(0.5));
    let waits: Vec<_> = (0..7).map(|_| client.fail(End::Failed).unwrap()).collect();
    assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
}

#[test]
fn only_a_stable_connection_begins_again_with_short_waits() {
    let mut client = Client::new(Reconnect::default(), 1.0);
    for expected in [0.5, 1.0, 2.0, 4.0] {
        assert_eq!(client.lose_after(9.99, closed(CloseCode::Abnormal)), Some(expected));
    }
    assert_eq!(client.lose_after(10.0, closed(CloseCode::Abnormal)), Some(0.5));
}

#[test]
fn a_client_stops_if_the_server_does_not_want_it() {
    for end in [
        closed(CloseCode::Policy),
        closed(CloseCode::Normal),
        rejected(400, None),
        rejected(401, None),
        rejected(403, Some(1)),
        rejected(404, None),
        rejected(499, None),
        End::Permanent,
    ] {
        let mut client = Client::new(Reconnect::default(), 0.5);
        assert_eq!(client.lose_after(60.0, end.clone()), None, "{end:?}");
    }
}

#[test]
fn a_client_connects_again_after_everything_else() {
    let codes = [1002, 1003, 1005, 1006, 1007, 1009, 1011, 4000].map(|code| closed(CloseCode::from(code)));
    let statuses = [200, 302, 408, 425, 429, 500, 502, 503, 504].map(|status| rejected(status, None));
    for end in codes.into_iter().chain(statuses).chain([End::Failed]) {
        let mut client = Client::new(Reconnect::default(), 0.5);
        assert_eq!(client.lose_after(60.0, end.clone()), Some(0.25), "{end:?}");
    }
}

#[test]
fn a_server_that_goes_away_is_tried_soon_once() {
    let mut client = Client::new(Reconnect::default(), 1.0);
    for expected in [0.5, 1.0, 2.0] {
        assert_eq!(client.fail(End::Failed), Some(expected));
    }
    assert_eq!(client.lose_after(1.0, closed(CloseCode::Away)), Some(0.5));
    assert_eq!(client.lose_after(1.0, closed(CloseCode::Away)), Some(4.0));
    assert_eq!(client.lose_after(10.0, closed(CloseCode::Away)), Some(0.5));
}

#[test]
fn a_server_that_restarts_is_left_alone_for_five_to_thirty_seconds() {
    for code in [CloseCode::Restart, CloseCode::Again] {
        for (random, expected) in [(0.0, 5.0), (0.5, 17.5), (1.0, 30.0)] {
            let mut client = Client::new(Reconnect::default(), random);
            assert_eq!(client.lose_after(60.0, closed(code)), Some(expected), "{code:?}");
        }
    }
}

#[test]
fn retry_after_is_the_shortest_wait() {
    let mut client = Client::new(Reconnect::default(), 1.0);
    assert_eq!(client.fail(rejected(503, Some(120))), Some(120.5));
    assert_eq!(client.fail(rejected(429, Some(2))), Some(3.0));
    assert_eq!(client.fail(rejected(503, Some(u64::MAX))), Some(3602.0));
}

#[test]
fn retry_after_is_a_number_of_seconds() {
    let retry_after = |value: &str| {
        let mut response = Response::new(503, "Service Unavailable", Vec::new());
        response.add_header("Retry-After", value.as_bytes()).unwrap();
        End::rejected(&response)
    };
    assert_eq!(retry_after("7"), rejected(503, Some(7)));
    for value in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", ""] {
        assert_eq!(retry_after(value), rejected(503, None), "{value:?}");
    }
}

#[test]
fn the_number_of_attempts_is_limited() {
    let mut client = Client::new(Reconnect { max_attempts: Some(2), ..Reconnect::default() }, 1.0);
    assert_eq!([(); 3].map(|()| client.fail(End::Failed)), [Some(0.5), Some(1.0), None]);
    let mut client = Client::new(Reconnect { max_attempts: Some(1), ..Reconnect::default() }, 1.0);
    assert_eq!(client.lose_after(10.0, closed(CloseCode::Abnormal)), Some(0.5));
    assert_eq!(client.lose_after(10.0, closed(CloseCode::Abnormal)), Some(0.5));
    assert_eq!(client.lose_after(9.0, closed(CloseCode::Abnormal)), None);
    assert_eq!(Client::new(Reconnect::never(), 1.0).fail(End::Failed), None);
}

#[test]
fn the_program_decides_last() {
    let mut reconnector = Reconnector::new(Reconnect::default());
    let now = Instant::now();
    let mut lost = reconnector.on_lost(rejected(401, None), 7, now, 0.5);
    assert_eq!((lost.status(), lost.wait(), lost.unsent(), lost.attempts()), (Some(401), None, 7, 0));
    lost.retry_in(Duration::from_secs(3));
    assert_eq!(reconnector.begin_attempt(&lost), Some(Duration::from_secs(3)));
    let mut lost = reconnector.on_lost(End::Failed, 0, now, 0.5);
    assert_eq!((lost.wait(), lost.attempts()), (Some(Duration::from_millis(250)), 1));
    lost.stop();
    assert_eq!(reconnector.begin_attempt(&lost), None);
}

/// 10,000 clients lose their server, which refuses connections for 30 s. Returns when each is connected again, in milliseconds after the
/// server has returned.
fn return_of_a_crowd(end: &End, random: &mut StdRng) -> Vec<u128> {
    let (start, back) = (Instant::now(), Duration::from_secs(30));
    let mut attempts = BinaryHeap::new();
    let mut clients: Vec<_> = (0..10_000).map(|_| Reconnector::new(Reconnect::default())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.on_open(start - Duration::from_secs(600));
        let lost = client.on_lost(end.clone(), 0, start, random.random());
        attempts.extend(client.begin_attempt(&lost).map(|wait| Reverse((wait, number))));
    }
    let mut returned = Vec::new();
    while let Some(Reverse((at, number))) = attempts.pop() {
        if at >= back {
            returned.push((at - back).as_millis());
            continue;
        }
        let client = &mut clients[number];
        let lost = client.on_lost(End::Failed, 0, start + at, random.random());
        attempts.extend(client.begin_attempt(&lost).map(|wait| Reverse((at + wait, number))));
    }
    returned
}

#[test]
fn the_clients_of_a_server_do_not_return_at_the_same_time() {
    let mut random = StdRng::seed_from_u64(rand::random());
    for code in [CloseCode::Abnormal, CloseCode::Away, CloseCode::Restart] {
        let returned = return_of_a_crowd(&closed(code), &mut random);
        assert_eq!(returned.len(), 10_000);
        let latest = returned.iter().max().copied().unwrap_or_default();
        assert!(latest <= 30_000, "{code:?}: the last client returns after {latest} ms");
        let mut intervals = vec![0; 301];
        returned.iter().for_each(|at| intervals[usize::try_from(at / 100).unwrap()] += 1);
        let most = intervals.iter().max().copied().unwrap_or_default();
        assert!(most <= 300, "{code:?}: {most} of 10,000 clients return within 100 ms");
    }
}
