//! Sockeye, as in its README: a closure for each connection. Modes that begin with `struct:`, and `publish`, `subscriptions` and
//! `cluster`, use structs.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "deflate")]
mod deflate;
mod handlers;
#[cfg(feature = "tls")]
mod tls;
mod topics;

use std::thread;
use std::time::Duration;

use arguments::{Result, arguments};
use handlers::{Broadcaster, Echo, Expiring};
#[cfg(feature = "tls")]
use sockeye::TlsEngine;
use sockeye::{Builder, Factory, Message, Sender, Settings};

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    // The kind of the handler precedes the task, unless it is a closure.
    let (kind, task) = mode.split_once(':').unwrap_or(("closure", &mode));
    match (kind, task) {
        ("closure", "broadcast") => {
            listen(&address, settings(), |out: Sender| move |message| out.broadcast(message))
        }
        ("struct", "broadcast") => listen(&address, settings(), Broadcaster::new),
        ("closure", "echo" | "deflate" | "tls") => {
            echo(&address, task, |out: Sender| move |message| out.send(message))
        }
        ("struct", _) => echo(&address, task, Echo::new),
        ("closure", _) => listen_otherwise(&address, task),
        _ => Err("unknown kind of handler".into()),
    }
}

/// Echoes messages with any kind of handler.
fn echo<F: Factory>(address: &str, task: &str, factory: F) -> Result<()> {
    match task {
        "echo" => listen(address, settings(), factory),
        #[cfg(feature = "deflate")]
        "deflate" => listen(address, deflate::settings(), factory),
        #[cfg(feature = "tls")]
        "tls" => tls::listen(address, TlsEngine::OpenSsl, factory),
        _ => Err("unknown task".into()),
    }
}

/// The tasks that need one kind of handler.
fn listen_otherwise(address: &str, task: &str) -> Result<()> {
    match task {
        "neighbors" => listen(address, settings(), neighbor),
        "expiry" => listen(address, settings(), Expiring::new),
        "postpone" => listen(address, settings(), Expiring::postponing),
        "idle-timeout" => {
            let settings = Settings { idle_timeout: Some(Duration::from_secs(30)), ..settings() };
            listen(address, settings, Echo::new)
        }
        "publish" => listen(address, settings(), topics::Member::new),
        "subscriptions" => topics::listen(address),
        #[cfg(feature = "cluster")]
        "cluster" => cluster::listen(address),
        #[cfg(feature = "tls")]
        "tls-rustls" => {
            tls::listen(address, TlsEngine::Rustls, |out: Sender| move |message| out.send(message))
        }
        _ => Err("unknown mode".into()),
    }
}

/// Echoes binary messages. For each text message, it is busy for a millisecond and does not reply.
fn neighbor(out: Sender) -> impl Fn(Message) -> sockeye::Result<()> {
    move |message| match message {
        Message::Binary(_) => out.send(message),
        Message::Text(_) => {
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }
    }
}

fn settings() -> Settings {
    Settings { max_connections: 20_000, ..Settings::default() }
}

fn listen<F: Factory>(address: &str, settings: Settings, factory: F) -> Result<()> {
    Builder::new().with_settings(settings).build(factory)?.listen(address)?;
    Ok(())
}
