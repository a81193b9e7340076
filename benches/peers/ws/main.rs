//! `ws` 0.9.2: a closure for each connection, as in its README.

#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "tls")]
mod tls;

#[path = "../../shared/arguments.rs"]
mod arguments;

use arguments::{Result, arguments};
use ws::{Builder, Factory, Sender, Settings};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    match mode.as_str() {
        "echo" => listen(&address, |out: Sender| move |message| out.send(message)),
        "broadcast" => listen(&address, |out: Sender| move |message| out.broadcast(message)),
        #[cfg(feature = "deflate")]
        "deflate" => deflate::listen(&address),
        #[cfg(feature = "tls")]
        "tls" => tls::listen(&address),
        _ => Err("no such mode".into()),
    }
}

fn settings() -> Settings {
    Settings { max_connections: 20_000, tcp_nodelay: true, ..Settings::default() }
}

fn listen<F: Factory>(address: &str, factory: F) -> Result<()> {
    Builder::new().with_settings(settings()).build(factory)?.listen(address)?;
    Ok(())
}
