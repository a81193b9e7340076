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

/// Publishes a price. Clients that are behind receive only later prices.
fn publish_price(all: &Sender, share: &str, price: u32) -> Result<()> {
    match all.publish_with(Publication::new(share, format!("{share} {price}")).volatile()) {
        // The loop is busy, and the next price replaces this one.
        Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) => Ok(()),
        result => result,
    }
}

/// Publishes the prices until the loop ends.
fn publish_prices(all: &Sender) -> Result<()> {
    let mut prices = [("SALMON", 100_u32), ("TROUT", 80), ("HERRING", 20)];
    loop {
        for (share, price) in &mut prices {
            *price = *price % 1000 + 1;
            publish_price(all, share, *price)?;
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

#[cfg(all(test, feature = "testing"))]
mod tests {
    use sockeye::testing::TestLoop;

    use super::*;

    #[test]
    fn a_client_receives_the_prices_that_it_asks_for() -> Result<()> {
        let kit = TestLoop::new(|out| Client { out });
        let client = kit.connect("/");
        client.send("TROUT");
        kit.run_until_idle();
        publish_price(&kit.sender(), "TROUT", 81)?;
        publish_price(&kit.sender(), "SALMON", 101)?;
        assert_eq!((client.receive(), client.try_receive()), ("TROUT 81".into(), None));
        client.send("-TROUT");
        kit.run_until_idle();
        publish_price(&kit.sender(), "TROUT", 82)?;
        assert_eq!(client.try_receive(), None);
        Ok(())
    }

    #[test]
    fn a_client_that_is_behind_receives_only_later_prices() -> Result<()> {
        let kit = TestLoop::new(|out| Client { out });
        let client = kit.connect("/");
        client.send("TROUT");
        kit.run_until_idle();
        client.stop_reading();
        for price in 81..90 {
            publish_price(&kit.sender(), "TROUT", price)?;
            kit.run_until_idle();
        }
        client.resume();
        assert_eq!((client.receive(), client.try_receive()), ("TROUT 81".into(), None));
        publish_price(&kit.sender(), "TROUT", 90)?;
        assert_eq!(client.receive(), "TROUT 90".into());
        Ok(())
    }
}
