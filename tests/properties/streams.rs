//! What holds for every conversation, however TCP cuts it (F12).

use proptest::prelude::*;
use proptest::sample::Index;
use sockeye::protocol::{Config, Role, State};
use sockeye::{Message, OpCode};

use sockeye_test_support::bytes;
use sockeye_test_support::generate::{self, Piece, anything, cuts, proper, role, split, stream};
use sockeye_test_support::pair::{Core, End, Pair, Seen};

/// An end that waits for the head of its peer.
fn waiting(role: Role, config: Config) -> End {
    let mut end = match role {
        Role::Client => End::client(Config { key_strict: false, ..config }),
        Role::Server => End::server(config),
    };
    end.take_out();
    end
}

/// A configuration, and the part that sends the replies: the core, or the front end.
#[derive(Debug, Clone, Default)]
struct Setup {
    config: Config,
    is_manual: bool,
}

/// All that can be observed of an end: its reports, its output, its state. The keys of a client are random, and left out.
fn observed<'a>(
    role: Role,
    setup: &Setup,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Vec<u8>, State) {
    let end = waiting(role, setup.config.clone());
    if setup.is_manual { fed(role, end.into_manual(), pieces) } else { fed(role, end, pieces) }
}

fn fed<'a, C: Core>(
    role: Role,
    mut end: End<C>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Vec<u8>, State) {
    let seen = pieces.into_iter().flat_map(|piece| end.feed(piece)).collect();
    let mut out = end.take_out();
    if role == Role::Client {
        out = bytes::frames(&out)
            .iter()
            .flat_map(|read| bytes::frame_from(role, read.first, &read.payload))
            .collect();
    }
    (seen, out, end.state())
}

/// Setups under which different paths are taken.
fn setup() -> impl Strategy<Value = Setup> {
    let size = prop::sample::select(vec![40, 200, 1 << 20]);
    let fragments = prop::sample::select(vec![None, Some(1), Some(3)]);
    (size, fragments, any::<bool>(), any::<bool>()).prop_map(
        |(max_message_size, max_fragments, masking_strict, is_manual)| Setup {
            config: Config { max_message_size, max_fragments, masking_strict, ..Config::default() },
            is_manual,
        },
    )
}

fn role_and_stream() -> impl Strategy<Value = (Role, Vec<u8>)> {
    role().prop_flat_map(|role| (Just(role), anything(!role)))
}

/// The payloads of the Pings among the reports.
fn pings(seen: &[Seen]) -> impl Iterator<Item = &Vec<u8>> {
    seen.iter().filter_map(|seen| if let Seen::Ping(payload) = seen { Some(payload) } else { None })
}

/// The payloads of the Pongs among the output of an end.
fn pongs(role: Role, out: &[u8]) -> Vec<Vec<u8>> {
    let sent = generate::frames_of(role, out).into_iter();
    sent.filter(|read| read.first == bytes::PONG).map(|read| read.payload).collect()
}

/// The messages among the reports.
fn messages(seen: &[Seen]) -> Vec<Message> {
    let message = |seen: &Seen| if let Seen::Message(message) = seen { Some(message.clone()) } else { None };
    seen.iter().filter_map(message).collect()
}

/// Long messages, whose payloads are read into their own memory.
fn long() -> impl Strategy<Value = Vec<Piece>> {
    let message = (any::<bool>(), 3000..20_000usize).prop_map(|(is_text, len)| match is_text {
        true => Message::text("sälmon ".repeat(len / 8)),
        false => Message::binary((0..=250).cycle().take(len).collect::<Vec<u8>>()),
    });
    let ends = prop::collection::vec(any::<Index>(), 0..3);
    let piece = (message, ends).prop_map(|(message, ends)| {
        Piece::Message(message, ends.into_iter().map(|end| (end, None)).collect())
    });
    prop::collection::vec(piece, 1..4)
}

proptest! {
    // Long messages take longer.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn f12_long_messages_are_the_same_in_memory_that_the_core_lends(
        role in role(),
        pieces in long(),
        cuts in cuts(),
    ) {
        let bytes = stream(!role, &pieces);
        let automatic = observed(role, &Setup::default(), [bytes.as_slice()]);
        let manual = Setup { is_manual: true, ..Setup::default() };
        let (mut seen, out, state) = observed(role, &manual, split(&bytes, &cuts));
        seen.retain(|seen| !matches!(seen, Seen::Frame(..)));
        prop_assert!((seen, out, state) == automatic);
    }
}

