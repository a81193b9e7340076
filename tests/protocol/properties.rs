//! What holds for every conversation, however TCP cuts it (F12).

use proptest::prelude::*;
use proptest::sample::Index;
use sockeye::protocol::{Answers, Config, Role, State};
use sockeye::{Message, OpCode};

use crate::conversation::{self, Piece, anything, cuts, proper, role, split, stream};
use sockeye_test_support::bytes;
use sockeye_test_support::pair::{End, Pair, Seen};

/// An end that waits for the head of its peer.
fn waiting(role: Role, config: Config) -> End {
    let mut end = match role {
        Role::Client => End::client(Config { key_strict: false, ..config }),
        Role::Server => End::server(config),
    };
    end.take_out();
    end
}

/// All that can be observed of an end: its reports, what it has written, its state. The keys of a client are random,
/// and left out.
fn observed<'a>(
    role: Role,
    config: &Config,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Vec<u8>, State) {
    let mut end = waiting(role, config.clone());
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

/// Configurations under which different paths are taken.
fn config() -> impl Strategy<Value = Config> {
    let answers = prop::sample::select(vec![Answers::Automatic, Answers::Manual]);
    let size = prop::sample::select(vec![40, 200, 1 << 20]);
    let fragments = prop::sample::select(vec![None, Some(1), Some(3)]);
    (answers, size, fragments, any::<bool>()).prop_map(|(answers, size, max_fragments, masking_strict)| {
        Config { answers, max_message_size: size, max_fragments, masking_strict, ..Config::default() }
    })
}

fn role_and_stream() -> impl Strategy<Value = (Role, Vec<u8>)> {
    role().prop_flat_map(|role| (Just(role), anything(!role)))
}

/// The messages among the reports.
fn messages(seen: &[Seen]) -> Vec<Message> {
    let message = |seen: &Seen| if let Seen::Message(message) = seen { Some(message.clone()) } else { None };
    seen.iter().filter_map(message).collect()
}

proptest! {
    #[test]
    fn f12_any_split_gives_the_same_events_and_the_same_output(
        (role, bytes) in role_and_stream(),
        config in config(),
        cuts in cuts(),
    ) {
        let whole = observed(role, &config, [bytes.as_slice()]);
        prop_assert_eq!(&observed(role, &config, split(&bytes, &cuts)), &whole);
        prop_assert_eq!(&observed(role, &config, bytes.chunks(1)), &whole);
    }

    #[test]
    fn f12_any_split_of_garbage(role in role(), bytes: Vec<u8>, config in config(), cuts in cuts()) {
        let whole = observed(role, &config, [bytes.as_slice()]);
        prop_assert_eq!(observed(role, &config, split(&bytes, &cuts)), whole);
    }

    #[test]
    fn f12_any_split_of_garbage_behind_the_handshake(
        role in role(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        config in config(),
        cuts in cuts(),
    ) {
        let bytes = stream(!role, &[Piece::Bytes(bytes)]);
        let whole = observed(role, &config, [bytes.as_slice()]);
        prop_assert_eq!(&observed(role, &config, split(&bytes, &cuts)), &whole);
        prop_assert_eq!(&observed(role, &config, bytes.chunks(1)), &whole);
    }

    #[test]
    fn f12_who_sends_the_answers_makes_no_difference((role, bytes) in role_and_stream(), cuts in cuts()) {
        let automatic = observed(role, &Config::default(), split(&bytes, &cuts));
        let manual = Config { answers: Answers::Manual, ..Config::default() };
        let (mut seen, out, state) = observed(role, &manual, split(&bytes, &cuts));
        seen.retain(|seen| !matches!(seen, Seen::Frame(..)));
        prop_assert_eq!((seen, out, state), automatic);
    }

    #[test]
    fn s5_4_what_is_said_by_the_rules_arrives(role in role(), pieces in proper(), cuts in cuts()) {
        let said: Vec<Message> = pieces
            .iter()
            .filter_map(|piece| if let Piece::Message(message, _) = piece { Some(message.clone()) } else { None })
            .collect();
        let bytes = stream(!role, &pieces);
        let (seen, _, state) = observed(role, &Config::default(), split(&bytes, &cuts));
        prop_assert_eq!((messages(&seen), state), (said, State::Open));
    }

    #[test]
    fn f4_s5_4_control_frames_anywhere_do_not_change_the_messages(
        role in role(),
        pieces in proper(),
        cuts in cuts(),
    ) {
        let quiet: Vec<Piece> = pieces.iter().filter_map(Piece::quietly).collect();
        let (loud, _, _) = observed(role, &Config::default(), split(&stream(!role, &pieces), &cuts));
        let (quiet, _, _) = observed(role, &Config::default(), [stream(!role, &quiet).as_slice()]);
        prop_assert_eq!(messages(&loud), messages(&quiet));
    }

    #[test]
    fn s5_5_every_ping_is_answered_in_order((role, bytes) in role_and_stream()) {
        let (seen, out, _) = observed(role, &Config::default(), [bytes.as_slice()]);
        let pinged = seen.iter().filter_map(|seen| if let Seen::Ping(payload) = seen { Some(payload) } else { None });
        let answered = conversation::frames_of(role, &out);
        let ponged = answered.iter().filter(|read| read.first == bytes::PONG).map(|read| &read.payload);
        prop_assert!(pinged.eq(ponged));
    }

    #[test]
    fn s5_4_messages_of_either_end_arrive_in_order(
        sent in prop::collection::vec((conversation::message(), any::<bool>()), 0..6),
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
fn f12_a_fragment_that_breaks_two_rules() {
    let begins = bytes::frame_from(Role::Client, bytes::TEXT_START, b"fine");
    let ends = bytes::frame_from(Role::Client, bytes::LAST, b"\xff one too many");
    let bytes = stream(Role::Client, &[Piece::Bytes([begins, ends].concat())]);
    for answers in [Answers::Automatic, Answers::Manual] {
        let config = Config { max_fragments: Some(1), answers, ..Config::default() };
        let whole = observed(Role::Server, &config, [bytes.as_slice()]);
        assert_eq!(observed(Role::Server, &config, bytes.chunks(1)), whole);
    }
}

#[test]
fn f12_a_bad_fragment_is_not_seen_by_a_front_end() {
    let bad = bytes::frame_from(Role::Client, bytes::TEXT_START, b"fine, fine, \xff");
    let bytes = stream(Role::Client, &[Piece::Bytes(bad)]);
    let config = Config { answers: Answers::Manual, ..Config::default() };
    let whole = observed(Role::Server, &config, [bytes.as_slice()]);
    assert!(!whole.0.iter().any(|seen| matches!(seen, Seen::Frame(OpCode::Text, ..))));
    assert_eq!(observed(Role::Server, &config, bytes.chunks(1)), whole);
}
