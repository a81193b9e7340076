use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn list(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().copied().map(address).collect()
}

/// Every address that begins at this time.
fn started(addresses: &mut Addresses, now: Instant) -> Vec<SocketAddr> {
    std::iter::from_fn(|| addresses.next(now)).collect()
}

#[test]
fn s4_the_families_alternate_and_keep_their_order() {
    let (a6, b6, c6) = ("[2001:db8::1]:80", "[2001:db8::2]:80", "[2001:db8::3]:80");
    let (a4, b4) = ("192.0.2.1:80", "192.0.2.2:80");
    for (resolved, expected) in [
        (vec![a6, b6, c6, a4, b4], vec![a6, a4, b6, b4, c6]),
        (vec![a4, b4, a6], vec![a4, a6, b4]),
        (vec![a4, a4, b4], vec![a4, b4]),
        (vec![a6], vec![a6]),
        (vec![], vec![]),
    ] {
        assert_eq!(interleaved(list(&resolved)), list(&expected), "{resolved:?}");
    }
}

#[test]
fn s5_the_next_attempt_begins_after_the_delay() {
    let all = list(&["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"]);
    let (mut addresses, start) = (Addresses::new(all.clone(), LIMIT), Instant::now());
    assert_eq!(started(&mut addresses, start), &all[..1]);
    assert_eq!(addresses.deadline(), Some(start + ATTEMPT_DELAY));
    assert_eq!(started(&mut addresses, start + ATTEMPT_DELAY - Duration::from_millis(1)), []);
    assert_eq!(started(&mut addresses, start + ATTEMPT_DELAY), &all[1..2]);
    assert_eq!(started(&mut addresses, start + 2 * ATTEMPT_DELAY), &all[2..]);
    // Nothing is left but the end of the first attempt.
    assert_eq!(addresses.deadline(), Some(start + LIMIT));
    assert_eq!(addresses.end_of(all[1]), Some(start + ATTEMPT_DELAY + LIMIT));
}

#[test]
fn s5_the_next_attempt_begins_at_once_after_a_failure() {
    let all = list(&["[2001:db8::1]:80", "192.0.2.1:80"]);
    let (mut addresses, now) = (Addresses::new(all.clone(), LIMIT), Instant::now());
    assert_eq!(started(&mut addresses, now), &all[..1]);
    addresses.failed(all[0]);
    assert!(!addresses.is_over());
    assert_eq!(started(&mut addresses, now), &all[1..]);
    addresses.failed(all[1]);
    assert!(addresses.is_over());
    assert_eq!(addresses.deadline(), None);
    // The failure of an attempt that has ended changes nothing.
    addresses.failed(all[0]);
    assert!(addresses.is_over());
}

#[test]
fn an_attempt_that_takes_too_long_ends() {
    let all = list(&["192.0.2.1:80", "192.0.2.2:80"]);
    let limit = Duration::from_millis(100);
    let (mut addresses, start) = (Addresses::new(all.clone(), limit), Instant::now());
    assert_eq!(started(&mut addresses, start), &all[..1]);
    assert_eq!(addresses.deadline(), Some(start + limit));
    assert_eq!(addresses.expire(start + limit - Duration::from_millis(1)), None);
    assert_eq!(addresses.expire(start + limit), Some(all[0]));
    assert_eq!(addresses.expire(start + limit), None);
    // The next one does not wait for the rest of the delay.
    assert_eq!(started(&mut addresses, start + limit), &all[1..]);
}

#[test]
fn the_number_of_attempts_at_the_same_time_is_limited() {
    let all: Vec<SocketAddr> = (1..=20).map(|host| SocketAddr::from(([192, 0, 2, host], 80))).collect();
    let (mut addresses, start) = (Addresses::new(all.clone(), LIMIT), Instant::now());
    for number in 0..20 {
        addresses.next(start + number * ATTEMPT_DELAY);
    }
    let now = start + 20 * ATTEMPT_DELAY;
    assert_eq!(addresses.running.len(), MAX_ATTEMPTS);
    // Only the end of an attempt makes room.
    assert_eq!(addresses.deadline(), Some(start + LIMIT));
    addresses.failed(all[3]);
    assert_eq!(started(&mut addresses, now), &all[MAX_ATTEMPTS..=MAX_ATTEMPTS]);
}

#[test]
fn a_limit_that_no_time_can_represent_never_ends() {
    let mut addresses = Addresses::new(list(&["192.0.2.1:80"]), Duration::MAX);
    let now = Instant::now();
    assert_eq!(started(&mut addresses, now).len(), 1);
    assert_eq!((addresses.deadline(), addresses.expire(now)), (None, None));
}
