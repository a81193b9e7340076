//! The handler of a connection on a node.

use std::sync::Arc;

use sockeye::cluster::Missed;
use sockeye::{Error, Frame, Handler, Message, OpCode, Result, Sender};

use crate::ledger::PUBLISHERS;
use crate::packet::{Packet, kind};
use crate::publishers::{Defect, Publishing};
use crate::topics;
use crate::words;

/// One of this many connections is exact.
const EXACT: u32 = 4;

/// Subscribes and publishes for its client, and passes gaps on to it.
///
/// What [`on_gap`](Handler::on_gap) sends can reach the client after the next publication. The handlers of *exact* connections see each
/// frame, and append the gap to the next publication on the topic. Those of the others receive publications in the fastest way.
pub(crate) struct Serving {
    out: Sender,
    worker: usize,
    publishing: Arc<Publishing>,
    is_exact: bool,
    /// The gaps that the client of an exact connection has not received.
    pending: Vec<(u16, u8)>,
}

impl Serving {
    pub(crate) fn new(out: Sender, worker: usize, publishing: &Arc<Publishing>) -> Self {
        let is_exact = out.connection_id().is_multiple_of(EXACT);
        Self { out, worker, publishing: Arc::clone(publishing), is_exact, pending: Vec::new() }
    }

    fn join(&self, topic: u16) -> Result<()> {
        if topic != self.publishing.topics.broadcasts() {
            self.out.subscribe(topics::name(topic))?;
        }
        let next = self.publishing.ledger.next(topic);
        let (node, worker, exact) = (self.publishing.node, self.worker, u8::from(self.is_exact));
        let mut reply = format!("joined {node} {worker} {exact} {topic}");
        for next in next.iter().take(PUBLISHERS) {
            reply += &format!(" {next}");
        }
        self.out.send(reply)
    }

    /// Publishes on each topic.
    fn publish_round(&self) -> Result<()> {
        for topic in self.publishing.topics.all() {
            assert!(self.publish(topic)?, "nothing else fills the queue");
        }
        self.out.send("done")
    }

    /// Returns `false` if the topic has a total order, and too many messages wait for the server.
    fn publish(&self, topic: u16) -> Result<bool> {
        self.publishing.publish(&self.out, self.worker, topic)
    }

    /// Removes the pending gaps for which this holds, and returns their kinds.
    fn take_pending(&mut self, mut is_taken: impl FnMut(u16, u8) -> bool) -> Vec<u8> {
        let taken = self.pending.extract_if(.., |(topic, kind)| is_taken(*topic, *kind));
        taken.map(|(_, kind)| kind).collect()
    }
}

impl Handler for Serving {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        let mut words = words::of(msg.as_text()?);
        let order: String = words.next().expect("clients send orders");
        match order.as_str() {
            "join" => words.rest().expect("topics").into_iter().try_for_each(|topic| self.join(topic)),
            "publish" => self.publish(words.next().expect("a topic")).map(drop),
            "round" => self.publish_round(),
            _ => panic!("{order} is no order"),
        }
    }

    fn on_gap(&mut self, topic: &str, missed: Missed) -> Result<()> {
        let topic = self.publishing.topics.number(topic);
        if self.publishing.defect == Some(Defect::Silent) {
            return Ok(());
        }
        let kind = kind(missed);
        if self.is_exact {
            self.pending.push((topic, kind));
        }
        self.out.send(format!("gap {topic} {kind}"))
    }

    fn wants_frames(&self) -> bool {
        self.is_exact
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if !self.is_exact || self.pending.is_empty() {
            return Ok(Some(frame));
        }
        if frame.opcode() == OpCode::Binary {
            let topic = Packet::topic_of(frame.payload()).expect("a publication");
            let gaps = self.take_pending(|other, _| other == topic);
            let bytes = [frame.payload().as_slice(), &gaps].concat();
            return Ok(Some(Frame::message(bytes, OpCode::Binary, true)));
        }
        let text = String::from_utf8_lossy(frame.payload()).into_owned();
        let Some(gap) = text.strip_prefix("gap ") else { return Ok(Some(frame)) };
        let gap: Vec<u16> = words::of(gap).rest().expect("numbers");
        let mut is_first = true;
        let is_it = |topic, kind: u8| [topic, kind.into()] == gap[..] && std::mem::take(&mut is_first);
        // Without a pending gap, a publication has contained it.
        Ok((!self.take_pending(is_it).is_empty()).then_some(frame))
    }

    // A node can be killed while its clients send.
    fn on_error(&mut self, _: Error) {}
}
