//! D7: the same messages through another zlib, Python's, with every set of parameters and in both directions. What it
//! inflates with is the window that was agreed on, and no larger one.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sockeye::protocol::{Config, Role, State};
use sockeye::{Deflate, Message};

use super::{EAGER, RSV1, client, feed, noise, server, with};
use sockeye_test_support::bytes::{self, BINARY_START, CONTINUATION, LAST};
use sockeye_test_support::pair::{End, Seen};

/// How many messages go in each direction for each of the 196 sets of parameters and each role: 10,192 in each direction.
const MESSAGES: usize = 26;

/// The other zlib, in a process of its own.
struct Python {
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Python {
    fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/rfc7692/zlib_peer.py");
        let mut command = Command::new("python3");
        let spawned = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.ok()?;
        let (input, output) = (process.stdin.take()?, process.stdout.take()?);
        Some(Self { process, input, output })
    }

    /// Asks for one thing: a letter and bytes, answered by bytes.
    fn ask(&mut self, what: u8, bytes: &[u8]) -> Vec<u8> {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        self.input.write_all(&[&[what], &len[..], bytes].concat()).unwrap();
        self.input.flush().unwrap();
        let mut len = [0; 4];
        self.output.read_exact(&mut len).expect("the other zlib has failed");
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(len)).unwrap()];
        self.output.read_exact(&mut answer).unwrap();
        answer
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One set of parameters: for each side, whether it keeps its context, and its window.
#[derive(Debug, Clone, Copy)]
struct Set {
    server: (bool, u8),
    client: (bool, u8),
}

fn sets() -> Vec<Set> {
    let sides: Vec<_> =
        [true, false].into_iter().flat_map(|keeps| (9..=15).map(move |bits| (keeps, bits))).collect();
    sides
        .iter()
        .flat_map(|server| sides.iter().map(|client| Set { server: *server, client: *client }))
        .collect()
}

impl Set {
    fn params(self) -> String {
        let sides = [("server", self.server), ("client", self.client)];
        let mut params = "permessage-deflate".to_owned();
        for (name, _) in sides.iter().filter(|(_, (keeps, _))| !keeps) {
            params += &format!("; {name}_no_context_takeover");
        }
        for (name, (_, bits)) in sides {
            params += &format!("; {name}_max_window_bits={bits}");
        }
        params
    }

    /// Our end in a role, after a handshake that agreed on this.
    fn open(self, role: Role, level: u8) -> End {
        let deflate = Deflate { level, ..EAGER };
        match role {
            Role::Server => {
                let (end, answer) = server(with(deflate), &self.params());
                assert_eq!(answer, Some(self.params()));
                end
            }
            Role::Client => {
                let (end, seen) = client(with(deflate), &self.params());
                assert_eq!(seen, [Seen::Response(101)]);
                end
            }
        }
    }
}

/// Numbers, always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    /// Text, noise, zeros, or what was there before; short mostly, and sometimes longer than every window.
    fn message(&mut self, before: &[u8]) -> Vec<u8> {
        let most = [20, 200, 2000, 2000, 20_000, 80_000][self.roll(6)];
        let len = self.roll(most);
        let words =
            [&b"salmon "[..], b"trout ", b"{\"id\":", b"0123456789", b"\n\n", b"the river ", &[0xff, 0, 1]];
        match self.roll(5) {
            0 => {
                let start = self.roll(1000);
                noise(start + len)[start..].to_vec()
            }
            1 => vec![0; len],
            2 => [before, before].concat(),
            _ => std::iter::repeat_with(|| words[self.roll(words.len())])
                .flatten()
                .copied()
                .take(len)
                .collect(),
        }
    }
}

/// Sends a message to the other zlib, and one back, in fragments.
fn exchange(end: &mut End, python: &mut Python, dice: &mut Dice, message: &[u8]) {
    end.send(message.to_vec());
    let frames = bytes::frames(&end.take_out());
    let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    let received = if frames[0].first & RSV1 != 0 { python.ask(b'i', &payload) } else { payload };
    assert!(received == message, "{} bytes were sent, and others received", message.len());

    let compressed = python.ask(b'd', message);
    let at = dice.roll(compressed.len() + 1);
    let (first, rest) = compressed.split_at(at);
    assert_eq!(feed(end, BINARY_START | RSV1, first), []);
    assert_eq!(feed(end, CONTINUATION, &[]), []);
    let seen = feed(end, LAST, rest);
    let [Seen::Message(Message::Binary(received))] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(received == message, "{} bytes were expected", message.len());
}

#[test]
fn d7_compression_interoperates_with_the_zlib_of_python() {
    let Some(mut python) = Python::start() else {
        // Not with a macro, since the output of passing tests is captured.
        writeln!(std::io::stderr(), "SKIPPED: there is no python3, so that no other zlib was asked").unwrap();
        return;
    };
    let mut dice = Dice(7692);
    for set in sets() {
        for role in [Role::Server, Role::Client] {
            let (own, theirs) = match role {
                Role::Server => (set.server, set.client),
                Role::Client => (set.client, set.server),
            };
            let level = u8::try_from(dice.roll(9) + 1).unwrap();
            let mut end = set.open(role, level);
            let their_level = u8::try_from(dice.roll(10)).unwrap();
            python.ask(b'n', &[own.0.into(), own.1, theirs.0.into(), theirs.1, their_level]);
            let mut before = Vec::new();
            for _ in 0..MESSAGES {
                let message = dice.message(&before);
                exchange(&mut end, &mut python, &mut dice, &message);
                before = message[..message.len().min(3000)].to_vec();
            }
            assert_eq!(end.state(), State::Open);
        }
    }
}

#[test]
fn d7_a_message_compressed_with_a_window_of_8_bits_is_received() {
    // What was compressed within 2^8 bytes is also within 2^15.
    let config = Config { deflate: Some(EAGER), ..Config::default() };
    let (mut end, answer) = server(config, "permessage-deflate; client_max_window_bits=8");
    assert_eq!(answer.as_deref(), Some("permessage-deflate; client_max_window_bits=8"));
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(feed(&mut end, super::COMPRESSED_TEXT, &hello), [Seen::text("Hello")]);
}
