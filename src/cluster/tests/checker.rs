//! What subscribers must receive.
//!
//! Each message that another node publishes while a topic is open, and after the report that the topic is received, must be
//! delivered once and in the order of its publisher, or a gap must be reported after it was published and before the next message of
//! that publisher is delivered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::envelope::{Body, Envelope};
use super::super::events::{Event, Missed};

type Topic = Option<String>;

#[derive(Default)]
pub(super) struct Checker {
    step: u64,
    published: BTreeMap<(usize, Topic), Vec<Published>>,
    open: BTreeMap<(usize, Topic), Period>,
    /// The nodes that have ended. What the server had not received from them then needs no report.
    ended: BTreeSet<usize>,
    pub(super) gaps: Vec<(usize, Topic, Missed)>,
    pub(super) delivered: Vec<(usize, String)>,
    pub(super) counted: Vec<Event>,
}

struct Published {
    step: u64,
    is_total: bool,
    is_processed: bool,
}

/// The time during which a node has subscribers of a topic.
#[derive(Default)]
struct Period {
    /// Everything that is published later must be delivered or reported.
    since: Option<u64>,
    last_gap: u64,
    /// The next message of each publisher.
    next: HashMap<usize, usize>,
}

impl Checker {
    pub(super) fn step(&self) -> u64 {
        self.step
    }

    pub(super) fn next_payload(&self, author: usize, topic: Option<&str>) -> String {
        let place = self.published.get(&(author, topic.map(str::to_owned))).map_or(0, Vec::len);
        format!("{author}/{}/{place}", topic.unwrap_or("*"))
    }

    pub(super) fn published(&mut self, author: usize, topic: Option<&str>, is_total: bool) {
        self.step += 1;
        let message = Published { step: self.step, is_total, is_processed: false };
        self.published.entry((author, topic.map(str::to_owned))).or_default().push(message);
    }

    /// The server has received an envelope.
    pub(super) fn processed(&mut self, envelope: &[u8]) {
        if let Ok(Envelope { body: Body::Message { content, .. }, .. }) = Envelope::decode(envelope) {
            let (author, topic, place) = parse(std::str::from_utf8(content.as_bytes()).unwrap());
            self.published.get_mut(&(author, topic)).unwrap()[place].is_processed = true;
        }
    }

    pub(super) fn open(&mut self, node: usize, topic: Option<&str>, is_effective: bool) {
        self.step += 1;
        let since = is_effective.then_some(self.step);
        self.open.insert((node, topic.map(str::to_owned)), Period { since, ..Period::default() });
    }

    pub(super) fn close(&mut self, node: usize, topic: Option<&str>) {
        self.open.remove(&(node, topic.map(str::to_owned)));
    }

    pub(super) fn is_open(&self, node: usize, topic: Option<&str>) -> bool {
        self.open.contains_key(&(node, topic.map(str::to_owned)))
    }

    pub(super) fn end(&mut self, node: usize) {
        self.ended.insert(node);
        self.open.retain(|(of, _), _| *of != node);
    }

    pub(super) fn event(&mut self, node: usize, event: Event) {
        self.step += 1;
        match event {
            Event::Gap { topic, missed } => {
                let topic = topic.map(|topic| topic.to_string());
                let key = (node, topic.clone());
                let period = self.open.get_mut(&key).expect("a gap of a topic with subscribers");
                if period.since.is_none() {
                    assert_eq!(missed, Missed::Joined, "the first report about {key:?}");
                    period.since = Some(self.step);
                } else {
                    assert_ne!(missed, Missed::Joined, "a later report about {key:?}");
                }
                period.last_gap = self.step;
                self.gaps.push((node, topic, missed));
            }
            Event::Deliver { topic, message, except, .. } => {
                let text = message.as_text().unwrap();
                let (author, of_topic, place) = parse(text);
                assert_eq!(of_topic.as_deref(), topic.as_deref());
                assert_eq!(except, (author == node).then_some(7));
                self.delivered(node, of_topic, author, place);
                self.delivered.push((node, text.to_owned()));
            }
            Event::Counted { .. } => self.counted.push(event),
            Event::CountAsked { .. } => unreachable!("the world answers"),
        }
    }

    fn delivered(&mut self, node: usize, topic: Topic, author: usize, place: usize) {
        let key = (node, topic);
        let published = &self.published[&(author, key.1.clone())];
        assert!(author != node || published[place].is_total, "node {node} has delivered {key:?} itself");
        let period = self.open.get_mut(&key).expect("a topic with subscribers");
        let next = period.next.get(&author).copied();
        assert!(next.is_none_or(|next| next <= place), "{key:?} of {author}: {place} after {next:?}");
        period.require_reports(published, next.unwrap_or(0)..place, |message| {
            author != node || message.is_total
        });
        period.next.insert(author, place + 1);
    }

    /// Nothing is on the way, and all nodes have had time to report what is missing.
    pub(super) fn check_end(&self) {
        for ((node, topic), period) in &self.open {
            for ((author, _), published) in self.published.iter().filter(|((_, of), _)| of == topic) {
                let has_ended = self.ended.contains(author);
                let next = period.next.get(author).copied().unwrap_or(0);
                period.require_reports(published, next..published.len(), |message| {
                    (author != node || message.is_total) && (!has_ended || message.is_processed)
                });
            }
        }
    }
}

impl Period {
    fn require_reports(
        &self,
        published: &[Published],
        missing: std::ops::Range<usize>,
        is_due: impl Fn(&Published) -> bool,
    ) {
        let Some(since) = self.since else { return };
        for place in missing {
            let message = &published[place];
            let is_reported = message.step < since || message.step < self.last_gap || !is_due(message);
            assert!(is_reported, "message {place} is lost without a report");
        }
    }
}

fn parse(payload: &str) -> (usize, Topic, usize) {
    let mut parts = payload.split('/');
    let author = parts.next().unwrap().parse().unwrap();
    let topic = parts.next().filter(|topic| *topic != "*").map(str::to_owned);
    (author, topic, parts.next().unwrap().parse().unwrap())
}
