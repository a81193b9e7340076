//! Clients that read until their server closes them, in one loop. They record when that happens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sockeye::{Builder, CloseCode, Handler, Handshake, Message, Result, Sender, Settings};
use url::Url;

use super::print_number;
use crate::handlers::AnyFactory;

/// The time over which closes are spread is divided into this many intervals.
const INTERVALS: u32 = 10;

/// What all clients have seen.
#[derive(Debug, Default)]
struct Seen {
    opened: usize,
    messages: usize,
    closes: Vec<Instant>,
}

/// A client that connects the next one when it opens.
struct Leaver {
    out: Sender,
    url: Url,
    count: usize,
    seen: Arc<Mutex<Seen>>,
}

impl Handler for Leaver {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        let mut seen = self.seen.lock().unwrap();
        seen.opened += 1;
        if seen.opened < self.count {
            return self.out.connect(self.url.clone());
        }
        print_number(self.count);
        Ok(())
    }

    fn on_message(&mut self, _: Message) -> Result<()> {
        self.seen.lock().unwrap().messages += 1;
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        if code == CloseCode::Restart {
            self.seen.lock().unwrap().closes.push(Instant::now());
        }
    }
}

/// Opens the clients one after the other, and waits until the server has closed them. Prints the number of clients, of messages and
/// of closes, and the most closes in an interval in tenths of the average.
pub(super) fn run(server: SocketAddr, count: usize, millis: u64) {
    let url: Url = format!("ws://{server}/").parse().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let settings = Settings { max_connections: count, ..Settings::default() };
    let (first, shared) = (url.clone(), Arc::clone(&seen));
    let factory =
        AnyFactory::new(move |out| Leaver { out, url: url.clone(), count, seen: Arc::clone(&shared) });
    let mut socket = Builder::new().with_settings(settings).build(factory).unwrap();
    socket.connect(first).unwrap();
    socket.run().unwrap();
    let seen = seen.lock().unwrap();
    print_number(seen.messages);
    print_number(seen.closes.len());
    let most = most_in_interval(&seen.closes, Duration::from_millis(millis) / INTERVALS);
    print_number((most * 10 * INTERVALS as usize).div_ceil(count));
}

/// Returns the most points in time that are within an interval of this length.
fn most_in_interval(times: &[Instant], length: Duration) -> usize {
    let within = |(at, first): (usize, &Instant)| {
        times[at..].iter().take_while(|time| time.duration_since(*first) < length).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}
