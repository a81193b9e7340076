//! The topics of a row are numbers. The number after the last topic stands for broadcasts, which all clients receive.

use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;

use sockeye::cluster::Order;
use sockeye_test_support::misbehavior::Dice;

/// One of this many messages is a broadcast.
const BROADCASTS: usize = 4000;

/// One of this many topics has a total order.
const TOTAL: u16 = 8;

/// How many topics there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topics(pub(crate) u16);

impl FromStr for Topics {
    type Err = ParseIntError;

    fn from_str(count: &str) -> Result<Self, ParseIntError> {
        count.parse().map(Self)
    }
}

impl Topics {
    pub(crate) fn count(self) -> usize {
        self.0.into()
    }

    /// Returns all topics, and the number for broadcasts.
    pub(crate) fn all(self) -> RangeInclusive<u16> {
        0..=self.0
    }

    pub(crate) fn broadcasts(self) -> u16 {
        self.0
    }

    /// Returns a topic, or now and then the number for broadcasts.
    pub(crate) fn random(self, dice: &mut Dice) -> u16 {
        match dice.roll(BROADCASTS) {
            0 => self.broadcasts(),
            _ => u16::try_from(dice.roll(self.count())).unwrap(),
        }
    }

    /// Returns the topic with this name. Without a name, it is about broadcasts.
    pub(crate) fn number(self, name: &str) -> u16 {
        if name.is_empty() { self.broadcasts() } else { number(name) }
    }

    pub(crate) fn has_total_order(self, topic: u16) -> bool {
        topic != self.broadcasts() && order_of(topic) == Order::Total
    }
}

pub(crate) fn name(topic: u16) -> String {
    format!("topic {topic}")
}

fn number(name: &str) -> u16 {
    let number = name.strip_prefix("topic ").and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{name} is no topic"))
}

/// The order of the messages of a topic with this name.
pub(crate) fn order(name: &str) -> Order {
    order_of(number(name))
}

fn order_of(topic: u16) -> Order {
    if topic % TOTAL == TOTAL - 1 { Order::Total } else { Order::PerPublisher }
}
