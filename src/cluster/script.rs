//! Runs a node on a script: the fuzz target `cluster_node`.
//!
//! A script is a list of bytes, so that a fuzzer can change it. Each action is a byte, and its arguments: an envelope arrives, the
//! program publishes or subscribes, the broker connects, refuses, or acknowledges, time passes.

use std::time::{Duration, Instant};

use super::broker::NodeId;
use super::bytes::Reader;
use super::envelope::{Body, Content, Envelope, Flags};
use super::events::Event;
use super::node::{Node, ToBroker};
use super::options::Options;

/// The channels on which something arrives. The node can subscribe to the topics of the first two.
const CHANNELS: [&str; 5] =
    ["sockeye:t:a", "sockeye:t:b", "sockeye:all", "sockeye:n:0000000000000000", "other"];

/// The topics of `CHANNELS`.
const TOPICS: [&str; 2] = ["a", "b"];

/// How long other nodes have to answer a question.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Runs a script. Panics if the node delivers what nobody has sent or subscribed to, or if an invariant of the codec does not hold.
pub(crate) fn run_script(script: &[u8]) {
    let mut run = Run::new();
    let mut script = Reader(script);
    while let Some([action]) = script.array() {
        let argument = script.array::<1>().map_or(0, |[byte]| byte);
        run.act(action, argument, &mut script);
        run.check_events();
    }
    run.finish();
}

struct Run {
    node: Node,
    now: Instant,
    /// The topics with subscribers.
    open: [bool; 2],
    /// The message that has arrived last, until it is delivered: its channel and its content.
    last: Option<(usize, Vec<u8>)>,
    /// The questions without an answer.
    asked: Vec<u64>,
}

impl Run {
    fn new() -> Self {
        let now = Instant::now();
        let options = Options { max_unacknowledged: 4, max_unacknowledged_bytes: 200, ..Options::default() };
        let node = Node::new(NodeId::from_bytes([0; 8]), options, now);
        Self { node, now, open: [false; 2], last: None, asked: Vec::new() }
    }

    fn act(&mut self, action: u8, argument: u8, script: &mut Reader<'_>) {
        let topic = usize::from(argument) % TOPICS.len();
        match action % 12 {
            0 | 1 => {
                let envelope = take(script);
                self.receive(usize::from(argument) % CHANNELS.len(), envelope);
            }
            2 => self.receive_own(usize::from(argument) % CHANNELS.len()),
            3 => self.publish(topic, argument & 2 != 0, take(script)),
            4 if !std::mem::replace(&mut self.open[topic], true) => self.node.open(TOPICS[topic]),
            5 if std::mem::take(&mut self.open[topic]) => self.node.close(TOPICS[topic], self.now),
            6 => self.node.up(self.now),
            7 => self.node.down(self.now),
            8 => self.node.subscribed(&CHANNELS[..usize::from(argument) % CHANNELS.len()]),
            9 => self.node.acknowledged(argument.into()),
            10 => self.asked.extend(self.node.ask_count(TOPICS[topic], self.now + ANSWER_TIME)),
            11 => {
                self.now += Duration::from_millis(u64::from(argument) * 20);
                self.node.tick(self.now);
            }
            _ => {}
        }
    }

    fn receive(&mut self, channel: usize, envelope: &[u8]) {
        self.last = None;
        if let Ok(decoded) = Envelope::decode(envelope) {
            assert_eq!(Envelope::decode(&decoded.encode()), Ok(decoded), "encoding loses something");
            if let Body::Message { content, .. } = decoded.body {
                self.last = Some((channel, content.as_bytes().to_vec()));
            }
        }
        self.node.received(CHANNELS[channel], envelope, self.now);
    }

    /// What the node hands over next is refused, or arrives on a channel, which need not be the right one.
    fn receive_own(&mut self, channel: usize) {
        let Some(ToBroker::Publish { channel: own, envelope }) = self.node.next_output() else { return };
        let index = CHANNELS.iter().position(|known| *known == own).unwrap_or(channel);
        let envelope = envelope.to_vec();
        assert!(Envelope::decode(&envelope).is_ok(), "the node has sent an invalid envelope");
        match channel {
            0 => self.node.refused(),
            1 => self.receive(channel, &envelope),
            _ => self.receive(index, &envelope),
        }
    }

    fn publish(&mut self, topic: usize, is_ordered: bool, content: &[u8]) {
        let flags = Flags::TOTAL_ORDER.when(is_ordered);
        let _ = self.node.publish(Some(TOPICS[topic]), Content::Binary(content), flags, None);
    }

    fn check_events(&mut self) {
        while let Some(event) = self.node.next_event() {
            match event {
                Event::Deliver { topic, message, .. } => {
                    let (channel, content) = self.last.take().expect("nothing has arrived that is delivered");
                    assert_eq!(message.into_data(), content);
                    assert_eq!(topic.as_deref(), TOPICS.get(channel).copied());
                    assert!(self.open.get(channel).is_none_or(|is_open| *is_open), "nobody has subscribed");
                }
                Event::Gap { topic: Some(topic), .. } => assert!(TOPICS.contains(&&*topic)),
                Event::Counted { query, answered, nodes, .. } => {
                    let index = self.asked.iter().position(|asked| *asked == query);
                    self.asked.swap_remove(index.expect("a question is answered once"));
                    assert!(answered <= nodes);
                }
                Event::CountAsked { node, query, .. } => self.node.answer_count(node, query, 1),
                Event::Gap { topic: None, .. } => {}
            }
        }
    }

    /// Every question has an answer when its time is over.
    fn finish(mut self) {
        self.now += ANSWER_TIME;
        self.node.tick(self.now);
        self.check_events();
        assert_eq!(self.asked, [0_u64; 0]);
    }
}

/// Takes a list of bytes behind its length.
fn take<'a>(script: &mut Reader<'a>) -> &'a [u8] {
    let len = script.array::<1>().map_or(0, |[len]| usize::from(len));
    script.take(len.min(script.0.len())).unwrap_or_default()
}