proptest! {
    #[test]
    fn f12_any_split_gives_the_same_events_and_the_same_output(
        (role, bytes) in role_and_stream(),
        setup in setup(),
        cuts in cuts(),
    ) {
        let whole = observed(role, &setup, [bytes.as_slice()]);
        prop_assert_eq!(&observed(role, &setup, split(&bytes, &cuts)), &whole);
        prop_assert_eq!(&observed(role, &setup, bytes.chunks(1)), &whole);
    }

    #[test]
    fn f12_any_split_of_random_bytes_gives_the_same_events_and_output(role in role(), bytes: Vec<u8>, setup in setup(), cuts in cuts()) {
        let whole = observed(role, &setup, [bytes.as_slice()]);
        prop_assert_eq!(observed(role, &setup, split(&bytes, &cuts)), whole);
    }

    #[test]
    fn f12_any_split_of_random_bytes_after_the_handshake_gives_the_same_events(
        role in role(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        setup in setup(),
        cuts in cuts(),
    ) {
        let bytes = stream(!role, &[Piece::Bytes(bytes)]);
        let whole = observed(role, &setup, [bytes.as_slice()]);
        prop_assert_eq!(&observed(role, &setup, split(&bytes, &cuts)), &whole);
        prop_assert_eq!(&observed(role, &setup, bytes.chunks(1)), &whole);
    }

    #[test]
    fn f12_manual_replies_give_the_same_events_and_output((role, bytes) in role_and_stream(), cuts in cuts()) {
        let automatic = observed(role, &Setup::default(), split(&bytes, &cuts));
        let manual = Setup { is_manual: true, ..Setup::default() };
        let (mut seen, out, state) = observed(role, &manual, split(&bytes, &cuts));
        seen.retain(|seen| !matches!(seen, Seen::Frame(..)));
        prop_assert_eq!((seen, out, state), automatic);
    }

    #[test]
    fn s5_4_messages_in_valid_frames_are_received(role in role(), pieces in proper(), cuts in cuts()) {
        let said: Vec<Message> = pieces
            .iter()
            .filter_map(|piece| if let Piece::Message(message, _) = piece { Some(message.clone()) } else { None })
            .collect();
        let bytes = stream(!role, &pieces);
        let (seen, _, state) = observed(role, &Setup::default(), split(&bytes, &cuts));
        prop_assert_eq!((messages(&seen), state), (said, State::Open));
    }

    #[test]
    fn f4_s5_4_control_frames_do_not_change_the_messages(
        role in role(),
        pieces in proper(),
        cuts in cuts(),
    ) {
        let quiet: Vec<Piece> = pieces.iter().filter_map(Piece::quietly).collect();
        let (loud, _, _) = observed(role, &Setup::default(), split(&stream(!role, &pieces), &cuts));
        let (quiet, _, _) = observed(role, &Setup::default(), [stream(!role, &quiet).as_slice()]);
        prop_assert_eq!(messages(&loud), messages(&quiet));
    }

    #[test]
    fn s5_5_every_ping_gets_a_pong_in_order_while_output_is_written((role, bytes) in role_and_stream()) {
        let mut end = waiting(role, Config::default());
        let (mut seen, mut out) = (Vec::new(), Vec::new());
        for byte in bytes.chunks(1) {
            seen.extend(end.feed(byte));
            out.extend(end.take_out());
        }
        prop_assert!(pings(&seen).eq(pongs(role, &out).iter()));
    }

    #[test]
    fn s5_5_3_the_last_of_many_pings_gets_a_pong_while_output_is_full((role, bytes) in role_and_stream()) {
        let mut end = waiting(role, Config::default());
        let seen = end.feed(&bytes);
        let mut out = end.take_out();
        end.flush();
        out.extend(end.take_out());
        let answered = pongs(role, &out);
        let mut pinged = pings(&seen);
        prop_assert!(answered.iter().all(|pong| pinged.any(|ping| ping == pong)));
        if end.state() == State::Open {
            prop_assert_eq!(pings(&seen).last(), answered.last());
        }
    }

    #[test]
    fn s5_4_messages_of_both_ends_are_received_in_order(
        sent in prop::collection::vec((generate::message(), any::<bool>()), 0..6),
        fragment_size in 1usize..80,
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let config = Config { fragment_size, ..Config::default() };
        let mut pair = Pair::open_with(config.clone(), config);
        let (mut by_client, mut by_server) = (Vec::new(), Vec::new());
        for (message, is_clients) in sent {
            let (end, list) = if is_clients { (&mut pair.client, &mut by_client) } else { (&mut pair.server, &mut by_server) };
            list.push(message.clone());
            end.send(message);
        }
        let (up, down) = (pair.client.take_out(), pair.server.take_out());
        let fragments = bytes::frames(&up).into_iter().chain(bytes::frames(&down));
        prop_assert!(fragments.into_iter().all(|read| read.payload.len() <= fragment_size));
        let at_server: Vec<Seen> = split(&up, &cuts).iter().flat_map(|piece| pair.server.feed(piece)).collect();
        let at_client: Vec<Seen> = split(&down, &cuts).iter().flat_map(|piece| pair.client.feed(piece)).collect();
        prop_assert_eq!(messages(&at_server), by_client);
        prop_assert_eq!(messages(&at_client), by_server);
    }
}

#[test]
fn f12_a_fragment_with_two_violations_gives_the_same_error_at_any_split() {
    let begins = bytes::frame_from(Role::Client, bytes::TEXT_START, b"fine");
    let ends = bytes::frame_from(Role::Client, bytes::LAST, b"\xff one too many");
    let bytes = stream(Role::Client, &[Piece::Bytes([begins, ends].concat())]);
    for is_manual in [false, true] {
        let setup = Setup { config: Config { max_fragments: Some(1), ..Config::default() }, is_manual };
        let whole = observed(Role::Server, &setup, [bytes.as_slice()]);
        assert_eq!(observed(Role::Server, &setup, bytes.chunks(1)), whole);
    }
}

#[test]
fn f12_an_invalid_fragment_is_not_returned_to_the_front_end() {
    let bad = bytes::frame_from(Role::Client, bytes::TEXT_START, b"fine, fine, \xff");
    let bytes = stream(Role::Client, &[Piece::Bytes(bad)]);
    let setup = Setup { is_manual: true, ..Setup::default() };
    let whole = observed(Role::Server, &setup, [bytes.as_slice()]);
    assert!(!whole.0.iter().any(|seen| matches!(seen, Seen::Frame(OpCode::Text, ..))));
    assert_eq!(observed(Role::Server, &setup, bytes.chunks(1)), whole);
}
