//! One loop, one thread, both roles: a server and its own client play ball until one of them has had enough.
//!
//! ```text
//! cargo run --example shared [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::cell::Cell;
use std::env;

use sockeye::{Error, ErrorKind, Message, Sender, WebSocket};
use url::Url;

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());

    // Everything happens on this thread, so the handlers can borrow from the stack, without a lock.
    let hits = Cell::new(0);
    let mut players = 0;

    let socket = WebSocket::new(|out: Sender| {
        players += 1;
        let (player, hits) = (players, &hits);
        if player == 1 {
            // The client, since it is made first. What it says now leaves as soon as the connection is open.
            if let Err(err) = out.send("the ball") {
                println!("the ball is lost: {err}");
            }
        }
        move |msg: Message| {
            hits.set(hits.get() + 1);
            println!("player {player} gets {msg}");
            match hits.get() {
                10 => out.shutdown(),
                _ => out.send(msg),
            }
        }
    })?;

    let mut socket = socket.bind(address)?;
    let url = format!("ws://{}", socket.local_addr()?);
    let url = Url::parse(&url).map_err(|err| Error::new(ErrorKind::Internal, err.to_string()))?;
    socket.connect(url)?;
    socket.run()?;

    println!("{players} players, {} hits", hits.get());
    Ok(())
}
