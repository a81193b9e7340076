//! The clients of a process: they join and leave topics, publish, reconnect, and check everything that they receive.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sockeye::util::Token;
use sockeye::{Builder, CloseCode, Error, Handler, Handshake, Message, Result, Sender, Settings};
use url::Url;

use super::membership::Membership;
use super::process::{CHAINS, Phase, Plan, Process};
use super::wire::{Order, Packet, Publisher, Reply, Request, Text};
use crate::handlers::AnyFactory;

/// The timeout at which a client does something.
const ACT: Token = Token(1);

/// The most subscriptions of a client.
const MAX_MEMBERSHIPS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// Waits for a reply.
    Waiting,
    /// Waits for the timeout.
    Resting,
    Finished,
    /// Closes the connection, or waits until the server does, and connects again.
    Reconnecting,
    /// Closes the connection.
    Leaving,
}

/// Opens clients in batches, and prints how many there are after each. Once they have finished, prints how many subscriptions they have,
/// and at the end a [`Tally`](super::tally::Tally).
pub(super) fn run(server: SocketAddr, seed: u64, plan: Plan) {
    let url: Url = format!("ws://{server}/").parse().unwrap();
    let process = Arc::new(Mutex::new(Process::new(plan, url.clone(), seed)));
    let settings = Settings {
        max_connections: plan.count + plan.count / 10 + CHAINS,
        handshake_timeout: Duration::from_secs(60),
        ..Settings::default()
    };
    let shared = Arc::clone(&process);
    let mut numbers = 0..;
    let factory = AnyFactory::new(move |out| {
        let again = shared.lock().unwrap().reconnecting.pop();
        let number = again.unwrap_or_else(|| numbers.next().unwrap_or(0));
        Client {
            out,
            number,
            is_new: again.is_none(),
            state: State::Connecting,
            memberships: Vec::new(),
            process: Arc::clone(&shared),
        }
    });
    let mut socket = Builder::new().with_settings(settings).build(factory).unwrap();
    let chains = process.lock().unwrap().begin_batch();
    for _ in 0..chains {
        socket.connect(url.clone()).unwrap();
    }
    socket.run().unwrap();
}

struct Client {
    out: Sender,
    /// The first one receives orders, and does not reconnect.
    number: usize,
    /// Whether no other connection had this number before.
    is_new: bool,
    state: State,
    memberships: Vec<(u16, Membership)>,
    process: Arc<Mutex<Process>>,
}

