//! Two cores that are connected in memory, and every operation of a front end in any order: messages arrive unchanged and in order,
//! and both ends close.

#![no_main]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::{Config, Deflate, ProtocolError, State};
use sockeye::{CloseCode, Frame, Message, OpCode, Request};
use sockeye_fuzz::Reader;
use sockeye_fuzz::end::{Core, End, Seen};

/// One end, and what is on its way to it.
struct Side {
    end: End,
    arriving: VecDeque<u8>,
    /// What the other end has sent, and this one has not received.
    expected: VecDeque<Vec<u8>>,
    /// What arrives was changed on its way, or is not what the other end sent as messages.
    is_changed: bool,
    /// The other end has shut down its side of TCP.
    has_ended: bool,
    failed: bool,
}

fn config(reader: &mut Reader<'_>) -> Config {
    let flags = reader.byte();
    let has = |bit: u8| flags & bit != 0;
    Config {
        fragment_size: if has(1) { 7 } else { usize::MAX },
        idle_timeout: has(2).then_some(Duration::from_secs(30)),
        ping_interval: has(4).then_some(Duration::from_secs(7)),
        max_message_size: if has(8) { 1000 } else { 1 << 20 },
        deflate: has(16).then(|| Deflate {
            server_no_context_takeover: has(32),
            client_no_context_takeover: has(64),
            threshold: 1,
            level: 1,
            ..Deflate::default()
        }),
        subprotocols: if has(128) { vec!["chat".to_owned()] } else { vec![] },
        ..Config::default()
    }
}

impl Side {
    fn new(end: End) -> Self {
        Self {
            end,
            arriving: VecDeque::new(),
            expected: VecDeque::new(),
            is_changed: false,
            has_ended: false,
            failed: false,
        }
    }

    /// Receives up to `len` bytes, and the end of TCP behind the last one.
    fn receive(&mut self, len: usize) {
        if !self.wants_input() {
            return;
        }
        let mut bytes: Vec<u8> = self.arriving.drain(..len.min(self.arriving.len())).collect();
        let (expected, is_changed, failed) = (&mut self.expected, self.is_changed, &mut self.failed);
        self.end.feed(&mut bytes, &mut |seen| match seen {
            Seen::Message(_, payload) if !is_changed => {
                assert_eq!(expected.pop_front().as_deref(), Some(*payload), "another message was sent");
            }
            Seen::Failed(ProtocolError::MessageTooLong) => *failed = true,
            Seen::Failed(err) => {
                assert!(is_changed, "an end rejects what the other one sends: {err:?}");
                *failed = true;
            }
            _ => {}
        });
        if self.arriving.is_empty() && self.has_ended {
            self.has_ended = false;
            let state = self.end.state();
            let result = self.end.receive_eof();
            assert!(result.is_ok() || !state.is_ending() || state == State::Closing, "{state:?}: {result:?}");
        }
    }

    fn wants_input(&self) -> bool {
        match &self.end.core {
            Core::Automatic(connection) => connection.wants_input(),
            Core::Manual(connection) => connection.wants_input(),
        }
    }

    fn send(&mut self, to: &mut Self, message: Message) {
        let (state, payload) = (self.end.state(), message.as_bytes().to_vec());
        let (now, out) = (self.end.now, &mut self.end.out);
        let sent = match &mut self.end.core {
            Core::Automatic(connection) => connection.send(message, now, out),
            Core::Manual(connection) => connection.send(message, now, out),
        };
        match (state, sent) {
            // A manual end can send messages after a failure, until it sends its Close.
            (State::Open | State::Closing, Ok(())) => to.expected.push_back(payload),
            (State::Open, Err(err)) => panic!("an open connection sends: {err:?}"),
            (_, sent) => {
                assert!(sent == Err(ProtocolError::NotOpen) || state == State::Closing, "{state:?}: {sent:?}")
            }
        }
    }

    fn send_frame(&mut self, frame: Frame) {
        let (now, out) = (self.end.now, &mut self.end.out);
        let len = out.len();
        let sent = match &mut self.end.core {
            Core::Automatic(connection) => connection.send_frame(frame, now, out),
            Core::Manual(connection) => connection.send_frame(frame, now, out),
        };
        assert!(sent.is_ok() || out.len() == len, "an error writes nothing");
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        let (now, out) = (self.end.now, &mut self.end.out);
        let closed = match &mut self.end.core {
            Core::Automatic(connection) => connection.close(code, reason, now, out),
            Core::Manual(connection) => connection.close(code, reason, now, out),
        };
        assert!(closed.is_err() || self.end.state().is_ending());
    }

