//! Prices that another thread publishes to topics: each client receives those that it asks for.
//!
//! ```text
//! cargo run --example ticker [ADDRESS]
//! cargo run --example cli ws://127.0.0.1:3012
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::thread;
use std::time::Duration;

use sockeye::{ErrorKind, Handler, Message, Publication, QueueError, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: ticker [ADDRESS]

A client sends the name of a share (SALMON, TROUT or HERRING) to receive its price, and the name with
a minus sign in front to end that.

ADDRESS  where to listen [127.0.0.1:3012]";

const INTERVAL: Duration = Duration::from_millis(100);

struct Client {
    out: Sender,
}

impl Handler for Client {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        let text = msg.as_text()?;
        match text.strip_prefix('-') {
            Some(share) => self.out.unsubscribe(share),
            None => self.out.subscribe(text),
        }
    }
}

/// Publishes the prices until the loop ends. Clients that are behind receive only later prices.
fn publish_prices(all: &Sender) -> Result<()> {
    let mut prices = [("SALMON", 100_u32), ("TROUT", 80), ("HERRING", 20)];
    loop {
        for (share, price) in &mut prices {
            *price = *price % 1000 + 1;
            match all.publish_with(Publication::new(*share, format!("{share} {price}")).volatile()) {
                // The loop is busy, and the next price replaces this one.
                Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) => {}
                result => result?,
            }
        }
        thread::sleep(INTERVAL);
    }
}

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out| Client { out })?.bind(address)?;
    let all = socket.broadcaster();
    support::shut_down_on_interrupt(&all);
    thread::spawn(move || publish_prices(&all));
    println!("prices on ws://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
