//! Transcripts of connections, in both versions of the protocol.

use rand::RngExt as _;

use super::script::run_script;
use super::session::{Event, MAX_NAMES, Session, encode_publication};
use super::target::{Login, Protocol};
use crate::error::Result;
use crate::random_inputs::{self, bytes, choose};

const LIMIT: usize = 1000;

fn login(protocol: Protocol) -> Login {
    Login { user: Some("me".to_owned()), password: Some("secret".to_owned()), database: 3, protocol }
}

/// Takes all output.
fn sent(session: &mut Session) -> String {
    let output = String::from_utf8(session.output().to_vec()).unwrap();
    session.consume_output(output.len());
    output
}

/// The commands in some output, each as words.
fn commands(output: &str) -> Vec<Vec<&str>> {
    let mut lines = output.split("\r\n");
    let mut commands = Vec::new();
    while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
        let count: usize = count.parse().unwrap();
        commands.push((0..count).map(|_| lines.nth(1).unwrap()).collect());
    }
    commands
}

fn receive(session: &mut Session, input: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    session.receive(input.as_bytes(), &mut events).map(|()| events)
}

fn ready(protocol: Protocol) -> Session {
    let mut session = Session::new(&Login { protocol, ..Login::default() }, "sockeye-1", LIMIT);
    sent(&mut session);
    let hello = if protocol == Protocol::Resp3 { "%1\r\n+proto\r\n:3\r\n" } else { "" };
    assert_eq!(receive(&mut session, &format!("{hello}+PONG\r\n+OK\r\n")).unwrap(), []);
    assert!(session.is_ready() && session.is_idle());
    session
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("c{number}")).collect()
}

/// What the server sends to a subscriber.
fn push(protocol: Protocol, kind: &str, channel: &str, last: &str) -> String {
    let first = if protocol == Protocol::Resp3 { '>' } else { '*' };
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let last = if kind == "message" { bulk(last) } else { format!(":{last}\r\n") };
    format!("{first}3\r\n{}{}{last}", bulk(kind), bulk(channel))
}

fn message(channel: &str, payload: &str) -> Event {
    Event::Message { channel: channel.to_owned(), payload: payload.as_bytes().to_vec() }
}

#[test]
fn the_login_names_user_and_database() {
    for (protocol, first) in [
        (Protocol::Resp2, &["AUTH", "me", "secret"][..]),
        (Protocol::Resp3, &["HELLO", "3", "AUTH", "me", "secret"]),
    ] {
        let mut session = Session::new(&login(protocol), "sockeye-1", LIMIT);
        let output = sent(&mut session);
        let expected = [first, &["SELECT", "3"], &["PING"], &["CLIENT", "SETNAME", "sockeye-1"]];
        assert_eq!(commands(&output), expected);
    }
}

#[test]
fn a_password_without_user_belongs_to_the_default_user() {
    for (protocol, first) in [
        (Protocol::Resp2, &["AUTH", "secret"][..]),
        (Protocol::Resp3, &["HELLO", "3", "AUTH", "default", "secret"]),
    ] {
        let mut session = Session::new(&Login { user: None, ..login(protocol) }, "n", LIMIT);
        assert_eq!(commands(&sent(&mut session))[0], first);
    }
}

#[test]
fn a_login_is_complete_after_its_last_reply() {
    let mut session = Session::new(&login(Protocol::Resp2), "n", LIMIT);
    for reply in ["+OK\r\n", "+OK\r\n", "+PONG\r\n"] {
        receive(&mut session, reply).unwrap();
        assert!(!session.is_ready());
    }
    receive(&mut session, "-NOPERM no\r\n").unwrap();
    assert!(session.is_ready(), "the name of the connection is not necessary");
}

#[test]
fn a_user_without_ping_is_logged_in() {
    let mut session = Session::new(&login(Protocol::Resp2), "n", LIMIT);
    receive(&mut session, "+OK\r\n+OK\r\n-NOPERM no\r\n+OK\r\n").unwrap();
    assert!(session.is_ready());
}

#[test]
fn refused_logins_are_errors_without_the_password() {
    for (protocol, replies, reason) in [
        (Protocol::Resp2, "-WRONGPASS invalid\r\n", "WRONGPASS invalid"),
        (Protocol::Resp2, "+OK\r\n-ERR DB index is out of range\r\n", "ERR DB index"),
        (Protocol::Resp2, "+OK\r\n+OK\r\n-NOAUTH\r\n", "NOAUTH"),
        (Protocol::Resp2, "+OK\r\n+OK\r\n-LOADING Redis is loading\r\n", "LOADING Redis"),
        (Protocol::Resp3, "-NOPROTO unsupported\r\n", "NOPROTO"),
        (
            Protocol::Resp3,
            "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'secret'\r\n",
            "unknown command 'HELLO'",
        ),
        (Protocol::Resp2, "$2\r\nOK\r\n", "unexpected reply"),
    ] {
        let mut session = Session::new(&login(protocol), "n", LIMIT);
        let text = receive(&mut session, replies).unwrap_err().to_string();
        assert!(text.contains(reason) && !text.contains("secret"), "{text}");
    }
}

#[test]
fn names_are_sent_in_batches() {
    let mut session = ready(Protocol::Resp2);
    session.subscribe(&names(0..MAX_NAMES + 1));
    session.unsubscribe(&names(0..2));
    session.subscribe(&[]);
    let output = sent(&mut session);
    let commands = commands(&output);
    assert_eq!(commands.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_NAMES + 1, 2, 3]);
    assert_eq!(commands[1], ["SUBSCRIBE", &format!("c{MAX_NAMES}")]);
    assert_eq!(commands[2], ["UNSUBSCRIBE", "c0", "c1"]);
}

