//! Streams of bytes to one end, cut in different ways.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{Config, Deflate, Role, State};
use sockeye::{Origins, Request};

use crate::Reader;
use crate::end::{End, Seen, checked_output};
use crate::memory::Meter;

/// What one input selects besides the stream.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    role: Role,
    deflate: bool,
    flags: u8,
    /// Where the stream is split: the lengths of the first pieces.
    cuts: [u8; 4],
}

/// There is no opening handshake.
const IS_OPEN: u8 = 0x01;
const SMALL_LIMITS: u8 = 0x02;
const LENIENT: u8 = 0x04;
const FEW_FRAGMENTS: u8 = 0x08;
const MANUAL: u8 = 0x10;
const CHOOSY: u8 = 0x20;
const TIMEOUTS: u8 = 0x40;
/// The front end never records that output was written. With compression, the contexts are kept instead.
const UNFLUSHED: u8 = 0x80;

/// How an end reacts to a stream.
#[derive(Debug, PartialEq, Eq)]
struct Reaction {
    events: u64,
    out: Vec<u8>,
    state: State,
}

static REQUEST: LazyLock<Request> = LazyLock::new(|| {
    let mut request = Request::from_url(&"ws://example.com/chat".parse().unwrap()).unwrap();
    request.add_protocol("chat");
    request
});

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Setup {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn config(&self) -> Config {
        let (max_message_size, max_head_size) =
            if self.has(SMALL_LIMITS) { (100, 512) } else { (4096, 16 * 1024) };
        let keeps_context = self.has(UNFLUSHED);
        Config {
            max_message_size,
            max_head_size,
            max_target_size: if self.has(SMALL_LIMITS) { 64 } else { 8192 },
            max_headers: if self.has(SMALL_LIMITS) { 8 } else { 100 },
            max_frame_size: if self.has(FEW_FRAGMENTS) { max_message_size / 2 } else { usize::MAX },
            max_fragments: self.has(FEW_FRAGMENTS).then_some(3),
            masking_strict: !self.has(LENIENT),
            key_strict: self.role == Role::Server && !self.has(LENIENT),
            method_strict: !self.has(LENIENT),
            origins: if self.has(CHOOSY) { Origins::SameHost.into() } else { Origins::Any.into() },
            subprotocols: if self.has(CHOOSY) { vec!["chat".to_owned()] } else { Vec::new() },
            deflate: self.deflate.then(|| Deflate {
                server_no_context_takeover: !keeps_context,
                client_no_context_takeover: !keeps_context,
                ..Deflate::default()
            }),
            idle_timeout: self.has(TIMEOUTS).then_some(Duration::from_secs(25)),
            ping_interval: self.has(TIMEOUTS).then_some(Duration::from_secs(10)),
            ..Config::default()
        }
    }

    /// The most memory that an end may need, its input excluded. A head is kept, and parsed into fields; buffers grow by
    /// doubling, and while one grows, the old and the new memory count.
    fn memory(&self, config: &Config) -> usize {
        let deflate = if self.deflate { 256 * 1024 + config.max_message_size } else { 0 };
        4 * config.max_head_size + 4 * config.max_message_size + 16 * 1024 + deflate
    }

    fn end(&self, config: &Arc<Config>) -> End {
        let config = Arc::clone(config);
        let mut end = match self.role {
            _ if self.has(IS_OPEN) => {
                let params = if self.has(UNFLUSHED) {
                    vec![]
                } else {
                    vec![
                        ("server_no_context_takeover".to_owned(), None),
                        ("client_no_context_takeover".to_owned(), None),
                    ]
                };
                let extension = Extension { name: "permessage-deflate".to_owned(), params };
                let extensions = if self.deflate { std::slice::from_ref(&extension) } else { &[] };
                End::open(self.role, config, extensions, *NOW).expect("the extensions are valid")
            }
            Role::Server => End::server(config, *NOW),
            Role::Client => End::client(config, REQUEST.clone(), *NOW).expect("the request is valid"),
        };
        end.out.clear();
        end
    }

    /// Feeds pieces to an end. Also lets the connection end, and compares the memory with the limits.
    fn react<'a>(
        &self,
        is_manual: bool,
        pieces: impl Iterator<Item = &'a [u8]>,
        report: &mut dyn FnMut(&Seen<'_>),
    ) -> (Vec<u8>, State) {
        let config = Arc::new(self.config());
        let mut pieces: Vec<Vec<u8>> = pieces.map(<[u8]>::to_vec).collect();
        let meter = Meter::begin();
        let mut end = self.end(&config);
        if is_manual {
            end = end.into_manual();
        }
        for piece in &mut pieces {
            end.feed(piece, report);
        }
        let (most, peak) = (self.memory(&config), meter.peak());
        assert!(peak <= most, "{peak} bytes in use, more than {most}");
        let out = checked_output(self.role, self.has(IS_OPEN), &end.out);
        let state = end.state();
        end.assert_ends(self.has(TIMEOUTS), !self.has(UNFLUSHED));
        let ended = end.state();
        if ended == State::Closed {
            end.out.clear();
            end.feed(&mut b"\x81\x80too late".to_owned(), &mut |seen| panic!("{seen:?} after the end"));
            assert_eq!((end.out.len(), end.state()), (0, State::Closed));
        }
        (out, state)
    }

    fn reaction<'a>(
        &self,
        is_manual: bool,
        has_frames: bool,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Reaction {
        let mut events = DefaultHasher::new();
        let (out, state) = self.react(is_manual, pieces, &mut |seen| {
            if has_frames || !matches!(seen, Seen::Frame(..)) {
                seen.hash(&mut events);
            }
        });
        Reaction { events: events.finish(), out, state }
    }

    fn log<'a>(&self, is_manual: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let mut log = Vec::new();
        let rest = self.react(is_manual, pieces, &mut |seen| log.push(format!("{seen:?}")));
        log.push(format!("{rest:?}"));
        log
    }
}

