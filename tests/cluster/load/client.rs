//! The handler of a client: subscribes, makes its node publish, and connects to another node when it has lost its own.

use std::sync::{Arc, Mutex, MutexGuard};

use sockeye::util::Token;
use sockeye::{CloseCode, Error, Handler, Handshake, Message, Request, Result, Sender};
use url::Url;

use crate::clients::Clients;
use crate::packet::Packet;
use crate::words;

/// The timeout at which a client does something.
const ACT: Token = Token(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    Ended,
}

pub(crate) struct Client {
    out: Sender,
    number: usize,
    state: State,
    clients: Arc<Mutex<Clients>>,
}

impl Client {
    pub(crate) fn new(out: Sender, clients: &Arc<Mutex<Clients>>) -> Self {
        let number = clients.lock().unwrap().next_dialed();
        Self { out, number, state: State::Connecting, clients: Arc::clone(clients) }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap()
    }

    /// Connects to another node.
    fn connect_again(&mut self) {
        self.state = State::Ended;
        let mut clients = self.clients();
        let url = clients.dial_elsewhere(self.number);
        self.out.connect(url).unwrap();
    }

    fn wait(&self) -> Result<()> {
        let delay = self.clients().random_delay();
        self.out.timeout(delay, ACT)
    }

    fn on_text(&mut self, text: &str) -> Result<()> {
        let mut words = words::of(text);
        let kind: String = words.next().unwrap();
        match kind.as_str() {
            "joined" => {
                let numbers = words.rest().expect("numbers");
                let next = self.clients().on_joined(self.number, &self.out, &numbers);
                next.map_or(Ok(()), |url| self.out.connect(url))
            }
            "gap" => {
                let (topic, kind) = (words.next().expect("a topic"), words.next().expect("a kind"));
                self.clients().on_gap(self.number, topic, kind);
                Ok(())
            }
            "done" => {
                self.clients().on_round_done();
                Ok(())
            }
            _ => panic!("{text} is not expected"),
        }
    }
}

impl Handler for Client {
    fn build_request(&mut self, url: &Url) -> Result<Request> {
        assert_eq!(url.path(), format!("/{}", self.number), "clients connect in order");
        Request::from_url(url)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.state = State::Open;
        let topics = self.clients().on_open(self.number);
        self.out.send(format!("join {} {} {}", topics[0], topics[1], topics[2]))?;
        self.wait()
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        if !msg.is_binary() {
            return self.on_text(msg.as_text()?);
        }
        let mut clients = self.clients();
        match Packet::decode(msg.as_bytes()) {
            Some((packet, gaps)) => {
                gaps.iter().for_each(|kind| clients.on_gap(self.number, packet.topic, *kind));
                clients.on_publication(self.number, packet);
            }
            None => clients.tally.corrupt += 1,
        }
        Ok(())
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        let topic = self.clients().topic_to_publish();
        if let Some(topic) = topic {
            self.out.send(format!("publish {topic}"))?;
        }
        self.wait()
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.clients().on_lost(self.number, code == CloseCode::Restart);
        self.connect_again();
    }

    fn on_error(&mut self, _: Error) {
        if self.state == State::Connecting {
            self.connect_again();
        }
    }
}