#[test]
fn every_split_gives_the_same_events() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let input = [
            push(protocol, "subscribe", "c0", "1"),
            push(protocol, "message", "c0", "a\r\n"),
            push(protocol, "subscribe", "c1", "2"),
            if protocol == Protocol::Resp2 { "*2\r\n$4\r\npong\r\n$0\r\n\r\n" } else { "+PONG\r\n" }
                .to_owned(),
            push(protocol, "message", "c1", ""),
            push(protocol, "unsubscribe", "c0", "1"),
        ]
        .concat();
        let expected = [
            Event::Subscribed("c0".to_owned()),
            message("c0", "a\r\n"),
            Event::Subscribed("c1".to_owned()),
            message("c1", ""),
        ];
        for at in 0..=input.len() {
            let mut session = ready(protocol);
            session.subscribe(&names(0..2));
            session.ping();
            session.unsubscribe(&names(0..1));
            let (first, second) = input.split_at(at);
            let mut events = receive(&mut session, first).unwrap();
            events.extend(receive(&mut session, second).unwrap());
            assert_eq!(events, expected, "{protocol:?}, split at {at}");
            assert!(session.is_idle());
        }
    }
}

#[test]
fn publications_are_answered_in_order() {
    let mut session = ready(Protocol::Resp2);
    let mut encoded = Vec::new();
    for payload in [&b"1"[..], b"\xff\r\n", b""] {
        encode_publication("c0", payload, &mut encoded);
    }
    session.publish(encoded, 3);
    session.ping();
    let expected: &[u8] = b"*3\r\n$7\r\nPUBLISH\r\n$2\r\nc0\r\n$1\r\n1\r\n*3\r\n$7\r\nPUBLISH\r\n$2\r\nc0\r\n$3\r\n\xff\r\n\r\n\
        *3\r\n$7\r\nPUBLISH\r\n$2\r\nc0\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n";
    assert_eq!(session.output(), expected);
    let events = receive(&mut session, ":0\r\n-NOPERM no\r\n").unwrap();
    assert_eq!(events, [Event::Published, Event::Rejected("NOPERM no".to_owned())]);
    assert!(!session.is_idle());
    assert_eq!(receive(&mut session, ":5\r\n-LOADING\r\n").unwrap(), [Event::Published]);
    assert!(session.is_idle(), "an error is an answer to PING as well");
}

#[test]
fn output_that_is_sent_in_parts_is_not_repeated() {
    let mut session = ready(Protocol::Resp2);
    session.ping();
    session.consume_output(5);
    session.ping();
    assert_eq!(sent(&mut session), "4\r\nPING\r\n*1\r\n$4\r\nPING\r\n");
    assert!(session.output().is_empty());
}

#[test]
fn a_ping_before_the_first_subscription_has_a_plain_reply() {
    let mut session = ready(Protocol::Resp2);
    session.ping();
    session.subscribe(&names(0..1));
    let input = format!("+PONG\r\n{}", push(Protocol::Resp2, "subscribe", "c0", "1"));
    assert_eq!(receive(&mut session, &input).unwrap(), [Event::Subscribed("c0".to_owned())]);
}

/// Queues something in a session.
type Prepare<'p> = &'p dyn Fn(&mut Session);

#[test]
fn what_has_no_meaning_ends_the_connection() {
    let subscribe = |session: &mut Session| session.subscribe(&names(0..1));
    let publish = |session: &mut Session| session.publish(Vec::new(), 1);
    let nothing = |_: &mut Session| ();
    let cases: [(&str, Prepare<'_>, &str); 10] = [
        ("a reply without a command", &nothing, "+OK\r\n"),
        ("an error without a command", &nothing, "-ERR max number of clients\r\n"),
        ("a confirmation without a command", &nothing, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
        ("the wrong confirmation", &subscribe, "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n"),
        ("a refused subscription", &subscribe, "-NOPERM no\r\n"),
        ("a confirmation without a name", &subscribe, "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n"),
        ("an array of unknown kind", &nothing, "*1\r\n$1\r\nx\r\n"),
        ("an empty array", &nothing, "*0\r\n"),
        ("a message without payload", &nothing, "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n"),
        ("a status as the reply to PUBLISH", &publish, "+OK\r\n"),
    ];
    for (name, prepare, input) in cases {
        let mut session = ready(Protocol::Resp2);
        prepare(&mut session);
        assert!(receive(&mut session, input).is_err(), "{name}");
    }
}

#[test]
fn pushes_of_unknown_kind_are_ignored_in_resp3() {
    let mut session = ready(Protocol::Resp3);
    assert_eq!(receive(&mut session, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n").unwrap(), []);
}

#[test]
fn random_input_is_read_alike_in_any_split() {
    let pieces = [
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nxy\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$2\r\nc0\r\n:1\r\n",
        "+PONG\r\n",
        ":1\r\n",
        "-ERR no\r\n",
        "%1\r\n+a\r\n_\r\n",
        "$2000\r\n",
        "*2\r\n",
    ];
    random_inputs::for_each(|rng| {
        let count = rng.random_range(1..20);
        let mut input: Vec<u8> = (0..count).flat_map(|_| choose(rng, &pieces).bytes()).collect();
        if rng.random() {
            let at = rng.random_range(0..input.len());
            input[at] = rng.random();
        }
        run_script(&[bytes(rng, 2..3), input].concat());
    });
}

/// The parser waits for more after the wrong byte if that is the last one of a part.
#[test]
fn an_invalid_reply_changes_no_events_however_it_is_split() {
    let input = b"*3\r\n\n$2\r\nc0\r\n:1\r\n";
    for size in 1..input.len() {
        run_script(&[&[0x1e, u8::try_from(size).unwrap()], &input[..]].concat());
    }
}