    /// Writes all output, and ends TCP where the protocol demands it.
    fn write(&mut self, to: &mut Self) {
        loop {
            to.arriving.extend(&self.end.out);
            to.has_ended |= self.end.flush();
            if self.end.out.is_empty() {
                break;
            }
        }
        to.has_ended |= self.end.state() == State::Closed;
    }

    fn pass(&mut self, time: Duration) {
        self.end.now += time;
        let is_due = self.end.deadline().is_some_and(|deadline| deadline <= self.end.now);
        let (len, state) = (self.end.out.len(), self.end.state());
        let ticked = self.end.tick();
        if !is_due {
            assert_eq!(
                (ticked, self.end.out.len(), self.end.state()),
                (Ok(()), len, state),
                "nothing is due"
            );
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let (client_config, server_config) = (config(&mut reader), config(&mut reader));
    let has_timeouts = [client_config.idle_timeout.is_some(), server_config.idle_timeout.is_some()];
    let flags = reader.byte();
    let now = Instant::now();
    let request =
        Request::from_url(&"ws://a/".parse().expect("the URL is valid")).expect("the URL has a host");
    let client = End::client(Arc::new(client_config), request, now).expect("the request is valid");
    let server = End::server(Arc::new(server_config), now);
    let mut client = Side::new(if flags & 1 == 0 { client } else { client.into_manual() });
    let mut server = Side::new(if flags & 2 == 0 { server } else { server.into_manual() });
    if flags & 4 == 0 {
        client.write(&mut server);
        server.receive(usize::MAX);
        server.write(&mut client);
        client.receive(usize::MAX);
        assert_eq!((client.end.state(), server.end.state()), (State::Open, State::Open));
    }
    while !reader.is_empty() {
        let action = reader.byte();
        let (from, to) =
            if action & 1 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
        match action >> 1 & 0x1f {
            0 => from.send(to, Message::binary(reader.bytes())),
            1 => from.send(to, Message::text(String::from_utf8_lossy(reader.bytes()))),
            2 => from.send(to, Message::binary(vec![b'x'; usize::from(reader.short()) & 0x1fff])),
            3 => from.send_frame(Frame::ping(reader.bytes().to_vec())),
            4 => from.send_frame(Frame::pong(reader.bytes().to_vec())),
            5 => from.close(CloseCode::from(reader.short()), &String::from_utf8_lossy(reader.bytes())),
            6 => from.close(CloseCode::Normal, ""),
            7 => from.write(to),
            8 => from.receive(usize::from(reader.byte())),
            9 => from.receive(usize::MAX),
            10 => from.pass(Duration::from_millis(u64::from(reader.short()))),
            11 => from.pass(Duration::from_secs(u64::from(reader.byte()))),
            12 => {
                let opcode = OpCode::from(reader.byte() & 0x0f);
                // Only a message that is not in fragments is a message for certain.
                to.is_changed |= !opcode.is_control();
                from.send_frame(Frame::message(reader.bytes().to_vec(), opcode, reader.byte() & 1 == 0));
            }
            13 => {
                let (at, bits) = (usize::from(reader.byte()), reader.byte());
                if let Some(byte) = from.arriving.get_mut(at) {
                    *byte ^= bits;
                    // A changed request also changes the response.
                    from.is_changed |= bits != 0;
                    to.is_changed |= bits != 0;
                }
            }
            14 => from.has_ended = true,
            15 => {
                from.end.abandon();
                assert_eq!(from.end.state(), State::Closed);
            }
            _ => {}
        }
    }
    for _ in 0..8 {
        client.write(&mut server);
        server.receive(usize::MAX);
        server.write(&mut client);
        client.receive(usize::MAX);
    }
    for side in [&client, &server] {
        let is_complete = side.expected.is_empty() || side.failed || side.is_changed;
        let both_open = client.end.state() == State::Open && server.end.state() == State::Open;
        assert!(is_complete || !both_open, "{} messages are lost", side.expected.len());
    }
    client.end.assert_ends(has_timeouts[0], true);
    server.end.assert_ends(has_timeouts[1], flags & 8 == 0);
});
