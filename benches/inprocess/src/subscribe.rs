//! Subscribes to topics and unsubscribes from them in a handler of a running loop. Callgrind runs this program:
//! `subscribe joined|opened PAIRS`. It prints the nanoseconds per pair of calls.
//!
//! With `joined`, each topic has another subscriber. With `opened`, it has none, so that it begins and ends with each pair.

use std::rc::Rc;
use std::time::Instant;

use sockeye::{Error, ErrorKind, Factory, Handler, Handshake, Message, Sender, WebSocket};
use sockeye_inprocess::Result;

/// The number of topics, and of the pairs of calls for each message between the two ends.
const TOPICS: usize = 100;

/// The two ends of a connection of the loop to itself.
struct Ends {
    names: Rc<[String]>,
    /// Whether the server subscribes to all topics.
    is_joined: bool,
    pairs: usize,
}

/// The client subscribes and unsubscribes. The server returns its messages.
struct End {
    out: Sender,
    names: Rc<[String]>,
    is_joined: bool,
    work: Option<Work>,
}

/// What the client still has to do.
struct Work {
    left: usize,
    pairs: usize,
    began: Instant,
}

impl Factory for Ends {
    type Handler = End;

    fn connection_made(&mut self, out: Sender) -> End {
        End { out, names: Rc::clone(&self.names), is_joined: self.is_joined, work: None }
    }

    fn client_connected(&mut self, out: Sender) -> End {
        let work = Work { left: self.pairs, pairs: self.pairs, began: Instant::now() };
        End { work: Some(work), ..self.connection_made(out) }
    }
}

impl Handler for End {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        match &mut self.work {
            Some(work) => {
                work.began = Instant::now();
                self.out.send(Vec::new())
            }
            None if self.is_joined => self.names.iter().try_for_each(|name| self.out.subscribe(name)),
            None => Ok(()),
        }
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        if let Some(work) = &mut self.work {
            if work.left == 0 {
                println!("{:.0}", work.began.elapsed().as_nanos() as f64 / work.pairs as f64);
                return self.out.shutdown();
            }
            for name in self.names.iter().take(work.left) {
                self.out.subscribe(name)?;
                self.out.unsubscribe(name)?;
            }
            work.left = work.left.saturating_sub(self.names.len());
        }
        self.out.send(message)
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (is_joined, pairs) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["joined", pairs] => (true, pairs.parse()?),
        ["opened", pairs] => (false, pairs.parse()?),
        _ => return Err("usage: joined|opened PAIRS".into()),
    };
    let names = (0..TOPICS).map(|topic| format!("topic/{topic:010}")).collect();
    let mut socket = WebSocket::new(Ends { names, is_joined, pairs })?.bind("127.0.0.1:0")?;
    let url = format!("ws://{}", socket.local_addr()?);
    socket.connect(url.parse().map_err(|_| Error::new(ErrorKind::Internal, "the address is no URL"))?)?;
    socket.run()?;
    Ok(())
}
