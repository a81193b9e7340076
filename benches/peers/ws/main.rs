//! `ws` 0.9.2: a closure for each connection, as in its README.

#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "tls")]
mod tls;

#[path = "../../shared/arguments.rs"]
mod arguments;

use std::thread;
use std::time::Duration;

use arguments::{Result, arguments};
use ws::{Builder, Factory, Message, Sender, Settings};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    match mode.as_str() {
        "echo" => listen(&address, |out: Sender| move |message| out.send(message)),
        "neighbors" => listen(&address, neighbor),
        "broadcast" => listen(&address, |out: Sender| move |message| out.broadcast(message)),
        #[cfg(feature = "deflate")]
        "deflate" => deflate::listen(&address),
        #[cfg(feature = "tls")]
        "tls" => tls::listen(&address),
        _ => Err("unknown mode".into()),
    }
}

/// Echoes binary messages. For each text message, it is busy for a millisecond and does not reply.
fn neighbor(out: Sender) -> impl Fn(Message) -> ws::Result<()> {
    move |message| match message {
        Message::Binary(_) => out.send(message),
        Message::Text(_) => {
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }
    }
}

fn settings() -> Settings {
    Settings { max_connections: 20_000, tcp_nodelay: true, ..Settings::default() }
}

fn listen<F: Factory>(address: &str, factory: F) -> Result<()> {
    Builder::new().with_settings(settings()).build(factory)?.listen(address)?;
    Ok(())
}