/// Splits a stream into pieces of the given lengths and the rest.
pub fn split<'a>(stream: &'a [u8], cuts: &[u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
    let mut rest = stream;
    let pieces: Vec<&[u8]> = cuts
        .iter()
        .map(|len| {
            let (piece, after) = rest.split_at(usize::from(*len).min(rest.len()));
            rest = after;
            piece
        })
        .collect();
    pieces.into_iter().chain([rest])
}

/// Feeds a stream to one end, in pieces and as a whole, and asserts that this makes no difference.
pub fn run(role: Role, deflate: bool, input: &[u8]) {
    let mut reader = Reader::new(input);
    let flags = reader.byte();
    let cuts = [reader.byte(), reader.byte(), reader.byte(), reader.byte()];
    let setup = Setup { role, deflate, flags, cuts };
    let stream = reader.rest();
    let whole = setup.reaction(false, false, [stream].into_iter());
    let check = |is_manual, pieces: &mut dyn Iterator<Item = &[u8]>, log: &dyn Fn() -> Vec<String>| {
        if setup.reaction(is_manual, false, pieces) != whole {
            assert_eq!(setup.log(false, [stream].into_iter()), log(), "whole and split differ");
            panic!("whole and split differ");
        }
    };
    let pieces = split(stream, &setup.cuts);
    check(false, &mut pieces.clone(), &|| setup.log(false, pieces.clone()));
    if setup.cuts == [0; 4] && stream.len() <= 256 {
        check(false, &mut stream.chunks(1), &|| setup.log(false, stream.chunks(1)));
    }
    if setup.has(MANUAL) {
        check(true, &mut pieces.clone(), &|| setup.log(true, pieces.clone()));
        let frames = setup.reaction(true, true, [stream].into_iter());
        assert_eq!(setup.reaction(true, true, pieces), frames, "frames depend on the split");
    }
}
