//! A node of a cluster, or the same server without a broker.

use sockeye::cluster::Redis;
use sockeye::{Builder, Handler, Handshake, Message, Sender, Settings};

use crate::Result;

/// The largest number of topics of a connection, and of all connections together.
const EACH: usize = 1000;
const ALL: usize = 1_000_000;

/// A connection. The path of its request decides what it does: `/subscribe/FIRST/COUNT` or `/publish/FIRST/COUNT`.
struct Client {
    out: Sender,
    role: Role,
}

enum Role {
    /// Subscribes when the connection opens, and echoes messages.
    Subscriber,
    /// Publishes each message to all of these topics.
    Publisher(Vec<String>),
}

impl Client {
    fn new(out: Sender) -> Self {
        Self { out, role: Role::Subscriber }
    }
}

impl Handler for Client {
    fn on_open(&mut self, shake: Handshake) -> sockeye::Result<()> {
        let path: Vec<_> = shake.request.resource().split('/').skip(1).collect();
        let &[role, first, count] = path.as_slice() else {
            return self.out.close(sockeye::CloseCode::Policy);
        };
        let (first, count): (usize, usize) = (first.parse().unwrap_or(0), count.parse().unwrap_or(0));
        let mut topics = (first..first + count.min(EACH)).map(name);
        if role == "publish" {
            self.role = Role::Publisher(topics.collect());
            return Ok(());
        }
        topics.try_for_each(|topic| self.out.subscribe(topic))
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        match &self.role {
            Role::Subscriber => self.out.send(message),
            Role::Publisher(topics) => match topics.as_slice() {
                [topic] => self.out.publish(topic, message),
                topics => topics.iter().try_for_each(|topic| self.out.publish(topic, message.clone())),
            },
        }
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

/// Returns a name of 16 bytes.
fn name(topic: usize) -> String {
    format!("topic/{topic:010}")
}

/// Listens with the port of Redis that the third argument contains. Port 0 means that there is no broker.
pub(crate) fn listen(address: &str) -> Result<()> {
    let port: u16 = std::env::args().nth(3).ok_or("the third argument is the port of Redis")?.parse()?;
    let settings = Settings { max_topics_per_connection: EACH, max_topics: ALL, ..crate::settings() };
    let mut socket = Builder::new().with_settings(settings).build(Client::new)?;
    if port != 0 {
        socket = socket.with_broker(Redis::new(format!("redis://127.0.0.1:{port}/"))?);
    }
    socket.listen(address)?;
    Ok(())
}
