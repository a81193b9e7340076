//! A server and a client on one event loop: they return a ball to each other, and their handlers share state without a
//! lock.
//!
//! ```text
//! cargo run --example shared [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::cell::Cell;

use sockeye::{Message, Sender, WebSocket};

const USAGE: &str = "\
Usage: shared [ADDRESS]

Runs a server and a client that return a message to each other ten times.

ADDRESS  where the server listens [127.0.0.1:3012]";

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    // All handlers run on this thread, so they can borrow from its stack.
    let hits = Cell::new(0);
    let mut players = 0;

    let socket = WebSocket::new(|out: Sender| {
        players += 1;
        let (player, hits) = (players, &hits);
        // The client's handler is created first. Its message is sent as soon as the connection is open.
        if player == 1
            && let Err(err) = out.send("the ball")
        {
            println!("cannot serve: {err}");
        }
        move |msg: Message| {
            hits.set(hits.get() + 1);
            println!("player {player} returns {msg}");
            if hits.get() < 10 { out.send(msg) } else { out.shutdown() }
        }
    })?;

    let mut socket = socket.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    socket.connect(support::parse_url(&format!("ws://{}", socket.local_addr()?))?)?;
    socket.run()?;

    println!("{players} players, {} hits", hits.get());
    Ok(())
}
