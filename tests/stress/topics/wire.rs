//! What the server and the clients send to each other.
//!
//! A publication is a binary message that contains its publisher, its topic, its number and a checksum. Requests, replies and orders are
//! text: a word and numbers.

use sockeye_test_support::misbehavior::Dice;

/// The number of workers of the pool.
pub(super) const WORKERS: usize = 2;

/// The number of threads that publish.
pub(super) const THREADS: usize = 2;

/// The number of publishers: the handlers of each worker, its timers, and the threads.
pub(super) const PUBLISHERS: usize = 2 * WORKERS + THREADS;

/// The topic of the client of each process that receives orders.
pub(super) const ORDERS: &str = "orders";

/// The length of a publication without its body.
const HEAD: usize = 16;

/// The most bytes of a body.
const MAX_BODY: usize = 240;

/// A source of publications, which numbers those of each topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publisher {
    /// The handlers of a worker, when they receive a message.
    Handlers(usize),
    /// The handlers of a worker, when a timeout fires.
    Timers(usize),
    Thread(usize),
}

impl Publisher {
    pub(super) fn index(self) -> usize {
        match self {
            Self::Handlers(worker) => worker,
            Self::Timers(worker) => WORKERS + worker,
            Self::Thread(number) => 2 * WORKERS + number,
        }
    }

    /// Returns whether the publisher with this index publishes on the thread of a worker.
    pub(super) fn is_of_worker(index: usize, worker: usize) -> bool {
        index == Self::Handlers(worker).index() || index == Self::Timers(worker).index()
    }
}

/// A publication without its body, which follows from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) publisher: u8,
    /// Whether the publisher publishes nothing else on this topic.
    pub(super) is_last: bool,
    pub(super) topic: u16,
    pub(super) number: u32,
}

impl Packet {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut dice = Dice(1 + u64::from(self.number) + u64::from(self.topic) * 1_000_003);
        let body = dice.bytes(MAX_BODY);
        let mut bytes = vec![self.publisher, self.is_last.into()];
        bytes.extend(self.topic.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(checksum(&[&bytes, &body]).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// Returns `None` if the bytes are not those that were published.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(HEAD)?;
        let (fields, sum) = head.split_at(HEAD / 2);
        let [publisher, is_last, topic @ .., _, _, _, _] = *<&[u8; 8]>::try_from(fields).ok()?;
        let number = u32::from_le_bytes(fields[4..].try_into().ok()?);
        let is_intact = checksum(&[fields, body]).to_le_bytes() == sum && usize::from(publisher) < PUBLISHERS;
        is_intact.then_some(Self {
            publisher,
            is_last: is_last != 0,
            topic: u16::from_le_bytes(topic),
            number,
        })
    }
}

/// FNV-1a.
fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Receive orders. There is no reply.
    Orders,
    Join(u16),
    Leave(u16),
    Publish(u16),
    /// Close this connection.
    Close,
}

/// The number of the next publication of each publisher on a topic.
pub(super) type Next = [u32; PUBLISHERS];

/// What a handler replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// The connection subscribes to the topic. `worker` serves it.
    Joined { topic: u16, worker: usize, next: Next },
    /// The subscription has ended.
    Left { topic: u16, worker: usize, next: Next },
    /// The handlers of the worker have published this number.
    Published { topic: u16, worker: usize, number: u32 },
}

/// What the row sends to the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Open some connections.
    Open,
    /// Begin to join, leave, publish and reconnect.
    Start,
    /// End that.
    Finish,
    /// Everything has been published: close the connection.
    Report,
}

/// What a text of the server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Reply(Reply),
    Order(Order),
}

const ORDER_WORDS: [(Order, &str); 4] =
    [(Order::Open, "open"), (Order::Start, "start"), (Order::Finish, "finish"), (Order::Report, "report")];

impl Request {
    pub(super) fn encode(self) -> String {
        match self {
            Self::Orders => "orders".to_owned(),
            Self::Join(topic) => format!("join {topic}"),
            Self::Leave(topic) => format!("leave {topic}"),
            Self::Publish(topic) => format!("publish {topic}"),
            Self::Close => "close".to_owned(),
        }
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (word, topic) = text.split_once(' ').unwrap_or((text, "0"));
        let topic = topic.parse().ok()?;
        Some(match word {
            "orders" => Self::Orders,
            "join" => Self::Join(topic),
            "leave" => Self::Leave(topic),
            "publish" => Self::Publish(topic),
            "close" => Self::Close,
            _ => return None,
        })
    }
}

impl Reply {
    pub(super) fn encode(self) -> String {
        match self {
            Self::Joined { topic, worker, next } => with_numbers(format!("joined {topic} {worker}"), next),
            Self::Left { topic, worker, next } => with_numbers(format!("left {topic} {worker}"), next),
            Self::Published { topic, worker, number } => format!("published {topic} {worker} {number}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let word = words.next()?;
        let topic = words.next()?.parse().ok()?;
        let worker = words.next()?.parse().ok()?;
        let numbers = words.map(str::parse).collect::<Result<Vec<u32>, _>>().ok()?;
        Some(match word {
            "joined" => Self::Joined { topic, worker, next: numbers.try_into().ok()? },
            "left" => Self::Left { topic, worker, next: numbers.try_into().ok()? },
            "published" => Self::Published { topic, worker, number: *numbers.first()? },
            _ => return None,
        })
    }
}

fn with_numbers(text: String, numbers: Next) -> String {
    numbers.iter().fold(text, |text, number| format!("{text} {number}"))
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        ORDER_WORDS.iter().find(|(order, _)| *order == self).map_or("", |(_, word)| word)
    }
}

impl Text {
    pub(super) fn decode(text: &str) -> Option<Self> {
        let order = ORDER_WORDS.iter().find(|(_, word)| *word == text).map(|(order, _)| Self::Order(*order));
        order.or_else(|| Reply::decode(text).map(Self::Reply))
    }
}

/// Returns the name of a topic.
pub(super) fn topic_name(topic: u16) -> String {
    format!("topic {topic}")
}