impl Client {
    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap()
    }

    /// The topic to which it always subscribes.
    fn home(&self) -> u16 {
        u16::try_from(self.number % usize::from(self.process().plan.topics)).unwrap()
    }

    fn membership(&mut self, topic: u16) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|(of, _)| *of == topic).map(|(_, membership)| membership)
    }

    fn request(&mut self, request: Request) -> Result<()> {
        self.state = State::Waiting;
        self.out.send(request.encode())
    }

    /// Waits before it does something.
    fn rest(&mut self) -> Result<()> {
        self.state = State::Resting;
        let mut process = self.process();
        let most = usize::try_from(2 * process.plan.pause).unwrap();
        let pause = 1 + process.dice.roll(most) as u64;
        drop(process);
        self.out.timeout(pause, ACT)
    }

    /// Does one thing at random.
    fn act(&mut self) -> Result<()> {
        let mut process = self.process();
        let topics = process.plan.topics.into();
        let (roll, topic) = (process.dice.roll(200), process.dice.roll(topics));
        drop(process);
        let topic = u16::try_from(topic).unwrap();
        match roll {
            0..60 => self.request(Request::Publish(topic)),
            60..100 => self.request(Request::Publish(self.own_topic(roll))),
            100..197 => self.join_or_leave(topic, roll),
            _ if self.number == 0 => self.rest(),
            _ => self.reconnect(roll),
        }
    }

    /// One of the topics to which it subscribes.
    fn own_topic(&self, roll: usize) -> u16 {
        self.memberships[roll % self.memberships.len()].0
    }

    fn join_or_leave(&mut self, topic: u16, roll: usize) -> Result<()> {
        let count = self.memberships.len();
        let can_join = count < MAX_MEMBERSHIPS && self.membership(topic).is_none();
        // The first one is the home, which the client does not leave.
        if can_join && (count == 1 || roll.is_multiple_of(2)) {
            self.request(Request::Join(topic))
        } else if count > 1 {
            self.request(Request::Leave(self.memberships[count - 1].0))
        } else {
            self.rest()
        }
    }

    fn reconnect(&mut self, roll: usize) -> Result<()> {
        self.process().tally.reconnections += 1;
        self.state = State::Reconnecting;
        match roll % 2 {
            0 => self.out.close(CloseCode::Normal),
            _ => self.out.send(Request::Close.encode()),
        }
    }

    fn on_publication(&mut self, bytes: &[u8]) {
        let Some(packet) = Packet::decode(bytes) else {
            self.process().tally.corrupt += 1;
            return;
        };
        let is_expected = self.membership(packet.topic).map(|membership| membership.receive(packet));
        self.process().tally.add(packet, is_expected);
    }

    fn on_reply(&mut self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Joined { topic, worker, next } => self.on_joined(topic, Membership::new(worker, next))?,
            Reply::Left { topic, worker, next } => {
                let is_complete =
                    self.membership(topic).is_some_and(|membership| membership.is_complete(worker, next));
                self.memberships.retain(|(of, _)| *of != topic);
                self.process().tally.out_of_sequence += usize::from(!is_complete);
            }
            Reply::Published { topic, worker, number } => {
                let publisher = Publisher::Handlers(worker);
                let has_received = self
                    .membership(topic)
                    .is_none_or(|membership| membership.has_received(publisher, number));
                self.process().tally.out_of_sequence += usize::from(!has_received);
            }
        }
        if self.state == State::Waiting { self.rest() } else { Ok(()) }
    }

    fn on_joined(&mut self, topic: u16, membership: Membership) -> Result<()> {
        let is_first = self.is_new && self.memberships.is_empty();
        self.memberships.push((topic, membership));
        if is_first && self.process().add_joined() {
            return self.connect_another();
        }
        Ok(())
    }

    fn connect_another(&self) -> Result<()> {
        let url = self.process().url.clone();
        self.out.connect(url)
    }

    fn on_order(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Open => {
                let chains = self.process().begin_batch();
                (0..chains).try_for_each(|_| self.connect_another())
            }
            Order::Start => {
                self.process().phase = Phase::Acting;
                Ok(())
            }
            Order::Finish => {
                self.process().phase = Phase::Finishing;
                Ok(())
            }
            Order::Report => self.leave(),
        }
    }

    /// Everything was published, and all of it has arrived.
    fn leave(&mut self) -> Result<()> {
        self.state = State::Leaving;
        let missing: usize = self.memberships.iter().map(|(_, membership)| membership.unended()).sum();
        let mut process = self.process();
        process.tally.missing += missing;
        process.add_reported();
        drop(process);
        self.out.close(CloseCode::Normal)
    }

    /// The connection was lost, or was not established.
    fn on_lost(&mut self) {
        let mut process = self.process();
        process.tally.lost += 1;
        if self.state != State::Finished {
            process.add_finished(0);
        }
        process.add_reported();
    }
}

impl Handler for Client {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.process().tally.opened += 1;
        if self.number == 0 {
            self.out.send(Request::Orders.encode())?;
        }
        self.request(Request::Join(self.home()))
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        if msg.is_binary() {
            self.on_publication(msg.as_bytes());
            return Ok(());
        }
        match Text::decode(msg.as_text()?).expect("the server sends replies and orders") {
            Text::Reply(reply) => self.on_reply(reply),
            Text::Order(order) => self.on_order(order),
        }
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        let phase = self.process().phase;
        match phase {
            Phase::Opening => self.rest(),
            Phase::Acting => self.act(),
            Phase::Finishing => {
                self.state = State::Finished;
                self.process().add_finished(self.memberships.len());
                Ok(())
            }
        }
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        match self.state {
            State::Leaving => {}
            State::Reconnecting => {
                self.process().reconnecting.push(self.number);
                self.connect_another().unwrap();
            }
            _ => self.on_lost(),
        }
    }

    fn on_error(&mut self, _: Error) {
        if self.state == State::Connecting {
            self.on_lost();
        }
    }
}
